"""Sums of calls by point and key, read where they are the fewest rows, and of the ledger for the rest.

Exact at all times: what the rollup has, what it has been told of and not added yet, and the calls behind its end are
read in one snapshot. What the rollup does not tell apart is read of the ledger alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple

from gateway.domain.rollup import DAY, EPOCH, HALF, HOUR, QUARTER, STRETCH, Layer, Span, parts_of
from gateway.store.ledger_calls import CALLS, CallFilter, Where, uuid7_floor
from gateway.store.measures import DIMENSIONS, MEASURES, OF_CALLS, of_sums, shares
from gateway.store.postgres import Connection
from gateway.store.rollups import LATE

ROLLED_KEYS: Final = frozenset({"", *DIMENSIONS})
"""By what the rollup can group."""

_COARSE_KEYS: Final = frozenset({"", "model", "upstream"})
_OF_KEYS: Final = {STRETCH: "s", DAY: "d", HOUR: "h", HALF: "f"}
_TOTALS: Final = "t"
_TYPES: Final = {"token_id": "bigint", "user_id": "bigint", "model": "text", "upstream": "text"}
_OF_ALL: Final = {DAY: "D", HOUR: "H", QUARTER: "Q"}
_Whose = Literal["all", "wholes", "parts"]
# Sums by key take more memory than a session has by itself; without it they would be sorted on the disk. Of which rows
# there are few, only the values say: no plan is for all of them. And none is so long that it should be compiled.
_REACH = """
SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('jit', 'off', true),
       rolled_before, (SELECT greatest(dropped_before, to_timestamp(0)) FROM ledger_keeping) AS dropped_before,
       complete_from, stretched_from, EXISTS (SELECT FROM rollup_late) AS has_late
  FROM rollup_state
"""


class Reach(NamedTuple):
    """How far the rollup has come, and what it has; `has_late`: something is noted, and not in its sums."""

    rolled_before: datetime
    dropped_before: datetime
    complete_from: datetime
    stretched_from: datetime
    has_late: bool

    @property
    def totals_from(self) -> datetime:
        """The first day that has totals."""
        return self.complete_from + (EPOCH - self.complete_from) % DAY

    def lengths(self, whose: _Whose) -> Mapping[timedelta, datetime]:
        """From when on it has sums of which length."""
        if whose == "all":
            return {DAY: EPOCH, HOUR: EPOCH, QUARTER: EPOCH}
        lengths = {DAY: EPOCH, HOUR: EPOCH, HALF: self.complete_from}
        if whose == "parts":
            return lengths
        since = max(self.stretched_from, self.totals_from)
        return {STRETCH: since + (EPOCH - since) % STRETCH, **lengths}


async def reach_of(connection: Connection) -> Reach:
    """As it is in the connection's snapshot; for its transaction, what such statements need is set."""
    row = await connection.fetchrow(_REACH)
    assert row is not None, "rollup_state has its row from the beginning"
    return Reach(*(row[name] for name in Reach._fields))


def is_rolled(chosen: CallFilter, by: str) -> bool:
    """Whether the rollup tells apart all that is asked for."""
    return by in ROLLED_KEYS and not (
        chosen.request_id is not None
        or chosen.statuses is not None
        or chosen.min_amount is not None
        or chosen.max_amount is not None
        or chosen.end_user is not None
        or chosen.tags
    )


def cells_of(
    reach: Reach,
    chosen: CallFilter,
    where: Where,
    edges: Sequence[datetime],
    key: str,
    by: str,
    measures: Iterable[str] = MEASURES,
    among: Sequence[Any] | None = None,
) -> str:
    """The statement of `point`, `key` and `measures`, which are to be added up; `key` is the expression of `by`.

    Of all keys, or of those `among` some.

    A sum can be of no request: a correction leaves nothing where its charge was. `where` is the filter without its
    times, and gets the statement's values. To be run in the snapshot that `reach` is of.
    """
    whose = _whose(chosen, by)
    parts = parts_of(edges, reach.lengths(whose), reach.rolled_before, reach.dropped_before)
    keys = None if among is None else f"{where.value(among)}::{_TYPES[by]}[]"
    # A correction may bring another upstream than its charge had.
    is_sure = chosen.upstream is None and by != "upstream"
    telling = _Telling(where, key, keys, tuple(measures), len(parts.edges) - 1, is_sure)
    selects: list[str] = []
    before: Sequence[datetime] | None = None
    for layer in parts.layers:
        kinds = _kinds(layer, reach, whose)
        selects += [telling.rolled(kind, each, before) for kind, each in kinds if each.spans]
        before = layer.edges
    assert before is not None, "there are days, or hours"
    if reach.has_late and before[0] < before[-1]:
        selects.append(telling.late(before))
    if parts.moved:
        selects.append(telling.moved(parts.moved, parts.edges, before))
    if parts.tail.start < parts.tail.end or not selects:
        selects.append(telling.tail(parts.tail, parts.edges))
    return " UNION ALL ".join(selects)


def cells_of_calls(where: Where, edges: Sequence[datetime], key: str) -> str:
    """The same of the ledger alone, whatever the filter; each point and key is there once."""
    where.add("call.request_id >= {}", uuid7_floor(edges[0]))
    where.add("call.request_id < {}", uuid7_floor(edges[-1]))
    ids = where.value([uuid7_floor(each) for each in edges])
    return f"""
SELECT width_bucket(call.request_id, {ids}::uuid[]) AS point, {key} AS key, {OF_CALLS}
  FROM {CALLS} WHERE {where} GROUP BY 1, 2
"""  # noqa: S608 -- our own names


def _whose(chosen: CallFilter, by: str) -> _Whose:
    """Which sums tell it: of all tokens together, of tokens as wholes, or of what they have called apart."""
    if by in _COARSE_KEYS and _is_none(chosen.user_id, chosen.token_id, chosen.token_name):
        return "all"
    if by in {"model", "upstream"} or not _is_none(chosen.model, chosen.upstream, chosen.group):
        return "parts"
    return "wholes"


def _is_none(*chosen: object) -> bool:
    return all(each is None for each in chosen)


def _kinds(layer: Layer, reach: Reach, whose: _Whose) -> list[tuple[str, Layer]]:
    """Which kinds of the rollup's sums a layer is read of."""
    if whose == "all":
        return [(_OF_ALL[layer.length], layer)]
    if whose == "parts" or layer.length != DAY:
        return [(_OF_KEYS[layer.length], layer)]
    since = reach.totals_from
    before = [Span(each.start, min(each.end, since)) for each in layer.spans if each.start < since]
    after = [Span(max(each.start, since), each.end) for each in layer.spans if since < each.end]
    return [
        (kind, layer._replace(spans=tuple(spans)))
        for kind, spans in ((_OF_KEYS[DAY], before), (_TOTALS, after))
    ]


class _Telling(NamedTuple):
    """Statements of cells: `point`, `key` and `measures` of what `where` chooses, in so many points.

    `keys` is an array of the only keys that are wanted, if they are not all. `is_sure`: the ledger's rows can be chosen
    as their shares are.
    """

    where: Where
    key: str
    keys: str | None
    measures: Sequence[str]
    points: int
    is_sure: bool

    def rolled(self, kind: str, layer: Layer, before: Sequence[datetime] | None) -> str:
        """Sums that the rollup has, of one length: added, or moved from where the layer before has them."""
        value = self.where.value
        if len(layer.spans) == 1:
            start, end = map(value, layer.spans[0])
            rows = f"rollup call WHERE span = '{kind}' AND at >= {start} AND at < {end} AND {self._chosen}"
        else:
            starts, ends = (value(list(each)) for each in zip(*layer.spans, strict=True))
            each = "" if self.keys is None else f"CROSS JOIN unnest({self.keys}) AS wanted (key)"
            wanted = "" if self.keys is None else f"AND {self.key} = wanted.key"
            # OFFSET: each by the index, where its rows lie together, whatever the plan expects of so many.
            rows = f"""
       unnest({starts}::timestamptz[], {ends}::timestamptz[]) AS piece (start, until) {each}
 CROSS JOIN LATERAL (SELECT * FROM rollup call WHERE span = '{kind}' AND at >= piece.start AND at < piece.until
                        {wanted} AND {self.where} OFFSET 0) call"""  # noqa: S608 -- our own names
        if before is None:
            return self._added(self._point, layer.edges, rows)
        return self._moved(self._point(layer.edges), self._point(before), rows)

    def late(self, edges: Sequence[datetime]) -> str:
        """What is noted and not in the sums yet, where they would have it."""
        ids = self._ids([Span(edges[0], edges[-1])])
        rows = f"({LATE}) call WHERE {ids} AND {self._chosen}"
        return self._added(self._point_of_id, edges, rows)

    def tail(self, span: Span, edges: Sequence[datetime]) -> str:
        """Calls behind where the rollup has come."""
        return self._added(self._point_of_id, edges, self._calls([span]))

    def moved(
        self, spans: Sequence[Span], edges: Sequence[datetime], before: Sequence[datetime]
    ) -> str:
        """Calls that the last layer's sums have in another point."""
        points = self._point_of_id(edges), self._point_of_id(before)
        return self._moved(*points, self._calls(spans))

    def _calls(self, spans: Sequence[Span]) -> str:
        if len(spans) == 1:
            rows = f"(SELECT * FROM ledger WHERE {self._ids(spans)})"  # noqa: S608 -- our own names
        else:
            starts, ends = (
                self.where.value([uuid7_floor(each) for each in some])
                for some in zip(*spans, strict=True)
            )
            # OFFSET: each by the index. To plan for hundreds of ranges at once takes seconds.
            rows = f"""
(SELECT call.* FROM unnest({starts}::uuid[], {ends}::uuid[]) AS piece (start, until)
  CROSS JOIN LATERAL (SELECT * FROM ledger call WHERE call.request_id >= piece.start AND call.request_id < piece.until
                         AND {self._chosen if self.is_sure else "true"} OFFSET 0) call)
"""  # noqa: S608 -- our own names
        return f"({shares(rows)}) call WHERE {self._chosen}"

    @property
    def _chosen(self) -> str:
        return (
            f"{self.where}"
            if self.keys is None
            else f"{self.where} AND {self.key} = ANY({self.keys})"
        )

    def _added(
        self,
        point_in: Callable[[Sequence[datetime]], str],
        edges: Sequence[datetime],
        rows: str,
    ) -> str:
        point = point_in(edges) if self.points > 1 else "1"
        measures = ", ".join(f"call.{name}" for name in self.measures)
        return f"SELECT {point} AS point, {self.key} AS key, {measures} FROM {rows}"  # noqa: S608 -- our own names

    def _moved(self, point: str, other: str, rows: str) -> str:
        """Added to the one point, and taken from the other."""
        signed = ", ".join(f"moved.sign * cell.{name} AS {name}" for name in self.measures)
        return f"""
SELECT moved.point, cell.key, {signed}
  FROM (SELECT {point} AS point, {self.key} AS key, {other} AS other, {of_sums(self.measures)}
          FROM {rows} GROUP BY 1, 2, 3) cell
 CROSS JOIN LATERAL (VALUES (cell.point, 1), (cell.other, -1)) moved (point, sign)
 WHERE moved.point BETWEEN 1 AND {self.points}
"""  # noqa: S608 -- our own names

    def _point(self, edges: Sequence[datetime]) -> str:
        """Which two neighbours of the edges it lies between, counted from 1."""
        return f"width_bucket(call.at, {self.where.value(list(edges))}::timestamptz[])"

    def _point_of_id(self, edges: Sequence[datetime]) -> str:
        ids = self.where.value([uuid7_floor(each) for each in edges])
        return f"width_bucket(call.request_id, {ids}::uuid[])"

    def _ids(self, spans: Sequence[Span]) -> str:
        """As a list of ranges, each of which leaves out other months, and is found by its ids."""
        return " OR ".join(
            f"request_id >= {self.where.value(uuid7_floor(each.start))} "
            f"AND request_id < {self.where.value(uuid7_floor(each.end))}"
            for each in spans
        )
