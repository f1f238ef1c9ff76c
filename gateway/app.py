"""The composition root of a gateway worker: the chain of checks, what a worker is made of, and its life."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import asyncpg

from gateway import __version__
from gateway.bounded_server import Bounds
from gateway.catalog_source import rules_of
from gateway.config import Loaded
from gateway.crowd import Crowd
from gateway.domain.catalog import Catalog
from gateway.domain.errors import StoreUnavailable
from gateway.domain.figures import Figure
from gateway.domain.network import Blocks
from gateway.domain.pepper import Pepper
from gateway.domain.units import Units
from gateway.listen import url_of
from gateway.relay.announcing import Announcer
from gateway.relay.attempt_rows import AttemptRows
from gateway.relay.audit_watch import AuditWatch
from gateway.relay.balance import answer_balance
from gateway.relay.catalog_watch import CatalogWatch
from gateway.relay.chain import (
    Link,
    accept_body,
    agree_terms,
    authenticate,
    caller_behind,
    identify_route,
    read_body,
    read_the_ask,
    require_live,
    require_model,
    require_network,
)
from gateway.relay.counters import CallCounters
from gateway.relay.extension import Extensions
from gateway.relay.figures import (
    accounting_figures,
    call_figures,
    key_figures,
    upstream_figures,
)
from gateway.relay.foreign_keys import ForeignKeys
from gateway.relay.forward import Forwarder
from gateway.relay.handler import Handler, Ways
from gateway.relay.housekeeping import Housekeeping
from gateway.relay.lease import Lease
from gateway.relay.ledger_watch import LedgerWatch
from gateway.relay.load import LoadWatch
from gateway.relay.models import answer_models
from gateway.relay.objects import Objects
from gateway.relay.outages import Outages
from gateway.relay.passage import (
    accept_passage,
    agree_price,
    find_objects,
    read_the_passage,
    require_metering,
    require_upstream,
)
from gateway.relay.posting import Poster
from gateway.relay.record import AccessLog
from gateway.relay.refusal_counts import RefusalCounts
from gateway.relay.reservation import Reservations
from gateway.relay.revocations import Revocations
from gateway.relay.secret_uses import SecretUses
from gateway.relay.server import Server
from gateway.relay.settlements import Settlements
from gateway.relay.shadow_counts import ShadowCounts
from gateway.relay.spans import Tracer
from gateway.relay.terms import TermsMaker
from gateway.relay.unheard import Unheard
from gateway.relay.unread import one_too_many, unread
from gateway.relay.waiting import Waiting
from gateway.settings import Config, GatewaySettings
from gateway.store.bootstrap import register_entries
from gateway.store.catalog import CatalogReader
from gateway.store.keys import KeyStore
from gateway.store.ledger import LedgerStore
from gateway.store.loads import Loads
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import open_pool
from gateway.store.quota import QuotaStore
from gateway.store.seal import Seal
from gateway.store.token_cache import TokenCache
from gateway.store.upstream_keys import opening
from gateway.store.valkey import open_valkey


# fmt: off
def chains(
    config: Config, tokens: TokenCache, foreign: ForeignKeys, terms: TermsMaker, objects: Objects,
    poster: Poster, reservations: Reservations,
) -> dict[str, tuple[Link, ...]]:
    """The whole way of a request once its path is identified; nothing else adds a link.

    Read aloud, it is the specification: each link refuses one thing and leaves at most one fact. What takes something
    comes last; what it took is settled on every way out.
    """
    trusted = Blocks.of(config.gateway.trusted_proxies)
    address_of = caller_behind(trusted, config.gateway.client_header)
    known_caller = (
        authenticate(tokens, foreign, address_of),                   # key → token
        require_live,                                                # state, expiry, owner
        require_network(address_of),                                 # deny before allow
    )
    return {
        "models": known_caller,
        "billing": known_caller,
        "usage": (known_caller[0], known_caller[2]),                 # a disabled key may be asked about
        "forward": (
            *known_caller,
            accept_body(config.gateway.max_body_bytes),              # encoding, declared size
            read_body(config.gateway.max_body_bytes),                # size
            read_the_ask,                                            # model, stream, maximum, n
            require_model,                                           # token's list, group, upstreams
            find_objects(objects),                                   # whose is what it goes on from
            agree_terms(terms.make, config.quota),                   # price, hold
            poster.require_room,                                     # memory for its charge
            reservations.reserve,                                    # money, rates, concurrency: one atomic call
        ),
        "passage": (
            *known_caller,
            require_metering,                                        # what may cost anything, on a capped key
            accept_passage(config.gateway),                          # size; a form with a file is not read
            read_the_passage,                                        # model, if any
            require_upstream,                                        # token's list, group, upstreams
            find_objects(objects),                                   # whose is what the path names
            agree_price(terms.make),                                 # of each call, or none
            poster.require_room,
            reservations.reserve,
        ),
    }
# fmt: on


class Gateway:
    """A worker's objects, wired. Made by `open_gateway`."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        pepper: Pepper,
        pool: asyncpg.Pool,
        quota: QuotaStore,
        ledger: LedgerStore,
        catalogs: CatalogReader,
        log: AccessLog,
        terms: TermsMaker,
        trace_headers: Mapping[str, str],
    ) -> None:
        config = loaded.config
        self.config = config
        self.pool = pool
        self.catalogs = CatalogWatch(catalogs, self._renewed)
        self.quota = quota
        self.log = log
        self.refusals = RefusalCounts(pool)
        self.attempts = AttemptRows(pool)
        self.accepting = True
        self._terms = terms
        self.keys = KeyStore(pool, lambda: self.catalog, reserve=config.quota.reserve)
        self.secret_uses = SecretUses(pool, pepper)
        self.outages = Outages(pool, lambda: terms.upstreams)
        self.loads = Loads(pool, self.keys, quota)
        self.tokens = TokenCache(
            self.secret_uses.noting(self.loads.find),
            pepper,
            fresh_s=config.keys.cache_s,
            most_bytes=config.keys.cache_bytes,
        )
        self.foreign = ForeignKeys(self.keys.has_foreign)
        self.poster = Poster(
            ledger,
            quota,
            interval_s=config.quota.post_interval_s,
            buffer_bytes=config.quota.post_buffer_bytes,
        )
        self.audit = AuditWatch(
            config.postgres.dsn.get_secret_value(),
            config.redis.url.get_secret_value(),
            interval_s=config.quota.audit_interval_s,
            sweep_s=config.quota.sweep_s,
            strict=config.quota.on_store_loss == "deny",
        )
        self.ledger_watch = LedgerWatch(pool)
        self.unheard = Unheard(quota, self.poster, lease_s=config.quota.lease_s)
        self.waiting = waiting = Waiting()
        self.objects = Objects(pool)
        self.shadows = ShadowCounts(self.refusals)
        self.counters = CallCounters()
        self.tracer = Tracer(config.traces.otlp_endpoint, config.traces.ratio, trace_headers)
        self.settlements = Settlements(
            quota,
            self.poster,
            log,
            self.unheard,
            waiting,
            self.objects,
            self.shadows,
            self.counters,
            self.tracer,
        )
        self.reservations = reservations = Reservations(
            quota,
            self.loads,
            renew_terms=terms.make,
            reach_catalog=self.catalogs.reach,
            release=self.settlements.release,
            disown=self.settlements.disown,
            waiting=waiting,
            hold_wait_s=config.quota.hold_wait_s,
            allow_bounded_nusd=(
                config.quota.allow_bounded_nusd if config.quota.on_store_loss == "allow" else 0
            ),
        )
        extensions = Extensions(
            quota,
            clear=reservations.clear,
            waiting=waiting,
            hold_wait_s=config.quota.hold_wait_s,
        )
        self.lease = Lease(config.quota.lease_s, lambda: quota.connected)
        self.forwarder = Forwarder(
            self.settlements.finish,
            extensions.extend,
            self.lease,
            step_tokens=config.quota.reserve_step_tokens,
            note=self.attempts.add,
            hide_others=self.objects.hide_others,
            heartbeat_s=config.gateway.heartbeat_s,
        )
        self.announcer = Announcer(quota, self.poster, self.forwarder.live_calls)
        self.revocations = Revocations(
            self.forwarder.live_calls,
            self.keys.versions,
            self.tokens.renew,
            self.forwarder.revoke,
        )
        self.load = LoadWatch(
            delay_s=config.gateway.shed_delay_s,
            descriptors_percent=config.gateway.shed_descriptors_percent,
        )
        self.crowd = Crowd(
            config.gateway.max_connections_per_address,
            Blocks.of(config.gateway.trusted_proxies),
            one_too_many,
        )
        balance = answer_balance(self.keys, Units(config.quota.units_per_usd))
        self.handler = Handler(
            ways=self._ways(config),
            endings={
                "forward": self.forwarder.forward,
                "passage": self.forwarder.forward,
                "models": answer_models,
                "billing": balance,
                "usage": balance,
            },
            pages={"/healthz": self._health, "/readyz": self._readiness},
            tokens=self.tokens,
            settlements=self.settlements,
            load=self.load,
            log=log,
            refusals=self.refusals,
            counters=self.counters,
            tracer=self.tracer,
            exhausted_status=config.quota.exhausted_status,
            catalog=lambda: self.catalog,
        )

    def _ways(self, config: Config) -> Ways:
        parts = (self.tokens, self.foreign, self._terms, self.objects, self.poster)
        return Ways(
            identify=identify_route(self.public_url, rules_of(config.routes)),
            chains=chains(config, *parts, self.reservations),
            cors=config.gateway.cors,
        )

    async def adopt(self, loaded: Loaded) -> None:
        """Go by another configuration, of which `reload.RELOADABLE` and the catalog may differ.

        Calls that run go on with what they began with. Raises `ConfigError` for a name that the admin API has taken,
        and `StoreUnavailable`; then nothing is changed.
        """
        await register_entries(self.pool, loaded)
        await self.catalogs.adopt(loaded)
        self.config = loaded.config
        self.handler.adopt(self._ways(loaded.config))
        settings = loaded.config.gateway
        self.forwarder.heartbeat_s = settings.heartbeat_s
        self.crowd.adopt(settings.max_connections_per_address, Blocks.of(settings.trusted_proxies))

    def public_url(self) -> str:
        """The origin that callers are told to use."""
        return self.config.gateway.public_url.rstrip("/") or url_of(self.config.gateway.listen)

    @property
    def catalog(self) -> Catalog:
        """The catalog that new calls begin with."""
        return self.catalogs.catalog

    def _renewed(self, before: Catalog, now: Catalog) -> None:
        """Go by a newer catalog. Of groups alone tokens keep something."""
        self._terms.renew(now)
        if now.groups != before.groups:
            self.tokens.clear()

    def token_changed(self, token_id: int) -> None:
        """Obey the notice of a token's edit: it may be the first that another gateway's key opens."""
        self.tokens.drop(token_id)
        self.foreign.wake()
        self.revocations.wake()

    def user_changed(self, user_id: int) -> None:
        """Obey the notice that all of a user's tokens changed."""
        self.tokens.drop_user(user_id)
        self.revocations.wake()

    def account_changed(self, account_id: int) -> None:
        """Obey the notice that what binds an account's tokens was edited."""
        self.tokens.drop_account(account_id)
        self.revocations.wake()

    def changes_missed(self) -> None:
        """Obey that notices may have been lost."""
        self.tokens.clear()
        self.foreign.wake()
        self.revocations.wake()
        self.catalogs.wake()

    def figures(self) -> list[Figure]:
        """What `/metrics` tells of this worker now."""
        calls, streams = self.forwarder.running
        return [
            *call_figures(self.counters),
            *self.shadows.figures(),
            Figure("tollhouse_active_calls", {(): calls}),
            Figure("tollhouse_active_streams", {(): streams}),
            *upstream_figures(self._terms.upstreams, time.monotonic()),
            *accounting_figures(self.poster, self.quota, self.unheard),
            *self.audit.figures(),
            *key_figures(self.tokens),
            *self.crowd.figures(),
            *self.load.figures(),
            Figure("tollhouse_draining", {(): int(not self.accepting)}),
            Figure("tollhouse_workers", {(): 1}),
            Figure("tollhouse_build_info", {(__version__,): 1}),
            Figure("tollhouse_log_dropped_total", {(): self.log.dropped}),
            Figure("tollhouse_spans_exported_total", {(): self.tracer.exported}),
            Figure("tollhouse_spans_dropped_total", {(): self.tracer.dropped}),
        ]

    def _health(self) -> tuple[int, dict[str, object]]:
        """The process is alive."""
        return 200, {"status": "ok", "version": __version__}

    def _readiness(self) -> tuple[int, dict[str, object]]:
        """Whether a load balancer should send calls here."""
        if not self.accepting:
            return 503, {"status": "draining"}
        if not self.quota.connected:
            breaker = self.quota.breaker
            return 503, {
                "status": "quota store unavailable",
                "breaker": breaker.state,
                "for_s": round(breaker.for_s, 3),
                "openings": breaker.openings,
            }
        return 200, {"status": "ready"}


@contextlib.asynccontextmanager
async def open_gateway(
    loaded: Loaded,
    *,
    pepper: Pepper,
    seal: Seal | None = None,
    trace_headers: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Gateway]:
    """A worker with its stores open and its tasks running; each is closed in reverse order.

    `seal` opens the keys of upstreams that the admin API made; `trace_headers` are for the collector of spans.
    Raises `StoreUnavailable` when a store cannot be reached, and `ConfigError` for a name that the admin API has
    taken.
    """
    config = loaded.config
    dsn = config.postgres.dsn.get_secret_value()
    url = config.redis.url.get_secret_value()
    timeout_s = config.postgres.statement_timeout_s
    async with contextlib.AsyncExitStack() as stack:
        pool = await open_pool(dsn, size=config.postgres.pool_size, statement_timeout_s=timeout_s)
        stack.push_async_callback(pool.close)
        await register_entries(pool, loaded)
        catalogs = CatalogReader(pool, loaded, opening(seal))
        catalog = await catalogs.read()
        pipeline = await stack.enter_async_context(
            Pipeline(url, operation_timeout_s=config.redis.operation_timeout_s)
        )
        quota = QuotaStore(
            pipeline,
            lease_s=config.quota.lease_s,
            sweep_s=config.quota.sweep_s,
            pause_s=config.quota.pause_s,
            outbox_s=config.quota.outbox_hours * 3600,
        )
        await quota.start(generation=catalog.generation)
        ledger = LedgerStore(dsn, statement_timeout_s=timeout_s)
        stack.push_async_callback(ledger.close)
        log = AccessLog(config.log.access)
        stack.callback(log.close)
        terms = TermsMaker(quota)
        stack.callback(terms.close)
        gateway = Gateway(
            loaded,
            pepper=pepper,
            pool=pool,
            quota=quota,
            ledger=ledger,
            catalogs=catalogs,
            log=log,
            terms=terms,
            trace_headers=trace_headers,
        )
        await gateway.foreign.look()
        await gateway.loads.learn()
        valkey = await stack.enter_async_context(open_valkey(url))
        await stack.enter_async_context(_tasks(gateway))
        await stack.enter_async_context(
            valkey.listen(
                gateway.token_changed,
                gateway.catalogs.notice,
                gateway.changes_missed,
                on_user=gateway.user_changed,
                on_account=gateway.account_changed,
            )
        )
        yield gateway


@contextlib.asynccontextmanager
async def _tasks(gateway: Gateway) -> AsyncIterator[None]:
    """The worker's own tasks. One that fails takes the worker down with its traceback, never silently."""
    config = gateway.config
    housekeeping = Housekeeping(
        gateway.quota,
        gateway.poster,
        gateway.announcer,
        gateway.unheard,
        generation=lambda: gateway.catalog.generation,
        lease=gateway.lease,
        sweep_s=config.quota.sweep_s,
    )
    # Before the first call: what a worker finds open then is nothing that it would have to tell of what it holds.
    with contextlib.suppress(StoreUnavailable):
        await housekeeping.beat()
    async with asyncio.TaskGroup() as group:
        posting = group.create_task(gateway.poster.run(), name="posting")
        endless = [
            group.create_task(housekeeping.run(), name="housekeeping"),
            group.create_task(gateway.forwarder.watch(), name="deadlines"),
            group.create_task(gateway.load.run(), name="load"),
            group.create_task(gateway.refusals.run(), name="refusal counts"),
            group.create_task(gateway.objects.run(), name="objects"),
            group.create_task(gateway.attempts.run(), name="attempts"),
            group.create_task(gateway.secret_uses.run(), name="uses of secrets"),
            group.create_task(gateway.outages.run(), name="outages"),
            group.create_task(_flush_log(gateway.log), name="access log"),
            group.create_task(gateway.tracer.run(), name="spans"),
            group.create_task(gateway.audit.run(), name="audit"),
            group.create_task(gateway.ledger_watch.run(), name="ledger"),
            group.create_task(gateway.foreign.run(), name="foreign keys"),
            group.create_task(gateway.catalogs.run(), name="catalog"),
            group.create_task(gateway.revocations.run(), name="revocations"),
        ]
        try:
            yield
        finally:
            # Detached calls may still settle while the last charges are posted.
            gateway.forwarder.settle_detached()
            gateway.unheard.void()
            gateway.poster.close()
            await asyncio.wait({posting})
            for task in endless:
                task.cancel()


async def _flush_log(log: AccessLog) -> None:
    while True:
        await asyncio.sleep(0.1)
        log.flush()


def build_server(gateway: Gateway) -> Server:
    """What takes the connections of callers; their requests go to the handler."""
    config = gateway.config.gateway
    return Server(
        gateway.handler.handle,
        bounds=Bounds(gateway.crowd, unread, config.slow_reader_s),
        load=gateway.load,
        max_body_bytes=config.max_body_bytes,
        keepalive_timeout_s=config.keepalive_timeout_s,
        proxied_by=Blocks.of(config.trusted_proxies) if config.proxy_protocol else None,
    )


def adopt_settings(server: Server, settings: GatewaySettings) -> None:
    """Have a server go by other settings, of which `reload.RELOADABLE` may differ."""
    server.adopt(
        max_body_bytes=settings.max_body_bytes,
        keepalive_timeout_s=settings.keepalive_timeout_s,
        proxied_by=Blocks.of(settings.trusted_proxies),
    )
