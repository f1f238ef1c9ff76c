"""From a key's digest to the token that it opens, and the books that the quota store loads.

Reads only; administrative writes are `gateway/store/tokens.py`'s.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import asyncpg

from gateway.domain.catalog import Catalog, Group
from gateway.domain.limits import Limit, strictest
from gateway.domain.network import Blocks, parse_address
from gateway.domain.token import SCOPES, Token
from gateway.store.books import Book
from gateway.store.postgres import store_errors
from gateway.store.scopes import ensure_scopes
from gateway.store.token_rows import read_limit

_ROW = """
SELECT t.id, t.account_id, t.user_id, t.name, t.status, t.models, t.models_enabled, t.allow_ips, t.deny_ips,
       t.limits, t.max_concurrency, t.reserve,
       t.granted, t.gver, t.used, t.version,
       extract(epoch FROM t.expires_at)::float8 AS expires_at,
       extract(epoch FROM x.expires_at)::float8 AS secret_expires_at, host(x.address) AS console_address,
       coalesce(t.group_id, u.group_id) AS group_id,
       a.status AS account_status,
       a.granted AS account_granted, a.gver AS account_gver, a.used AS account_used, a.version AS account_version,
       u.status AS user_status, m.limits AS member_limits, m.max_concurrency AS member_concurrency,
       m.granted AS member_granted, m.gver AS member_gver, m.used AS member_used, m.version AS member_version,
       m.removed_at IS NOT NULL AS member_removed,
       s.granted AS subscription_granted, s.gver AS subscription_gver, s.used AS subscription_used,
       s.version AS subscription_version,
       s.limits AS subscription_limits, s.max_concurrency AS subscription_concurrency,
       NOT s.implied AND s.group_id <> u.group_id
         AND NOT (SELECT g.open FROM "group" g WHERE g.id = s.group_id) AS subscription_opens,
       extract(epoch FROM s.starts_at)::float8 AS starts_at, extract(epoch FROM s.ends_at)::float8 AS ends_at,
       (SELECT generation FROM catalog) AS generation
{source}
  JOIN account a ON a.id = t.account_id
  JOIN "user" u ON u.id = t.user_id
  LEFT JOIN member m ON m.account_id = t.account_id AND m.user_id = t.user_id
  LEFT JOIN subscription s ON s.account_id = t.account_id AND s.group_id = coalesce(t.group_id, u.group_id)
 WHERE {which} AND t.deleted_at IS NULL
"""
_FIND = _ROW.format(
    source="FROM token_secret x JOIN token t ON t.id = x.token_id", which="x.digest = $1"
)
# While the pepper is changed a key may be stored as one or the other.
_FIND_EITHER = _FIND.replace("x.digest = $1", "x.digest IN ($1, $2)")
_FIND_MANY = _ROW.format(
    source="""
  FROM token t
  LEFT JOIN LATERAL (SELECT expires_at, address FROM token_secret
                      WHERE token_id = t.id AND purpose <> 'playground'
                      ORDER BY id DESC LIMIT 1) x ON true""",
    which="t.id = ANY ($1)",
)

_COLUMNS_OF = ("", "member_", "subscription_", "account_")

_HAS_FOREIGN = "SELECT EXISTS (SELECT FROM token_secret WHERE purpose = 'imported')"

_VERSIONS = """
SELECT t.id, t.version, coalesce(m.version, 1), coalesce(s.version, 1), a.version
  FROM token t
  JOIN account a ON a.id = t.account_id
  JOIN "user" u ON u.id = t.user_id
  LEFT JOIN member m ON m.account_id = t.account_id AND m.user_id = t.user_id
  LEFT JOIN subscription s ON s.account_id = t.account_id AND s.group_id = coalesce(t.group_id, u.group_id)
 WHERE t.id = ANY ($1) AND t.deleted_at IS NULL
"""

_BOOKS = """
SELECT 't' || id, granted, gver, used, version FROM token WHERE id = $4
UNION ALL SELECT 'm' || account_id || '.' || user_id, granted, gver, used, version
            FROM member WHERE account_id = $1 AND user_id = $2
UNION ALL SELECT 'g' || account_id || '.' || group_id, granted, gver, used, version
            FROM subscription WHERE account_id = $1 AND group_id = $3
UNION ALL SELECT 'a' || id, granted, gver, used, version FROM account WHERE id = $1
"""


class Found(NamedTuple):
    """A token, and the books of its scopes as they were read with it; none where a scope has no row yet."""

    token: Token
    books: Sequence[Book]


class KeyStore:
    """Tokens by digest. `catalog` gives the catalog of the moment; `reserve` is for tokens that name none.

    `reach` has that of a generation, or a newer one: a row is never read by an older catalog than it was written by.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        catalog: Callable[[], Catalog],
        *,
        reach: Callable[[int], Awaitable[object]],
        reserve: str = "strict",
    ) -> None:
        self._pool = pool
        self._catalog = catalog
        self._reach = reach
        self._reserve = reserve

    async def find(self, digests: Sequence[bytes]) -> Found | None:
        """What a key opens by one of its digests; None where it opens nothing. Raises `StoreUnavailable`."""
        with store_errors():
            row = await self._pool.fetchrow(_FIND if len(digests) == 1 else _FIND_EITHER, *digests)
        if row is None:
            return None
        token = _token(row, await self._catalog_of(row), self._reserve)
        return Found(token, _books(row, token))

    async def find_by_id(self, token_id: int) -> Token | None:
        """The token, as its newest secret opens it; None where there is none. Raises `StoreUnavailable`."""
        found = await self.find_many([token_id])
        return found[0] if found else None

    async def find_many(self, token_ids: Sequence[int]) -> list[Token]:
        """Those of the tokens that there are, likewise. Raises `StoreUnavailable`."""
        with store_errors():
            rows = await self._pool.fetch(_FIND_MANY, token_ids)
        if not rows:
            return []
        catalog = await self._catalog_of(rows[0])
        return [_token(row, catalog, self._reserve) for row in rows]

    async def versions(self, token_ids: Collection[int]) -> Mapping[int, Sequence[int]]:
        """The versions of those of the tokens that there are, as `Token.versions` has them.

        Raises `StoreUnavailable`.
        """
        with store_errors():
            rows = await self._pool.fetch(_VERSIONS, token_ids)
        return {token_id: tuple(versions) for token_id, *versions in rows}

    async def has_foreign(self) -> bool:
        """Whether another gateway's key opens a token here. Raises `StoreUnavailable`."""
        with store_errors():
            return await self._pool.fetchval(_HAS_FOREIGN) is True

    async def books(self, token: Token) -> list[Book]:
        """The four books of a token's scopes as Postgres has them now. Raises `StoreUnavailable`."""
        scopes = (token.account_id, token.user_id, token.group.id)
        with store_errors():
            rows = await self._pool.fetch(_BOOKS, *scopes, token.id)
            if len(rows) < len(SCOPES):
                async with self._pool.acquire() as connection, connection.transaction():
                    await ensure_scopes(connection, *scopes, "system")
                    rows = await connection.fetch(_BOOKS, *scopes, token.id)
        return [Book(*row) for row in rows]

    async def _catalog_of(self, row: asyncpg.Record) -> Catalog:
        if self._catalog().generation < row["generation"]:
            await self._reach(row["generation"])
        return self._catalog()


def _token(row: asyncpg.Record, catalog: Catalog, reserve: str) -> Token:
    # A group that this catalog does not know lets nothing through.
    unknown = Group(row["group_id"], f"#{row['group_id']}", models=frozenset())
    group = catalog.groups.get(row["group_id"], unknown)
    # NULL inherits; a list that is switched off is the token's own word too: all models of its group.
    models = group.token_models if row["models"] is None else None
    if row["models_enabled"]:
        models = frozenset(row["models"] or ())
    own = _limits(row["limits"]) if row["limits"] is not None else group.token_limits
    concurrency = row["max_concurrency"]
    if concurrency is None:
        concurrency = group.token_max_concurrency or 0
    return Token(
        id=row["id"],
        account_id=row["account_id"],
        user_id=row["user_id"],
        name=row["name"],
        group=group,
        status=row["status"],
        expires_at=row["expires_at"],
        account_live=row["account_status"] == 1,
        user_live=row["user_status"] == 1,
        models=models,
        allow=group.token_allow if row["allow_ips"] is None else Blocks.of(row["allow_ips"]),
        deny=group.token_deny if row["deny_ips"] is None else Blocks.of(row["deny_ips"]),
        limits=(
            *((0, limit) for limit in own),
            *((1, limit) for limit in _limits(row["member_limits"] or [])),
            *(
                (2, limit)
                for limit in strictest(group.limits, _limits(row["subscription_limits"] or []))
            ),
        ),
        concurrency=(
            concurrency,
            row["member_concurrency"] or 0,
            _lower(group.max_concurrency, row["subscription_concurrency"]),
            0,
        ),
        granted=(
            row["granted"] is not None,
            row["member_granted"] is not None,
            row["subscription_granted"] is not None,
            row["account_granted"] is not None,
        ),
        versions=(
            row["version"],
            row["member_version"] or 1,
            row["subscription_version"] or 1,
            row["account_version"],
        ),
        secret_expires_at=row["secret_expires_at"],
        estimates=(row["reserve"] or reserve) == "estimate",
        member_live=not row["member_removed"],
        # A group that is the user's own, or everybody's, is open to them whatever was subscribed to.
        group_from=row["starts_at"] if row["subscription_opens"] else None,
        group_until=row["ends_at"] if row["subscription_opens"] else None,
        console_address=row["console_address"] and parse_address(row["console_address"]),
    )


def _books(row: asyncpg.Record, token: Token) -> Sequence[Book]:
    if row["member_version"] is None or row["subscription_version"] is None:
        return ()
    return [
        Book(scope_id, *(row[of + name] for name in ("granted", "gver", "used", "version")))
        for scope_id, of in zip(token.scope_ids, _COLUMNS_OF, strict=True)
    ]


def _lower(one: int | None, other: int | None) -> int:
    """The lower of two bounds; 0 where there is neither."""
    return min((bound for bound in (one, other) if bound), default=0)


def _limits(stored: list[dict[str, Any]]) -> tuple[Limit, ...]:
    return tuple(read_limit(document) for document in stored)
