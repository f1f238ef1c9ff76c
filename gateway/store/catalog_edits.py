"""Writes on the catalog's entries: lock → validate → write → audit → raise the generation, in one transaction.

Edits take turns, so that what one has checked still holds when it commits. The caller publishes the generation.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from gateway.catalog_entries import (
    Entries,
    Kind,
    Row,
    Settings,
    entries_of,
    file_names,
    spec_of,
    taken_names,
)
from gateway.catalog_rules import check, require_own, uses_of
from gateway.catalog_settings import GroupSettings, PriceSettings
from gateway.config import Loaded
from gateway.domain.edit import Actor
from gateway.domain.rejection import Mistake, Problem, Rejected, mistake, rejected
from gateway.domain.rules import Rule
from gateway.store import audit
from gateway.store.catalog import group_columns, raise_generation, read_rows
from gateway.store.postgres import Connection, Pool, reading, transaction

# A row of a group that the file once had is taken over, with its id.
_WRITE: Final[Mapping[Kind, str]] = {
    "upstream": """
INSERT INTO upstream (name, spec, sealed_keys, key_hints) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET spec = $2, sealed_keys = $3, key_hints = $4, version = upstream.version + 1
""",
    "model": """
INSERT INTO model (name, spec, price_version) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET spec = $2, price_version = $3, version = model.version + 1
""",
    "group": """
INSERT INTO "group" AS g (name, source, spec, open, subscription_granted) VALUES ($1, 'api', $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET source = 'api', spec = $2, open = $3, subscription_granted = $4,
                                 version = g.version + 1
""",
}
_DELETE: Final[Mapping[Kind, str]] = {
    "upstream": "DELETE FROM upstream WHERE name = $1",
    "model": "DELETE FROM model WHERE name = $1",
    "group": """
UPDATE "group" SET deleted_at = now(), open = false, name = name || ' (deleted ' || id || ')', version = version + 1
 WHERE name = $1
""",
}
_USERS_OF_GROUP = """
SELECT (SELECT count(*) FROM "user" u WHERE u.group_id = g.id AND u.deleted_at IS NULL),
       (SELECT count(*) FROM token t WHERE t.group_id = g.id AND t.deleted_at IS NULL),
       (SELECT count(*) FROM subscription s WHERE s.group_id = g.id AND NOT s.implied
           AND (s.ends_at IS NULL OR s.ends_at > now())),
       (SELECT count(*) FROM invite i WHERE i.group_id = g.id AND i.revoked_at IS NULL AND i.used < i.uses
           AND i.expires_at > now())
  FROM "group" g WHERE g.name = $1
"""
_PEOPLE: Final = (
    Rule.GROUP_HAS_USERS,
    Rule.GROUP_HAS_TOKENS,
    Rule.GROUP_HAS_SUBSCRIPTIONS,
    Rule.GROUP_HAS_INVITES,
)
"""What is told of each count."""
_NEW_PRICE = "INSERT INTO price (model, spec) VALUES ($1, $2) RETURNING version"
_PRICES = (
    "SELECT version, spec, created_at FROM price WHERE model = $1 ORDER BY version DESC LIMIT 100"
)
_PRICE_FIELDS: Final = frozenset({*PriceSettings.model_fields, "request_usd", "tiers"})


@dataclass(frozen=True, slots=True)
class Draft:
    """An entry as it is to be. `keys`: an upstream's, sealed, with what is shown of them; None: as they are."""

    settings: Settings
    keys: tuple[bytes | None, Sequence[str]] | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """An entry after a committed edit. `generation`: what running gateways have to be told; None: nothing changed."""

    row: Row
    generation: int | None


async def create_entry(
    pool: Pool, actor: Actor, loaded: Loaded, kind: Kind, name: str, draft: Draft
) -> Changed:
    """Make an entry. Raises `Rejected` (name taken, invalid field) and `StoreUnavailable`."""
    async with _editing(pool, loaded) as (connection, rows, entries):
        if name in taken_names(loaded, kind):
            raise rejected(Problem.NAME_TAKEN, "name", Rule.ENTRY_RESERVED, given=name)
        if _find(rows, kind, name) is not None:
            raise rejected(Problem.NAME_TAKEN, "name", Rule.ENTRY_TAKEN, given=name)
        check(entries, name, draft.settings)
        row = await _write(connection, kind, name, draft, None)
        await audit.record(connection, actor, f"{kind}.create", name, after=_auditable(row))
        return Changed(row, await raise_generation(connection))


async def update_entry(
    pool: Pool,
    actor: Actor,
    loaded: Loaded,
    kind: Kind,
    name: str,
    decide: Callable[[Row], Draft],
    *,
    if_version: int | None = None,
) -> Changed:
    """Change an entry. `decide` sees the row and says what it becomes; what changes nothing writes nothing.

    Raises `Rejected` (not found, in the file, version mismatch, whatever `decide` raises) and `StoreUnavailable`.
    """
    async with _editing(pool, loaded) as (connection, rows, entries):
        before = _own(loaded, rows, kind, name, if_version)
        draft = decide(before)
        if draft.keys is None and spec_of(draft.settings) == before.spec:
            return Changed(before, None)
        check(entries, name, draft.settings)
        row = await _write(connection, kind, name, draft, before)
        await audit.record(
            connection,
            actor,
            f"{kind}.update",
            name,
            **audit.differences(_auditable(before), _auditable(row)),
        )
        return Changed(row, await raise_generation(connection))


async def delete_entry(
    pool: Pool,
    actor: Actor,
    loaded: Loaded,
    kind: Kind,
    name: str,
    *,
    if_version: int | None = None,
) -> Changed:
    """Delete an entry that nothing names. Raises `Rejected` (not found, in use, …) and `StoreUnavailable`."""
    async with _editing(pool, loaded) as (connection, rows, entries):
        row = _own(loaded, rows, kind, name, if_version)
        uses = uses_of(entries, kind, name)
        if kind == "group":
            uses += await _people_of(connection, name)
        if uses:
            raise Rejected(Problem.IN_USE, *uses)
        await connection.execute(_DELETE[kind], name)
        await audit.record(connection, actor, f"{kind}.delete", name, before=_auditable(row))
        return Changed(row, await raise_generation(connection))


async def read_prices(pool: Pool, model: str) -> list[Mapping[str, Any]]:
    """The prices that a model was given over the API, the newest first. Raises `StoreUnavailable`."""
    async with reading(pool) as connection:
        return [dict(row) for row in await connection.fetch(_PRICES, model)]


@asynccontextmanager
async def _editing(
    pool: Pool, loaded: Loaded
) -> AsyncIterator[tuple[Connection, Sequence[Row], Entries]]:
    async with transaction(pool) as connection:
        await connection.execute("SELECT FROM catalog FOR NO KEY UPDATE")
        rows, _ = await read_rows(connection)
        yield connection, rows, entries_of(loaded, rows)


async def _write(
    connection: Connection, kind: Kind, name: str, draft: Draft, before: Row | None
) -> Row:
    spec = spec_of(draft.settings)
    columns: tuple[Any, ...]
    if isinstance(draft.settings, GroupSettings):
        columns = group_columns(draft.settings)
    elif kind == "model":
        columns = (await _price_version(connection, name, spec, before),)
    elif draft.keys is not None:
        columns = draft.keys
    else:
        columns = (None, ()) if before is None else (before.sealed_keys, before.key_hints)
    await connection.execute(_WRITE[kind], name, spec, *columns)
    rows, _ = await read_rows(connection)
    row = _find(rows, kind, name)
    assert row is not None
    return row


async def _price_version(
    connection: Connection, name: str, spec: Mapping[str, Any], before: Row | None
) -> int | None:
    """The number of the price that the spec says: another for each change, so that ledger rows name what they used."""
    price = _price_in(spec)
    if price is None:
        return None
    if before is not None and price == _price_in(before.spec):
        return before.price_version
    version: int = await connection.fetchval(_NEW_PRICE, name, price)
    return version


def _price_in(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    price = {name: value for name, value in spec.items() if name in _PRICE_FIELDS}
    return price if "input_usd_per_mtok" in price else None


async def _people_of(connection: Connection, name: str) -> list[Mistake]:
    counts = await connection.fetchrow(_USERS_OF_GROUP, name) or (0,) * len(_PEOPLE)
    return [
        mistake("name", rule, given=name, count=count)
        for rule, count in zip(_PEOPLE, counts, strict=True)
        if count
    ]


def _own(loaded: Loaded, rows: Sequence[Row], kind: Kind, name: str, if_version: int | None) -> Row:
    """The row to be edited."""
    require_own(name, file_names(loaded, kind))
    row = _find(rows, kind, name)
    if row is None:
        raise rejected(Problem.NOT_FOUND, "name", Rule.NO_ENTRY, kind=kind, given=name)
    if if_version is not None and if_version != row.version:
        raise rejected(
            Problem.VERSION_MISMATCH,
            "version",
            Rule.VERSION_CHANGED,
            version=row.version,
            given=if_version,
        )
    return row


def _find(rows: Sequence[Row], kind: Kind, name: str) -> Row | None:
    return next((row for row in rows if (row.kind, row.name) == (kind, name)), None)


def _auditable(row: Row) -> dict[str, Any]:
    keys = {"api_keys": list(row.key_hints)} if row.kind == "upstream" else {}
    prices = {"price_version": row.price_version} if row.kind == "model" else {}
    return {**row.spec, **keys, **prices}
