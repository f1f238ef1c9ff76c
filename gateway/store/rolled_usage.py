"""Sums of calls by point and key, read where they are the fewest rows: of days, of hours, of the ledger for the rest.

Exact at all times: what the rollup has, what it has been told of and not added yet, and the calls behind its end are
read in one snapshot. What the rollup does not tell apart is read of the ledger alone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from asyncpg import Range

from gateway.domain.rollup import HOUR, QUARTER, Span, cuts_hours, parts_of
from gateway.store.ledger_calls import CALLS, CallFilter, Where, uuid7_floor
from gateway.store.measures import DIMENSIONS, MEASURES, OF_CALLS
from gateway.store.postgres import Connection
from gateway.store.rollups import LATE

ROLLED_KEYS: Final = frozenset({"", *DIMENSIONS})
"""By what the rollup can group."""

_COARSE_KEYS: Final = frozenset({"", "model", "upstream"})
# Sums by key take more memory than a session has by itself; without it they would be sorted on the disk.
_STATE = """
SELECT set_config('work_mem', '64MB', true), rolled_before, EXISTS (SELECT FROM rollup_late) AS has_late,
       (SELECT greatest(dropped_before, to_timestamp(0)) FROM ledger_keeping) AS dropped_before
  FROM rollup_state
"""
_MEASURES = ", ".join(f"call.{name}" for name in MEASURES)


class Cells(NamedTuple):
    """A statement of sums. `is_cheap`: to read its rows once more takes less than to keep them."""

    statement: str
    is_cheap: bool


async def cells_of(
    connection: Connection,
    chosen: CallFilter,
    where: Where,
    edges: Sequence[datetime],
    key: str,
    by: str,
) -> Cells:
    """The statement of `point`, `key` and sums, which are to be added up; `key` is the expression of `by`.

    A sum can be of no request: a correction leaves nothing where its charge was. `where` is the filter without its
    times, and gets the statement's values. To be run in the snapshot that `connection` is in.
    """
    if not is_rolled(chosen, by) or edges[0] >= edges[-1]:
        where.add("call.request_id >= {}", uuid7_floor(edges[0]))
        where.add("call.request_id < {}", uuid7_floor(edges[-1]))
        statement = f"""
SELECT {_point("call.request_id", where, edges)} AS point, {key} AS key, {OF_CALLS}
  FROM {CALLS} WHERE {where} GROUP BY 1, 2"""  # noqa: S608 -- our own names
        return Cells(statement, is_cheap=False)
    state = await connection.fetchrow(_STATE)
    assert state is not None, "rollup_state has its row from the beginning"
    coarse = _is_coarse(chosen, by)
    step = QUARTER if coarse and cuts_hours(edges) else HOUR
    parts = parts_of(edges, state["rolled_before"], state["dropped_before"], step=step)
    selects = []
    if parts.days:
        selects.append(_rolled("D" if coarse else "d", parts.days, where, edges, key))
    if parts.steps:
        span = {(True, QUARTER): "Q", (True, HOUR): "H"}.get((coarse, step), "h")
        selects.append(_rolled(span, parts.steps, where, edges, key))
    if state["has_late"] and (rolled := [*parts.days, *parts.steps]):
        selects.append(_late(rolled, where, edges, key))
    if parts.calls:
        selects.append(_calls(parts.calls, where, edges, key))
    return Cells(" UNION ALL ".join(selects), is_cheap=bool(parts.days or parts.steps))


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


def _is_coarse(chosen: CallFilter, by: str) -> bool:
    """Whether the sums of all tokens together tell it."""
    whose = (chosen.user_id, chosen.token_id, chosen.token_name)
    return by in _COARSE_KEYS and all(each is None for each in whose)


def _point(column: str, where: Where, edges: Sequence[datetime]) -> str:
    """Which two neighbours of the edges it lies between, counted from 1."""
    if column.endswith("request_id"):
        return (
            f"width_bucket({column}, {where.value([uuid7_floor(each) for each in edges])}::uuid[])"
        )
    return f"width_bucket({column}, {where.value(list(edges))}::timestamptz[])"


def _rolled(
    span: str, spans: Sequence[Span], where: Where, edges: Sequence[datetime], key: str
) -> str:
    """Sums that the rollup has."""
    times = f"call.at >= {where.value(spans[0].start)} AND call.at < {where.value(spans[-1].end)}"
    if len(spans) > 1:
        times += f" AND call.at <@ {where.value(_ranges(spans))}::tstzmultirange"
    return f"""
SELECT {_point("call.at", where, edges)} AS point, {key} AS key, {_MEASURES} FROM rollup call
 WHERE call.span = '{span}' AND {times} AND {where}
"""  # noqa: S608 -- our own names


def _late(spans: Sequence[Span], where: Where, edges: Sequence[datetime], key: str) -> str:
    """What is noted for the hours and days that are read of the rollup."""
    return f"""
SELECT {_point("call.request_id", where, edges)} AS point, {key} AS key, {_MEASURES} FROM ({LATE}) call
 WHERE uuid7_time(call.request_id) <@ {where.value(_ranges(spans))}::tstzmultirange AND {where}
"""  # noqa: S608 -- our own names


def _calls(spans: Sequence[Span], where: Where, edges: Sequence[datetime], key: str) -> str:
    """Sums of what the rollup does not have."""
    # As a list of ranges, each of which leaves out other months, and is found by its ids.
    times = " OR ".join(
        f"call.request_id >= {where.value(uuid7_floor(each.start))} "
        f"AND call.request_id < {where.value(uuid7_floor(each.end))}"
        for each in spans
    )
    return f"""
SELECT {_point("call.request_id", where, edges)} AS point, {key} AS key, {OF_CALLS}
  FROM {CALLS} WHERE ({times}) AND {where} GROUP BY 1, 2
"""  # noqa: S608 -- our own names


def _ranges(spans: Sequence[Span]) -> list[Range[datetime]]:
    return [Range(each.start, each.end) for each in sorted(spans)]
