"""The stores of a gateway worker, open."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.config import Loaded
from gateway.giving_way import THIRD
from gateway.store.catalog import CatalogReader
from gateway.store.configured import register_entries
from gateway.store.ledger import LedgerStore
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import Pool, open_pool
from gateway.store.quota import QuotaStore
from gateway.store.seal import Seal
from gateway.store.upstream_keys import opening
from gateway.store.valkey import Valkey, open_valkey


@dataclass(frozen=True, slots=True)
class Stores:
    """Postgres and Valkey, by what they are asked for. `catalogs` has been read once.

    `aside` is Postgres for long work that no call waits for.
    """

    pool: Pool
    aside: Pool
    quota: QuotaStore
    ledger: LedgerStore
    catalogs: CatalogReader
    valkey: Valkey


@contextlib.asynccontextmanager
async def open_stores(loaded: Loaded, seal: Seal | None) -> AsyncIterator[Stores]:
    """Open them in the order in which they need each other; they are closed in reverse.

    Raises `StoreUnavailable` when one cannot be reached, and `ConfigError` for a name that the admin API has taken.
    """
    config = loaded.config
    dsn, url = config.postgres.dsn.get_secret_value(), config.redis.url.get_secret_value()
    timeout_s = config.postgres.statement_timeout_s
    async with contextlib.AsyncExitStack() as stack:
        pool = await open_pool(dsn, size=config.postgres.pool_size, statement_timeout_s=timeout_s)
        stack.push_async_callback(pool.close)
        aside = await open_pool(dsn, size=1, statement_timeout_s=timeout_s, gives_way=THIRD)
        stack.push_async_callback(aside.close)
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
        valkey = await stack.enter_async_context(open_valkey(url))
        yield Stores(pool, aside, quota, ledger, catalogs, valkey)
