"""Tokens as administrators read them: one by its id, or several. Lists are `gateway/store/token_lists.py`'s.

Reads only; the writes are `gateway/store/tokens.py`'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from gateway.domain.edit import Actor, TokenRow
from gateway.domain.limits import Limit, Metric
from gateway.domain.rejection import Problem, Rejected, rejected
from gateway.domain.rules import Rule
from gateway.store.postgres import Connection, Pool, reading

_BY_ID: Final = """
SELECT * FROM token_shown WHERE id = $1 AND ($2::bigint IS NULL OR user_id = $2)
"""

_MAX_ID = 2**63 - 1
_INHERITED: Final = (None, None, None, None)  # most tokens leave these rules to their group


async def get_token(pool: Pool, actor: Actor, token_id: int) -> TokenRow:
    """One token that the actor reaches. Raises `Rejected` (not found)."""
    async with reading(pool) as connection:
        return await read_token(connection, actor, token_id)


async def read_token(connection: Connection, actor: Actor, token_id: int) -> TokenRow:
    """As `get_token`, within the caller's transaction."""
    row = None
    if 0 < token_id <= _MAX_ID:
        row = await connection.fetchrow(_BY_ID, token_id, actor.user_id)
    if row is None:
        raise no_such_token(token_id)
    return row_of(row)


def no_such_token(token_id: int) -> Rejected:
    """Also for a token of somebody else: that it exists is not told."""
    return rejected(Problem.NOT_FOUND, "id", Rule.NO_TOKEN, given=token_id)


def limit_document(limit: Limit) -> dict[str, Any]:
    """A limit as the column keeps it: `limit` and `burst` in nano-dollars for usd."""
    return {
        "metric": str(limit.metric),
        "window": limit.window,
        "limit": limit.limit,
        "burst": limit.burst,
        "mode": limit.mode,
        "models": None if limit.models is None else sorted(limit.models),
        "time_zone": limit.time_zone,
        "shadow": limit.shadow,
    }


def read_limit(document: Mapping[str, Any]) -> Limit:
    """The limit of a document as `limit_document` writes it; members that are absent have their default."""
    models = document.get("models")
    return Limit(
        metric=Metric(document["metric"]),
        window=document["window"],
        limit=int(document["limit"]),
        mode=document.get("mode", "sliding"),
        models=None if models is None else frozenset(models),
        time_zone=document.get("time_zone", "UTC"),
        burst=document.get("burst"),
        shadow=document.get("shadow", False),
    )


def limit_documents(limits: Sequence[Limit] | None) -> list[dict[str, Any]] | None:
    """Limits as the column keeps them; None where the group's apply."""
    return None if limits is None else [limit_document(limit) for limit in limits]


def row_of(values: Iterable[Any]) -> TokenRow:
    """The token of a row whose columns begin with the fields of `TokenRow`, in their order."""
    row = TokenRow._make(islice(values, len(TokenRow._fields)))
    documents: Any = row.limits
    if (row.models, row.allow_ips, row.deny_ips, documents) == _INHERITED:
        return row
    return row._replace(
        models=None if row.models is None else tuple(row.models),
        allow_ips=None if row.allow_ips is None else tuple(row.allow_ips),
        deny_ips=None if row.deny_ips is None else tuple(row.deny_ips),
        limits=None if documents is None else tuple(map(read_limit, documents)),
    )
