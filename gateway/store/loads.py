"""Books and windows for the quota store where it has none: after a loss, or at a token's first call.

A look-up of a key brings its books along, and the store is told of them before the call asks it.

Books are rows of Postgres. What a window holds is summed up from the ledger and from what the ledger does not have
yet: live reservations and charges on their way, whose ids are left out of the ledger's sums. So each call counts once,
at its start. Where something is not known it counts as more.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import asyncpg

from gateway.domain.limits import Metric
from gateway.domain.token import SHARDS, Token
from gateway.store.books import Reservation, Settlement
from gateway.store.books_ahead import BooksAhead
from gateway.store.charges import COLUMNS, LOST_WORKER, copy_text
from gateway.store.contents import Survey, WindowSums
from gateway.store.keys import KeyStore
from gateway.store.postgres import Pool, reading
from gateway.store.prepared import Prepared
from gateway.store.quota import QuotaStore
from gateway.store.windows import Window

_MODEL_OF_DETAIL: Final = (
    4  # in the detail of a reservation, which begins as the ledger's line goes on behind `kind`
)
_COLUMN: Final = {name: number for number, name in enumerate(COLUMNS)}

# Ids are times, and the ledger's indexes are by id. An hour is for clocks of workers that disagree.
_SUMS: Final = """
SELECT w.number, b.bucket, b.units
  FROM jsonb_to_recordset($1) AS w (number int, metric text, models jsonb, since_ms bigint, bucket_ms bigint)
 CROSS JOIN LATERAL (
   SELECT coalesce((extract(epoch FROM started_at) * 1000)::bigint / w.bucket_ms, 0) AS bucket,
          sum(CASE w.metric
                WHEN 'requests' THEN (kind = 'c' AND (upstream <> '' OR anomaly IS NOT DISTINCT FROM $3))::int
                WHEN 'tokens' THEN input_tokens + output_tokens
                ELSE amount END)::bigint AS units
     FROM ledger
    WHERE {scope}
      AND request_id >= uuid7_floor(to_timestamp(w.since_ms / 1000.0) - interval '1 hour')
      AND started_at >= to_timestamp(w.since_ms / 1000.0)
      AND (w.models IS NULL OR w.models ? model)
      AND request_id <> ALL ($2::uuid[])
    GROUP BY 1) b
"""
_ROWS_OF: Final = (
    "token_id = $4",
    "account_id = $4 AND user_id = $5",
    "account_id = $4 AND group_id = $5",
    "account_id = $4",
)
_QUERIES: Final = tuple(_SUMS.format(scope=scope) for scope in _ROWS_OF)


class _Use(NamedTuple):
    """What one call counts. `model` is as a ledger line has it, None where it is unknown."""

    started_ms: int
    model: bytes | None
    units: Mapping[Metric, int]
    scope_ids: Sequence[str]


class Loads:
    """Makes what a RESERVE found missing: one query at a time for an account, and one for a herd."""

    def __init__(self, pool: Pool, keys: KeyStore, quota: QuotaStore) -> None:
        self._pool = pool
        self._keys = keys
        self._quota = quota
        self._running: dict[object, asyncio.Task[bool]] = {}
        self._turns: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()
        # Never changed in place: whoever holds it has what was known then.
        self._openings: Mapping[int, bytes] = {}
        self._ahead = BooksAhead(quota, self._is_over)

    async def learn(self) -> None:
        """See in which opening each shard of the store is. Raises `StoreUnavailable`."""
        self._openings = await self._quota.openings()

    async def find(self, digests: Sequence[bytes]) -> Token | None:
        """The token that a key opens by one of its digests; None where there is none. Raises `StoreUnavailable`.

        Its books are on their way to the store then, in front of whatever its calls ask there.
        """
        openings = self._openings  # seen before the rows are read, as LOAD wants it
        found = await self._keys.find(digests)
        if found is None:
            return None
        token, books = found
        opening = openings.get(token.shard)
        if books and opening is not None:
            await self._ahead.bring(token.account_id, books, opening)
        return token

    async def load(self, prepared: Prepared, token: Token) -> bool:
        """Load the token's books, and those windows of its calls that are missing.

        False when the shard is not open. Raises `StoreUnavailable`.
        """
        name = (prepared.run_id, token.scope_ids, token.versions, prepared.windows)
        task = self._running.get(name)
        if task is None:
            task = asyncio.create_task(self._load(prepared, token), name="load")
            self._running[name] = task
            task.add_done_callback(lambda _: self._running.pop(name))
        # A caller who leaves must not take the others' answer with it.
        return await asyncio.shield(task)

    async def _load(self, prepared: Prepared, token: Token) -> bool:
        turn = self._turns.setdefault(token.account_id, asyncio.Lock())
        async with turn:
            # First of all: what is read afterwards is no older than this opening of the store.
            opening = await self._quota.opening(token.shard)
            if opening is None:
                return False
            self._remember(token.shard, opening.name)
            held = await self._held(prepared.windows, token) if prepared.windows else None
            books = await self._keys.books(token)
            return await self._quota.load(token.account_id, books, held, opening=opening.name)

    def _is_over(self, account_id: int, opening: bytes) -> None:
        shard = account_id % SHARDS
        if self._openings.get(shard) == opening:
            self._openings = {s: name for s, name in self._openings.items() if s != shard}

    def _remember(self, shard: int, opening: bytes) -> None:
        if self._openings.get(shard) != opening:
            self._openings = {**self._openings, shard: opening}

    async def _held(self, windows: Sequence[Window], token: Token) -> WindowSums | None:
        """What the missing ones of the windows hold; the store is asked first (see `survey.lua`)."""
        survey = await self._quota.survey(token.account_id, token.scope_ids, windows)
        if not survey.missing:
            return None
        sums = [Counter[int]() for _ in survey.missing]
        for number, bucket, units in await self._posted(survey, token):
            sums[number][_clamped(survey.missing[number], bucket, survey.now_ms)] += units
        for use in _uses(survey):
            for window, held in zip(survey.missing, sums, strict=True):
                if token.scope_ids[window.scope] in use.scope_ids and _counts(window, use.model):
                    _add(held, window, use, survey.now_ms)
        return WindowSums(token.scope_ids, survey.missing, sums)

    async def _posted(self, survey: Survey, token: Token) -> list[asyncpg.Record]:
        """The ledger's sums as (number of the missing window, bucket, units): a query for each scope."""
        known = [reservation.request_id for reservation in survey.live]
        known += [settlement.request_id for settlement in survey.settled]
        ids = (
            (token.id,),
            (token.account_id, token.user_id),
            (token.account_id, token.group.id),
            (token.account_id,),
        )
        found: list[asyncpg.Record] = []
        async with reading(self._pool) as connection:
            for scope in sorted({window.scope for window in survey.missing}):
                asked = [
                    _question(number, window, survey.now_ms)
                    for number, window in enumerate(survey.missing)
                    if window.scope == scope
                ]
                found += await connection.fetch(
                    _QUERIES[scope], asked, known, LOST_WORKER, *ids[scope]
                )
        return found


def _question(number: int, window: Window, now_ms: int) -> dict[str, Any]:
    return {
        "number": number,
        "metric": window.metric,
        "models": None if window.models is None else sorted(window.models),
        "since_ms": window.since_ms(now_ms),
        "bucket_ms": window.bucket_ms,
    }


def _uses(survey: Survey) -> Iterator[_Use]:
    """What the account's reservations and charges on their way count, each id once."""
    live = {reservation.request_id for reservation in survey.live}
    yield from map(_held_by, survey.live)
    for settlement in survey.settled:
        if settlement.request_id not in live:
            yield _charged_by(settlement, survey.now_ms)


def _held_by(reservation: Reservation) -> _Use:
    fields = reservation.detail.split(b"\t")
    model = fields[_MODEL_OF_DETAIL] if len(fields) > _MODEL_OF_DETAIL else None
    units = {Metric.REQUESTS: 1, Metric.TOKENS: reservation.tokens, Metric.USD: reservation.amount}
    return _Use(reservation.started_ms, model, units, reservation.scope_ids)


def _charged_by(settlement: Settlement, now_ms: int) -> _Use:
    """Of an event that is no line of the ledger the amount is known, and that it was not later than now."""
    line = settlement.event.rstrip(b"\n").split(b"\t")
    if len(line) != len(COLUMNS):
        units = {Metric.REQUESTS: 1, Metric.TOKENS: 0, Metric.USD: settlement.amount}
        return _Use(now_ms, None, units, settlement.scope_ids)

    def field(name: str) -> bytes:
        return line[_COLUMN[name]]

    reached = field("upstream") != b"" or field("anomaly") == LOST_WORKER.encode()
    units = {
        Metric.REQUESTS: int(reached),
        Metric.TOKENS: int(field("input_tokens")) + int(field("output_tokens")),
        Metric.USD: settlement.amount,
    }
    started = datetime.fromisoformat(field("started_at").decode())
    started_ms = round(started.timestamp() * 1000)
    return _Use(min(started_ms, now_ms), field("model"), units, settlement.scope_ids)


def _counts(window: Window, model: bytes | None) -> bool:
    if window.models is None or model is None:
        return True
    return model in {copy_text(name) for name in window.models}


def _add(held: Counter[int], window: Window, use: _Use, now_ms: int) -> None:
    if use.started_ms >= window.since_ms(now_ms):
        held[window.bucket_of(use.started_ms)] += use.units[window.metric]


def _clamped(window: Window, bucket: int, now_ms: int) -> int:
    """A call that a worker's clock put into the future counts now."""
    return bucket if window.bucket_ms is None else min(bucket, now_ms // window.bucket_ms)
