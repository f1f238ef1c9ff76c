"""What is in the stores when a run is over: rows of the ledger, scopes, and whatever Valkey still holds."""

import asyncio
import time
from collections.abc import Iterator

import asyncpg
import redis

from gateway.domain.token import SHARDS
from gateway.store.books import unpack_book
from gateway.store.prepared import key
from tests.chaos.checker import Scope, Violation
from tests.chaos.cluster import Cluster
from tests.chaos.plan import number_of
from tests.chaos.records import Row

_POLL_S = 0.25
_ROWS = """
SELECT replace(request_id::text, '-', '') AS request_id, host(max(address)) AS address,
       max(status) AS status, sum(amount)::bigint AS amount, sum(unbilled)::bigint AS unbilled,
       bool_or(estimated) AS estimated, coalesce(max(anomaly), '') AS anomaly,
       max(input_tokens) AS input_tokens, max(output_tokens) AS output_tokens, max(upstream) AS upstream
  FROM ledger WHERE token_id = $1 GROUP BY request_id
"""
_SCOPES = """
SELECT 't' || t.id AS scope, t.granted, t.used,
       (SELECT coalesce(sum(amount), 0)::bigint FROM ledger l WHERE l.token_id = t.id) AS ledger
  FROM token t
UNION ALL
SELECT 'm' || m.account_id || '.' || m.user_id, m.granted, m.used,
       (SELECT coalesce(sum(amount), 0)::bigint FROM ledger l
         WHERE l.account_id = m.account_id AND l.user_id = m.user_id)
  FROM member m
UNION ALL
SELECT 'g' || s.account_id || '.' || s.group_id, s.granted, s.used,
       (SELECT coalesce(sum(amount), 0)::bigint FROM ledger l
         WHERE l.account_id = s.account_id AND l.group_id = s.group_id)
  FROM subscription s
UNION ALL
SELECT 'a' || a.id, a.granted, a.used,
       (SELECT coalesce(sum(amount), 0)::bigint FROM ledger l WHERE l.account_id = a.id)
  FROM account a
"""
_ENTRIES = """
SELECT CASE scope_kind WHEN 't' THEN 't' || scope_id WHEN 'a' THEN 'a' || scope_id
                       ELSE scope_kind::text || account_id || '.' || scope_id END AS scope,
       (extract(epoch FROM at) * 1000000)::bigint AS at_us, delta
  FROM grant_entry ORDER BY id
"""


def fetch(cluster: Cluster, query: str, *arguments: object) -> list[asyncpg.Record]:
    """The rows of a query."""

    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(cluster.dsn, timeout=20)
        try:
            return await connection.fetch(query, *arguments, timeout=300)
        finally:
            await connection.close()

    return asyncio.run(ask())


def wait_until_quiet(cluster: Cluster, within_s: float) -> list[Violation]:
    """Until Valkey holds nothing that is under way and the ledger stands still; what is left when the time is up."""
    deadline = time.monotonic() + within_s
    count, since = -1, time.monotonic()
    while True:
        left = list(_under_way(cluster))
        now = fetch(cluster, "SELECT count(*) FROM ledger")[0][0]
        if left or now != count:
            count, since = now, time.monotonic()
        elif time.monotonic() - since > 1.5:
            return []
        if time.monotonic() > deadline:
            return [
                Violation("unconserved", f"still in Valkey when all is quiet: {key}")
                for key in left
            ]
        time.sleep(_POLL_S)


def _under_way(cluster: Cluster) -> Iterator[str]:
    """The keys of reservations, of charges under way, and of their index. An empty one does not exist."""
    with cluster.store() as store:
        for part in ("r:*", "p:*", "x"):
            for key in store.scan_iter(f"q:*:{part}", count=1000):
                kind = store.type(key)
                size = store.zcard(key) if kind == b"zset" else store.hlen(key)
                yield f"{key.decode()} ({size})"


def rows_of(cluster: Cluster, token_id: int) -> list[Row]:
    """A token's rows."""
    return [
        Row(
            row["request_id"],
            None if row["address"] is None else number_of(row["address"]),
            *(row[name] for name in Row._fields[2:]),
        )
        for row in fetch(cluster, _ROWS, token_id)
    ]


def scopes(cluster: Cluster) -> list[Scope]:
    """Every scope of the run's tokens."""
    entries: dict[str, list[tuple[int, int]]] = {}
    for entry in fetch(cluster, _ENTRIES):
        entries.setdefault(entry["scope"], []).append((entry["at_us"], entry["delta"]))
    accounts = {name: int(scopes[3][1:]) for scopes in cluster.made.scopes for name in scopes}
    with cluster.store() as store:
        return [
            Scope(
                row["scope"],
                row["granted"],
                row["used"],
                row["ledger"],
                tuple(entries.get(row["scope"], ())),
                _book(store, accounts[row["scope"]], row["scope"]),
            )
            for row in fetch(cluster, _SCOPES)
            if row["scope"] in accounts
        ]


def _book(
    store: redis.Redis, account: int, scope: str
) -> tuple[int | None, int, int, int, int] | None:
    data = store.get(key(account % SHARDS, "b", scope))
    if data is None:
        return None
    book = unpack_book(scope, data)
    return book.granted, book.used, book.pending, book.reserved, book.live
