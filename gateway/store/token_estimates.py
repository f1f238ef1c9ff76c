"""How many tokens match, as far as it is known without counting them.

The planner knows how many fulfil each filter alone, from what ANALYZE saw. What filters have to do with
each other only tokens tell: those on some of the table's pages, drawn by chance.
"""

import math
from typing import Final, NamedTuple

from gateway.store.postgres import Connection
from gateway.store.token_filters import FEW, Filter

# Where so many match whatever filters have to do with each other, and so large a part of all that the planner's samples
# have met some, they are not counted. (To count what a common keyword finds costs ten times what a page does.)
SURELY_MANY: Final = 5 * FEW
_LARGE_PART = 0.05
# Where fewer are expected, a sample would not be sure, and to count them costs little more.
_WORTH_A_SAMPLE = 2 * FEW
_SAMPLE = 8_000
# A first sample is this often what proves it where the planner is right; only if it leaves doubt, that one is drawn.
_SPARE = 2
_ON_A_PAGE = 40  # tokens of the table, about
# So many standard errors below what the sample says: it is wrong once in millions of pages.
_SURE = 5


class Estimate(NamedTuple):
    """About so many match; `surely_many`: more than are counted, in any case."""

    expected: int
    surely_many: bool


async def estimate(connection: Connection, wanted: Filter) -> Estimate:
    """By the planner, and where it cannot be sure by a sample.

    Terms that the parts p and q of all tokens fulfil are fulfilled both by p + q - 1 at least.
    """
    terms = wanted.terms or ()
    asked = " UNION ALL ".join(
        f"SELECT 1 FROM token t WHERE {term}"  # noqa: S608 -- our own
        for term in ("true", *terms, wanted.likely)
    )
    (plan,) = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {asked}", *wanted.values)
    everything, *parts, expected = (int(part["Plan Rows"]) for part in plan["Plan"]["Plans"])
    least = sum(parts) - (len(parts) - 1) * everything
    if parts and least >= max(SURELY_MANY, everything * _LARGE_PART):
        return Estimate(expected, surely_many=True)
    found = Estimate(expected, surely_many=False)
    if expected >= _WORTH_A_SAMPLE:
        for size in sorted({_first_sample(everything, expected), _SAMPLE}):
            found = await _sampled(connection, wanted, min(size / everything, 1.0))
            if found.surely_many or found.expected <= FEW:
                break
    return found


def _first_sample(everything: int, expected: int) -> int:
    """So many tokens prove that more than `FEW` match, if as many do as are expected, and are spread by chance."""
    matching = expected / everything
    clumped = 1 + matching * _ON_A_PAGE  # the mean of the squares by that of the matches on a page
    met = _SPARE * _SURE**2 * clumped / (1 - FEW / expected) ** 2
    return min(_SAMPLE, round(met / matching))


async def _sampled(connection: Connection, wanted: Filter, part: float) -> Estimate:
    """From this part of the table's pages: how many match, and whether that proves that they are many.

    Pages are drawn independently, so the error follows from what each had: tokens made together lie together, and a
    page full of them is one observation (https://en.wikipedia.org/wiki/Horvitz-Thompson_estimator).
    """
    row = await connection.fetchrow(
        f"""
        SELECT coalesce(sum(met), 0)::bigint AS met, coalesce(sum(met * met), 0)::bigint AS squares
          FROM (SELECT count(*) AS met FROM token t TABLESAMPLE SYSTEM ({part * 100}) REPEATABLE (1)
                 WHERE {wanted.whole} GROUP BY (t.ctid::text::point)[0]) page
        """,  # noqa: S608 -- our own
        *wanted.values,
    )
    assert row is not None, "aggregates are one row"
    least = (row["met"] - _SURE * math.sqrt(row["squares"])) / part
    return Estimate(round(row["met"] / part), surely_many=least > FEW)
