"""The ledger's months: partitions in time, moved strays, and months that go without money going."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import asyncpg
import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.relay import ledger_watch
from gateway.relay.ledger_watch import LedgerWatch
from gateway.relay.record import RequestIds
from gateway.store.charges import Charge
from gateway.store.conservation import open_auditor
from gateway.store.ledger import LedgerStore
from gateway.store.ledger_months import drop_month, make_months
from gateway.store.postgres import apply_schema, open_pool
from gateway.store.roles import ADMIN, GATEWAY, READER
from gateway.store.rollups import roll
from tests.databases import as_role
from tests.integration.rig import USD, chat, running
from tests.ledger_lines import ledger_line
from tests.upstream import ScriptedUpstream

NOW = datetime.now(UTC)
RETAINED = 3


def months_ago(count: int) -> datetime:
    """The 15th of a month."""
    year, month = divmod(NOW.year * 12 + NOW.month - 1 - count, 12)
    return datetime(year, month + 1, 15, tzinfo=UTC)


def partition(at: datetime) -> str:
    return f"ledger_{at:%Y%m}"


@pytest.fixture
async def pool(postgres_dsn):
    """As a worker has it."""
    dsn = as_role(postgres_dsn, GATEWAY)
    async with await open_pool(dsn, size=2, statement_timeout_s=10) as opened:
        yield opened


async def partitions(owner) -> list[str]:
    rows = await owner.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'ledger'::regclass ORDER BY 1"
    )
    return [row["name"] for row in rows if row["name"] != "ledger_default"]


async def test_a_worker_makes_the_partitions_that_are_lacking_once_a_day(owner, pool):
    made = await partitions(owner)
    assert made == [partition(months_ago(n)) for n in (0, -1, -2)]
    await owner.execute(f"DROP TABLE {made[2]}")
    assert await make_months(pool) is None
    assert await partitions(owner) == made
    await owner.execute(f"DROP TABLE {made[2]}")
    await make_months(pool)
    assert await partitions(owner) == made[:2]  # looked at today
    await owner.execute("UPDATE ledger_keeping SET looked_at = now() - interval '1 day'")
    await asyncio.gather(*(make_months(pool) for _ in range(4)))
    assert await partitions(owner) == made


async def test_a_partition_is_like_its_neighbours_and_read_with_them(owner, pool):
    names = await partitions(owner)
    shapes = []
    for name in names:
        definition = "replace(pg_get_indexdef(indexrelid), $1, 'ledger_month')"
        rows = await owner.fetch(
            f"SELECT {definition} AS text FROM pg_index WHERE indrelid = $1::text::regclass ORDER BY 1",
            name,
        )
        rules = await owner.fetch(
            "SELECT conname, pg_get_constraintdef(oid) AS text FROM pg_constraint"
            " WHERE conrelid = $1::text::regclass AND contype = 'c' ORDER BY 1",
            name,
        )
        shapes.append(([row["text"] for row in rows], [tuple(row) for row in rules]))
    assert len(shapes[0][0]) == 3
    assert shapes[0] == shapes[1] == shapes[2]


ROW = """
INSERT INTO ledger (request_id, kind, account_id, token_id, user_id, group_id, model, upstream, dialect, route, status,
                    started_at, duration_ms, amount)
SELECT uuid7_floor(at), 'c', 1, 1, 1, 1, 'm', 'u', 'openai', 'r', 200, at, 1, 7 FROM unnest($1::timestamptz[]) AS at
"""


async def test_rows_of_a_month_without_a_partition_move_to_it_and_others_are_told_of(
    owner, pool, caplog
):
    names = await partitions(owner)
    await owner.execute(f"DROP TABLE {names[1]}")
    await owner.execute(ROW, [months_ago(-1), months_ago(-1) + timedelta(days=1), months_ago(-60)])
    assert await owner.fetchval("SELECT count(*) FROM ledger_default") == 3
    await LedgerWatch(pool).look()
    assert await partitions(owner) == names
    assert await owner.fetchval(f"SELECT count(*) FROM {names[1]}") == 2
    assert await owner.fetchval("SELECT count(*), sum(amount) FROM ledger") == 3
    (told,) = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert told.startswith(f"1 rows of the ledger, from {months_ago(-60):%Y-%m-%dT}")
    # The remedy of docs/operations.md.
    await owner.execute("SELECT ensure_ledger_partitions($1, 1)", months_ago(-60))
    assert await owner.fetchval("SELECT count(*) FROM ledger_default") == 0


async def test_partitions_are_made_while_calls_are_posted_and_read(owner, pool, postgres_dsn):
    names = await partitions(owner)
    await owner.execute(f"DROP TABLE {names[2]}")
    other = await asyncpg.connect(postgres_dsn)
    async with other.transaction():
        await other.execute(ROW, [NOW])
        await other.fetch("SELECT * FROM ledger_" + names[0].removeprefix("ledger_"))
        await make_months(pool)
        assert await partitions(owner) == names
    await other.close()


async def posted(rig, made, at: datetime, amount: int, **fields) -> None:
    """A call of that time, posted as a worker posts it."""
    token = SimpleNamespace(
        account_id=made.row.account_id,
        id=made.row.id,
        user_id=made.row.user_id,
        group=SimpleNamespace(id=1),
    )
    ledger = LedgerStore(as_role(rig.dsn, GATEWAY), statement_timeout_s=10)
    request_id = RequestIds().next(at.timestamp())
    line = ledger_line(token, request_id, at.timestamp(), amount=amount, **fields)
    await ledger.post([Charge(request_id, token.account_id, line)])
    await ledger.close()


async def audited(rig):
    settings = rig.gateway.config
    auditing = open_auditor(
        as_role(rig.dsn, READER),
        settings.redis.url.get_secret_value(),
        sweep_s=settings.quota.sweep_s,
        strict=True,
    )
    async with auditing as auditor:
        return await auditor.audit()


async def test_a_month_that_goes_leaves_every_sum_as_it_was_and_the_audit_clean(rig):
    made, other = await rig.token(10 * USD), await rig.token()
    await rig.database.execute("SELECT ensure_ledger_partitions($1, 8)", months_ago(7))
    for month in (2, 3, 4, 5):
        await posted(rig, made, months_ago(month), 10**month, unbilled=3, estimated=b"t")
        await posted(rig, other, months_ago(month), 7)
    async with rig.post(made.key, chat()) as answer:
        assert answer.status == 200
    await rig.quiet()
    before = await audited(rig)
    assert before.wrong == 0
    used = await rig.database.fetch("SELECT id, used FROM token ORDER BY id")
    await apply_schema(rig.dsn, retention_months=RETAINED)
    await rig.gateway.ledger_watch.look()
    kept = await partitions(rig.database)
    assert kept == [partition(months_ago(n)) for n in (3, 2, 1, 0, -1, -2)]
    after = await audited(rig)
    assert after.wrong == 0
    assert after.totals == before.totals
    assert await rig.database.fetch("SELECT id, used FROM token ORDER BY id") == used
    assert await rig.database.fetchval("SELECT count(*) FROM carried") == 4
    # A charge that is lost is found whether its month is there or not.
    await rig.database.execute("UPDATE carried SET amount = amount - 1 WHERE amount = 10000")
    assert {each.kind for each in (await audited(rig)).differences} == {"ledger_sum"}


async def test_only_the_owner_says_what_is_kept(owner, postgres_dsn, pool):
    await owner.execute("SELECT ensure_ledger_partitions($1, 8)", months_ago(7))
    before = await partitions(owner)
    assert await drop_month(pool) is None  # for ever, until the owner says otherwise
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute("UPDATE ledger_keeping SET retention_months = 2")
    for role in (ADMIN, READER):
        connection = await asyncpg.connect(as_role(postgres_dsn, role))
        for statement in ("SELECT drop_ledger_month()", "SELECT * FROM make_ledger_months()"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()
    assert await partitions(owner) == before


async def test_a_month_that_is_read_all_the_time_stays_whole(owner, pool, postgres_dsn):
    await owner.execute("SELECT ensure_ledger_partitions($1, 8)", months_ago(7))
    await owner.execute(ROW, [months_ago(7)])
    await owner.execute("UPDATE ledger_keeping SET retention_months = 2")
    while await roll(pool):
        pass
    # As the function waits thirty seconds, which no test should: one try.
    definition = await owner.fetchval(
        "SELECT pg_get_functiondef('drop_ledger_month'::regproc)",
    )
    await owner.execute(definition.replace("tries integer := 60", "tries integer := 1"))
    reader = await asyncpg.connect(postgres_dsn)
    async with reader.transaction():
        await reader.fetch("SELECT FROM ledger")
        with pytest.raises(StoreUnavailable):
            await drop_month(pool)
    assert await owner.fetchval("SELECT count(*) FROM carried") == 0
    assert await drop_month(pool) == partition(months_ago(7))
    await reader.close()


async def test_a_worker_looks_by_itself_and_what_fails_leaves_the_rest_to_be_done(
    postgres_dsn, valkey_url, owner, monkeypatch, caplog
):
    monkeypatch.setattr(ledger_watch, "_LOOK_S", 0.01)
    await owner.execute("DROP FUNCTION make_ledger_months")
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream),
        asyncio.timeout(60),
    ):
        rolled = "SELECT rolled_before > now() - interval '2 hours' FROM rollup_state"
        while not await owner.fetchval(rolled):
            pass
    assert "the ledger is not looked after" in caplog.text
