"""The composition root of a gateway worker: the chain of checks, what a worker is made of, and its life."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

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
from gateway.listen import origin_of
from gateway.open_stores import Stores, open_stores
from gateway.relay.accounting import Accounting, Records
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
from gateway.relay.figures import (
    accounting_figures,
    call_figures,
    key_figures,
    upstream_figures,
)
from gateway.relay.foreign_keys import ForeignKeys
from gateway.relay.forward import Forwarder
from gateway.relay.handler import Handler, Ways
from gateway.relay.health import Health
from gateway.relay.ledger_watch import LedgerWatch
from gateway.relay.load import LoadWatch
from gateway.relay.models import answer_models
from gateway.relay.notices import Notices
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
from gateway.relay.record import AccessLog
from gateway.relay.refusal_counts import RefusalCounts
from gateway.relay.revocations import Revocations
from gateway.relay.secret_uses import SecretUses
from gateway.relay.server import Server
from gateway.relay.shadow_counts import ShadowCounts
from gateway.relay.spans import Tracer
from gateway.relay.terms import TermsMaker
from gateway.relay.unread import one_too_many, unread
from gateway.settings import Config
from gateway.store.configured import register_entries
from gateway.store.keys import KeyStore
from gateway.store.loads import Loads
from gateway.store.seal import Seal
from gateway.store.token_cache import TokenCache


# fmt: off
def chains(
    config: Config, tokens: TokenCache, foreign: ForeignKeys, terms: TermsMaker, objects: Objects,
    accounting: Accounting,
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
            accounting.poster.require_room,                          # memory for its charge
            accounting.reservations.reserve,                         # money, rates, concurrency: one atomic call
        ),
        "passage": (
            *known_caller,
            require_metering,                                        # what may cost anything, on a capped key
            accept_passage(config.gateway),                          # size; a form with a file is not read
            read_the_passage,                                        # model, if any
            require_upstream,                                        # token's list, group, upstreams
            find_objects(objects),                                   # whose is what the path names
            agree_price(terms.make),                                 # of each call, or none
            accounting.poster.require_room,
            accounting.reservations.reserve,
        ),
    }
# fmt: on


class Gateway:
    """A worker's objects, wired over its stores. Made by `open_gateway`."""

    def __init__(
        self,
        loaded: Loaded,
        stores: Stores,
        *,
        pepper: Pepper,
        log: AccessLog,
        terms: TermsMaker,
        trace_headers: Mapping[str, str],
    ) -> None:
        config, settings = loaded.config, loaded.config.gateway
        pool, quota = stores.pool, stores.quota
        self.config = config
        self.quota = quota
        self.log = log
        self._pool = pool
        self._terms = terms
        self.catalogs = CatalogWatch(stores.catalogs, self._renewed)

        # Who calls.
        self.keys = KeyStore(
            pool, lambda: self.catalog, reach=self.catalogs.reach, reserve=config.quota.reserve
        )
        self.loads = Loads(pool, self.keys, quota)
        self.secret_uses = SecretUses(pool, pepper)
        self.tokens = TokenCache(
            self.secret_uses.noting(self.loads.find),
            pepper,
            fresh_s=config.keys.cache_s,
            most_bytes=config.keys.cache_bytes,
        )
        self.foreign = ForeignKeys(self.keys.has_foreign)

        # What calls take, and what is written of them.
        self.refusals = RefusalCounts(pool)
        self.shadows = ShadowCounts(self.refusals)
        self.attempts = AttemptRows(pool)
        self.objects = Objects(pool)
        self.counters = CallCounters()
        self.tracer = Tracer(config.traces.otlp_endpoint, config.traces.ratio, trace_headers)
        self.accounting = Accounting(
            quota,
            stores.ledger,
            self.loads,
            config.quota,
            Records(log, self.objects, self.shadows, self.counters, self.tracer),
            renew_terms=terms.make,
            reach_catalog=self.catalogs.reach,
            generation=lambda: self.catalog.generation,
            live=lambda: self.forwarder.live_calls(),  # noqa: PLW0108 -- it is made below
        )
        self.ledger_watch = LedgerWatch(stores.aside)
        self.audit = AuditWatch(
            config.postgres.dsn.get_secret_value(),
            config.redis.url.get_secret_value(),
            interval_s=config.quota.audit_interval_s,
            sweep_s=config.quota.sweep_s,
            strict=config.quota.on_store_loss == "deny",
        )

        # Where they go.
        self.forwarder = Forwarder(
            self.accounting.settlements.finish,
            self.accounting.extensions.extend,
            self.accounting.lease,
            step_tokens=config.quota.reserve_step_tokens,
            note=self.attempts.add,
            hide_others=self.objects.hide_others,
            heartbeat_s=settings.heartbeat_s,
        )
        self.outages = Outages(pool, lambda: terms.upstreams)
        self.revocations = Revocations(
            self.forwarder.live_calls, self.keys.versions, self.tokens.renew, self.forwarder.revoke
        )
        self.notices = Notices(self.tokens, self.foreign, self.revocations, self.catalogs)

        # How they come in.
        self.health = Health(quota)
        self.load = LoadWatch(
            delay_s=settings.shed_delay_s, descriptors_percent=settings.shed_descriptors_percent
        )
        proxies = Blocks.of(settings.trusted_proxies)
        self.crowd = Crowd(settings.max_connections_per_address, proxies, one_too_many)
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
            pages={"/healthz": self.health.alive, "/readyz": self.health.ready},
            tokens=self.tokens,
            settlements=self.accounting.settlements,
            load=self.load,
            log=log,
            refusals=self.refusals,
            counters=self.counters,
            tracer=self.tracer,
            exhausted_status=config.quota.exhausted_status,
            catalog=lambda: self.catalog,
        )
        self.server = Server(
            self.handler.handle,
            bounds=Bounds(self.crowd, unread, settings.slow_reader_s),
            load=self.load,
            max_body_bytes=settings.max_body_bytes,
            keepalive_timeout_s=settings.keepalive_timeout_s,
            proxied_by=proxies if settings.proxy_protocol else None,
        )

    def _ways(self, config: Config) -> Ways:
        return Ways(
            identify=identify_route(
                lambda: origin_of(self.config.gateway), rules_of(config.routes)
            ),
            chains=chains(
                config, self.tokens, self.foreign, self._terms, self.objects, self.accounting
            ),
            cors=config.gateway.cors,
        )

    async def adopt(self, loaded: Loaded) -> None:
        """Go by another configuration, of which `reload.RELOADABLE` and the catalog may differ.

        Calls that run go on with what they began with. Raises `ConfigError` for a name that the admin API has taken,
        and `StoreUnavailable`; then nothing is changed.
        """
        await register_entries(self._pool, loaded)
        await self.catalogs.adopt(loaded)
        self.config = loaded.config
        settings = loaded.config.gateway
        proxies = Blocks.of(settings.trusted_proxies)
        self.handler.adopt(self._ways(loaded.config))
        self.forwarder.heartbeat_s = settings.heartbeat_s
        self.crowd.adopt(settings.max_connections_per_address, proxies)
        self.server.adopt(
            max_body_bytes=settings.max_body_bytes,
            keepalive_timeout_s=settings.keepalive_timeout_s,
            proxied_by=proxies,
        )

    @property
    def catalog(self) -> Catalog:
        """The catalog that new calls begin with."""
        return self.catalogs.catalog

    def _renewed(self, before: Catalog, now: Catalog) -> None:
        """Go by a newer catalog. Of groups alone tokens keep something."""
        self._terms.renew(now)
        if now.groups != before.groups:
            self.tokens.clear()

    def figures(self) -> list[Figure]:
        """What `/metrics` tells of this worker now."""
        calls, streams = self.forwarder.running
        return [
            *call_figures(self.counters),
            *self.shadows.figures(),
            Figure("tollhouse_active_calls", {(): calls}),
            Figure("tollhouse_active_streams", {(): streams}),
            *upstream_figures(self._terms.upstreams, time.monotonic()),
            *accounting_figures(self.accounting.poster, self.quota, self.accounting.unheard),
            *self.audit.figures(),
            *key_figures(self.tokens),
            *self.crowd.figures(),
            *self.load.figures(),
            Figure("tollhouse_draining", {(): int(not self.health.is_accepting)}),
            Figure("tollhouse_workers", {(): 1}),
            Figure("tollhouse_build_info", {(__version__,): 1}),
            Figure("tollhouse_log_dropped_total", {(): self.log.dropped}),
            Figure("tollhouse_spans_exported_total", {(): self.tracer.exported}),
            Figure("tollhouse_spans_dropped_total", {(): self.tracer.dropped}),
        ]


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
    async with contextlib.AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(loaded, seal))
        log = AccessLog(loaded.config.log.access)
        stack.callback(log.close)
        terms = TermsMaker(stores.quota)
        stack.callback(terms.close)
        gateway = Gateway(
            loaded, stores, pepper=pepper, log=log, terms=terms, trace_headers=trace_headers
        )
        await gateway.foreign.look()
        await gateway.loads.learn()
        await stack.enter_async_context(_tasks(gateway))
        await stack.enter_async_context(
            stores.valkey.listen(
                gateway.notices.token_changed,
                gateway.notices.catalog_changed,
                gateway.notices.missed,
                on_user=gateway.notices.user_changed,
                on_account=gateway.notices.account_changed,
            )
        )
        yield gateway


@contextlib.asynccontextmanager
async def _tasks(gateway: Gateway) -> AsyncIterator[None]:
    """The worker's own tasks. One that fails takes the worker down with its traceback, never silently."""
    accounting = gateway.accounting
    # Before the first call: what a worker finds open then is nothing that it would have to tell of what it holds.
    with contextlib.suppress(StoreUnavailable):
        await accounting.housekeeping.beat()
    async with asyncio.TaskGroup() as group:
        posting = group.create_task(accounting.poster.run(), name="posting")
        endless = [
            group.create_task(accounting.housekeeping.run(), name="housekeeping"),
            group.create_task(gateway.forwarder.watch(), name="deadlines"),
            group.create_task(gateway.load.run(), name="load"),
            group.create_task(gateway.refusals.run(), name="refusal counts"),
            group.create_task(gateway.objects.run(), name="objects"),
            group.create_task(gateway.attempts.run(), name="attempts"),
            group.create_task(gateway.secret_uses.run(), name="uses of secrets"),
            group.create_task(gateway.outages.run(), name="outages"),
            group.create_task(gateway.log.run(), name="access log"),
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
            accounting.unheard.void()
            accounting.poster.close()
            await asyncio.wait({posting})
            for task in endless:
                task.cancel()
