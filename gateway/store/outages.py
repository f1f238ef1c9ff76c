"""Upstreams that workers cannot use: written by workers, read by whoever warns of it."""

from collections.abc import Mapping, Sequence

import asyncpg

from gateway.store.postgres import Connection, Pool, transaction

_FORGET = "DELETE FROM outage WHERE worker = $1 AND upstream <> ALL ($2)"
_NOTE = """
INSERT INTO outage (upstream, worker, since)
SELECT upstream, $1, now() - make_interval(secs => for_s) FROM unnest($2::text[], $3::float8[]) AS o (upstream, for_s)
ON CONFLICT (upstream, worker) DO UPDATE SET since = excluded.since, seen_at = now()
"""
# A worker that has not repeated its word for a minute has ended, or cannot write.
_READ = """
SELECT upstream, extract(epoch FROM min(since))::bigint AS since FROM outage
 WHERE seen_at > now() - interval '1 minute' GROUP BY upstream
"""
_DROP_OLD = "DELETE FROM outage WHERE seen_at < now() - interval '1 hour'"


async def note_outages(pool: Pool, worker: str, out: Mapping[str, float]) -> None:
    """Say which upstreams the worker cannot use, and for how long (s); others it can. Raises `StoreUnavailable`."""
    async with transaction(pool) as connection:
        await connection.execute(_FORGET, worker, [*out])
        if out:
            await connection.execute(_NOTE, worker, [*out], [*out.values()])


async def read_outages(connection: Connection) -> Sequence[asyncpg.Record]:
    """(upstream, since in Unix seconds) of those that a living worker cannot use. Forgets old ones."""
    await connection.execute(_DROP_OLD)
    return await connection.fetch(_READ)
