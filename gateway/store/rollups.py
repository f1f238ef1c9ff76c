"""The rollup: sums of the ledger by hours and days, kept up behind the posting, and exact at all times.

Quarters of an hour are there of all tokens together, and of each token the first half of each hour: the days of time
zones are made of them. And of each token there are days whatever the model, by which tokens are ranked, and stretches
of 32 days, of which years are made.

Posting may not wait for it, and may bring a row of any age. So `rollup_state` says where the rollup has come:

    noted_before   posting notes each row of before this in `rollup_late`, in its own transaction
    rolled_before  sums are of all rows of before this but those that are noted

Both move by quarters of an hour, and by whole minutes where a quarter has so many calls that it would keep Postgres for
seconds; so the last quarter, hour and day have a part of what they will have. Before anything is summed up,
`noted_before` is raised under a lock that posting shares: whoever posts without having seen it has committed, and is
seen by the sum; whoever comes later notes. The reasons: docs/decisions/0018-ledger-at-length.md.
"""

from typing import Final

from gateway.store.ledger import POSTING_LOCK
from gateway.store.measures import DIMENSIONS, MEASURES, of_sums, shares
from gateway.store.postgres import Connection, Pool, transaction

_TURN: Final = 0x746F6C72
_LONGEST_S: Final = 1800
_LATE_AT_ONCE: Final = 20_000
_AT_ONCE: Final = 250_000
"""Rows of the ledger, and what the last minute has more: a second of Postgres', beside which calls go on."""
_BEHIND: Final = "5 minutes"
"""Few calls take as long, and are posted when they end: only those are noted."""

_SETTINGS: Final = f"""
SET LOCAL statement_timeout = '{_LONGEST_S}s'; SET LOCAL lock_timeout = '1s'; SET LOCAL work_mem = '64MB'
"""
_STATE: Final = """
SELECT noted_before, rolled_before,
       coalesce(least(date_trunc('minute', until), date_trunc('minute', uuid7_time(filled.id)) + interval '1 minute'),
                date_bin('15 minutes', until, to_timestamp(0))) AS goal,
       uuid7_time((SELECT request_id FROM ledger WHERE request_id >= uuid7_floor(rolled_before)
                    ORDER BY request_id LIMIT 1)) AS next
  FROM rollup_state
       CROSS JOIN LATERAL (SELECT now() - $1::text::interval AS until) present
       LEFT JOIN LATERAL (SELECT request_id AS id FROM ledger
                           WHERE rolled_before = noted_before  -- else there is a goal already
                             AND request_id >= uuid7_floor(rolled_before) AND request_id < uuid7_floor(until)
                           ORDER BY request_id OFFSET $2 LIMIT 1) filled ON true
"""
_NOTE: Final = """
UPDATE rollup_state
   SET noted_before = least($1::timestamptz,
                            date_trunc('hour', coalesce($2::timestamptz, $1), 'UTC') + interval '1 day')
"""
# Whoever rolls without all kinds, a worker of before they were there, leaves the mark behind: they begin anew.
_ROLLED: Final = """
UPDATE rollup_state
   SET complete_from = CASE WHEN complete_before = rolled_before THEN complete_from
                          ELSE date_trunc('hour', rolled_before + interval '59 minutes', 'UTC') END,
       stretched_from = CASE WHEN stretched_before = rolled_before THEN stretched_from ELSE rolled_before END,
       complete_before = noted_before, stretched_before = noted_before, rolled_before = noted_before
"""

_DIMENSIONS = ", ".join(DIMENSIONS)
_OF_ALL = "group_id, model, upstream"
_SUMMED_UP = f"""
fine AS MATERIALIZED (
  SELECT date_bin('15 minutes', uuid7_time(request_id), to_timestamp(0)) AS quarter, {_DIMENSIONS}, {of_sums()}
    FROM share GROUP BY quarter, {_DIMENSIONS}
)
INSERT INTO rollup (span, at, {_DIMENSIONS}, {", ".join(MEASURES)})
SELECT CASE WHEN GROUPING(token_id) = 0
            THEN CASE WHEN GROUPING(hour) = 0 THEN 'h' WHEN GROUPING(half) = 0 THEN 'f'
                      WHEN GROUPING(stretch) = 0 THEN 's' WHEN GROUPING(model) = 1 THEN 't' ELSE 'd' END
            WHEN GROUPING(hour) = 0 THEN 'H' WHEN GROUPING(day) = 0 THEN 'D' ELSE 'Q' END::"char" AS span,
       coalesce(hour, day, half, quarter, stretch) AS at, coalesce(token_id, 0) AS token, coalesce(user_id, 0),
       coalesce(account_id, 0), coalesce(group_id, 0), coalesce(model, ''), coalesce(upstream, ''), {of_sums()}
  FROM fine CROSS JOIN LATERAL (
         SELECT date_trunc('hour', quarter, 'UTC') AS hour, date_trunc('day', quarter, 'UTC') AS day,
                date_bin('32 days', quarter, to_timestamp(0)) AS stretch) longer
       CROSS JOIN LATERAL (SELECT CASE WHEN quarter < hour + interval '30 minutes' THEN hour END AS half) first
 GROUP BY GROUPING SETS ((hour, {_DIMENSIONS}), (half, {_DIMENSIONS}), (day, {_DIMENSIONS}),
                         (day, token_id, user_id, account_id), (stretch, token_id, user_id, account_id),
                         (quarter, {_OF_ALL}), (hour, {_OF_ALL}), (day, {_OF_ALL}))
HAVING GROUPING(half) = 1 OR half IS NOT NULL
 ORDER BY span, at, token
    ON CONFLICT (span, at, {_DIMENSIONS}) DO UPDATE
   SET {", ".join(f"{name} = rollup.{name} + excluded.{name}" for name in MEASURES)}
"""  # noqa: S608 -- our own names
_OF_HOURS = """
(SELECT * FROM ledger one
  WHERE request_id >= uuid7_floor($1) AND request_id < uuid7_floor($2)
    AND NOT EXISTS (SELECT FROM rollup_late n WHERE n.request_id = one.request_id AND n.kind = one.kind))
"""
# In the order of time: questions read a few hours of each day.
_ROLL: Final = f"WITH share AS ({shares(_OF_HOURS)}), {_SUMMED_UP}"

# LATERAL: no plan can know how few these are, and the ledger must never be read whole.
_ROWS_OF: Final = """
(SELECT one.* FROM {notes} n CROSS JOIN LATERAL (
   SELECT * FROM ledger WHERE request_id = n.request_id AND kind = n.kind LIMIT 1) one)
"""
_ROLL_LATE: Final = f"""
WITH gone AS (
  DELETE FROM rollup_late WHERE (request_id, kind) IN (
    SELECT request_id, kind FROM rollup_late
     WHERE request_id < (SELECT uuid7_floor(rolled_before) FROM rollup_state) LIMIT {_LATE_AT_ONCE})
  RETURNING request_id, kind
), share AS ({shares(_ROWS_OF.format(notes="gone"))}), {_SUMMED_UP}
"""  # noqa: S608 -- our own names

LATE: Final = shares(_ROWS_OF.format(notes="rollup_late"))
"""What the rows add that are noted and not in the sums yet, if they are of before `rolled_before`."""


async def roll(pool: Pool, *, behind: str = _BEHIND, at_once: int = _AT_ONCE) -> bool:
    """One step of the rollup, a day and about `at_once` rows at most; whether there is another to do at once.

    `behind` (an interval of Postgres) is how far it stays behind the present. Nothing is done while another process is
    at it. Raises `StoreUnavailable`, also where posting held it up: the next time does it.
    """
    async with transaction(pool) as connection:
        await connection.execute(_SETTINGS)
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _TURN):
            return False
        return await _step(connection, behind, at_once)


async def _step(connection: Connection, behind: str, at_once: int) -> bool:
    state = await connection.fetchrow(_STATE, behind, at_once)
    assert state is not None, "rollup_state has its row from the beginning"
    rolled, noted = state["rolled_before"], state["noted_before"]
    if rolled < noted:
        # Another transaction has raised it: whatever it did not make note is committed.
        await connection.execute(_ROLL, rolled, noted, timeout=_LONGEST_S)
        await connection.execute(_ROLLED)
        return True
    if noted < state["goal"]:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", POSTING_LOCK)
        await connection.execute(_NOTE, state["goal"], state["next"])
        return True
    done = await connection.execute(_ROLL_LATE, timeout=_LONGEST_S)
    return bool(done != "INSERT 0 0")
