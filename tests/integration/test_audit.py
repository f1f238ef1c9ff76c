"""The audit: each thing that can be wrong is named, and a gateway at work raises no alarm."""

import asyncio
import contextlib
import json
import os
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.cli import main
from gateway.domain.conservation import Difference, Kind, Report
from gateway.domain.edit import TokenChange
from gateway.store.books import _BOOK, unpack_book
from gateway.store.conservation import open_auditor
from gateway.store.prepared import key
from gateway.store.tokens import update_token
from tests.integration.rig import SYSTEM, USD, Rig, chat
from tests.upstream import Echo, Gate

LEDGER_ROW = """
INSERT INTO ledger (request_id, kind, account_id, token_id, user_id, group_id, model, upstream, dialect, route,
                    status, started_at, duration_ms, amount)
SELECT $1::uuid, 'c', account_id, $2, user_id, group_id, model, upstream, dialect, route,
       status, started_at, duration_ms, amount FROM ledger LIMIT 1
"""


async def audited(rig: Rig, patience_s: float = 0, *, strict: bool = True) -> Report:
    """An audit with connections of its own, as the command makes it."""
    config = rig.gateway.config
    stores = config.postgres.dsn.get_secret_value(), config.redis.url.get_secret_value()
    async with open_auditor(*stores, sweep_s=10, strict=strict) as auditor:
        return await auditor.audit(patience_s=patience_s)


@dataclass
class Books:
    """A gateway with one posted charge and one call that is held, and what a test damages of it."""

    rig: Rig
    token: int
    account: int
    held: str
    posted: str

    def sql(self, *arguments: Any) -> Awaitable[Any]:
        return self.rig.database.execute(*arguments)

    async def valkey(self, *command: bytes | str | int) -> Any:
        return await self.rig.gateway.quota._pipeline.call(0, *command)

    def key(self, kind: str, name: str | None = None) -> bytes:
        return key(self.account % 256, kind, name)

    @property
    def book(self) -> bytes:
        return self.key("b", f"t{self.token}")

    async def rebook(self, **members: int) -> None:
        """Write the token's book with other members."""
        names = ("granted", "gver", "used", "pending", "reserved", "live", "version")
        *numbers, run_id = _BOOK.unpack(await self.valkey("GET", self.book))
        values = dict(zip(names, numbers, strict=True)) | members
        await self.valkey("SET", self.book, _BOOK.pack(*values.values(), run_id))


@pytest.fixture
async def books(rig: Rig):
    made = await rig.token(USD)
    async with rig.post(made.key, chat()) as answer:
        assert answer.status == 200
        await answer.read()
    (row,) = await rig.ledger()
    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))
    call = asyncio.create_task(_status(rig, made.key))
    await gate.waiting()
    (held,) = await rig.gateway.quota.live(made.row.account_id)
    await _confirmed(rig, made.row.account_id)
    yield Books(rig, made.row.id, made.row.account_id, held.request_id, row["request_id"].hex)
    gate.release()
    with contextlib.suppress(Exception):  # the test may have taken away what settles it
        await call


async def _status(rig: Rig, secret: str) -> int:
    async with rig.post(secret, chat()) as answer:
        await answer.read()
        return answer.status


async def _confirmed(rig: Rig, account_id: int) -> None:
    """Until the quota store knows that the ledger has everything."""
    async with asyncio.timeout(10):
        while True:
            book = await rig.gateway.quota.book(account_id, f"a{account_id}")
            if book is not None and not book.pending:
                return


def only(report: Report, kind: Kind) -> Difference:
    """The one difference of a kind."""
    (found,) = [each for each in report.differences if each.kind is kind]
    return found


async def test_a_gateway_with_a_charge_and_a_running_call_adds_up(books: Books):
    report = await audited(books.rig)
    assert (report.differences, report.remarks, report.looks) == ([], [], 1)
    totals = report.totals
    assert (totals.charges, totals.live, totals.pending) == (1, 1, 0)
    token = totals.by_scope["token"]
    assert token.used_nusd == token.ledger_nusd == token.stored_used_nusd == totals.charged_nusd > 0
    assert token.held_nusd == totals.held_nusd > 0


# Postgres against itself


async def test_used_that_is_not_the_ledgers_sum_is_named_with_both_figures(books: Books):
    await books.sql("UPDATE token SET used = used + 7 WHERE id = $1", books.token)
    found = only(await audited(books.rig), Kind.LEDGER_SUM)
    assert (found.scope, found.account_id) == (f"t{books.token}", books.account)
    assert found.figures["used_nusd"] == (found.figures["ledger_nusd"] or 0) + 7


@pytest.mark.parametrize("table", ["member", "subscription", "account"])
async def test_every_scope_is_compared_with_the_ledger(books: Books, table: str):
    await books.sql(f"UPDATE {table} SET used = used + 7 WHERE used > 0")
    found = only(await audited(books.rig), Kind.LEDGER_SUM)
    assert found.scope[0] == {"member": "m", "subscription": "g", "account": "a"}[table]


async def test_a_grant_that_is_not_its_entries_sum_is_named(books: Books):
    await books.sql("UPDATE grant_entry SET delta = delta + 5 WHERE scope_id = $1", books.token)
    found = only(await audited(books.rig), Kind.GRANT_SUM)
    assert found.figures == {"granted_nusd": USD, "entries_nusd": USD + 5}


async def test_a_charge_of_a_token_that_does_not_exist_is_named_with_its_call(books: Books):
    stray = uuid.uuid4()
    await books.sql(LEDGER_ROW, stray, 987_654)
    report = await audited(books.rig)
    found = only(report, Kind.UNKNOWN_SCOPE)
    assert (found.scope, found.ids, found.count) == ("t987654", (stray.hex,), 1)
    assert Kind.LEDGER_SUM in {each.kind for each in report.differences}  # of the three that exist


async def test_a_call_that_stands_in_the_ledger_twice_is_named(books: Books):
    """The primary key forbids it: somebody took it away."""
    await books.sql("ALTER TABLE ledger DROP CONSTRAINT ledger_pkey")
    await books.sql(LEDGER_ROW, uuid.UUID(books.posted), books.token)
    found = only(await audited(books.rig), Kind.CHARGED_TWICE)
    assert found.ids == (books.posted,)


async def test_a_charge_below_zero_is_named(books: Books):
    await books.sql("ALTER TABLE ledger DROP CONSTRAINT ledger_amount_check")
    await books.sql("UPDATE ledger SET amount = -1")
    found = only(await audited(books.rig), Kind.NEGATIVE)
    assert found.ids == (books.posted,)


# The quota store against itself


async def test_a_reservation_that_was_taken_away_is_missed_in_the_books_of_all_its_scopes(
    books: Books,
):
    await books.valkey("HDEL", books.key("r", str(books.account)), books.held)
    report = await audited(books.rig)
    scopes = {each.scope[0]: each for each in report.differences if each.kind is Kind.HELD_SUM}
    assert set(scopes) == set("tmga")
    assert scopes["t"].figures["live"] == 1
    assert scopes["t"].figures["reservations"] == 0
    assert scopes["t"].account_id == books.account


async def test_pending_that_no_charge_explains_is_named(books: Books):
    await books.rebook(pending=3)
    assert only(await audited(books.rig), Kind.PENDING_SUM).figures == {
        "pending_nusd": 3,
        "settled_nusd": 0,
    }


async def test_a_reservation_that_nobody_watches_is_named(books: Books):
    await books.valkey("ZREM", books.key("x"), f"{books.account}|{books.held}")
    assert only(await audited(books.rig), Kind.INDEX).ids == (books.held,)


async def test_a_watched_call_that_is_not_there_is_named(books: Books):
    await books.valkey("ZADD", books.key("x"), 1, f"{books.account}|{'0' * 32}")
    assert only(await audited(books.rig), Kind.INDEX).ids == ("0" * 32,)


async def test_an_amount_below_zero_in_the_quota_store_is_named(books: Books):
    await books.rebook(pending=-3)
    assert only(await audited(books.rig), Kind.NEGATIVE).figures["pending_nusd"] == -3


async def test_a_call_that_the_sweeper_should_have_taken_long_ago_is_named(books: Books):
    await books.valkey("ZADD", books.key("x"), 1, f"{books.account}|{books.held}")
    books.rig.gateway.quota._sweep_s = 1e9
    assert only(await audited(books.rig), Kind.STUCK).ids == (books.held,)


# The stores against each other


@pytest.mark.parametrize("member", ["used", "gver", "version"])
async def test_a_quota_store_that_knows_more_than_postgres_is_named(books: Books, member: str):
    await books.rebook(**{member: 10**9})
    found = only(await audited(books.rig), Kind.AHEAD)
    assert found.scope == f"t{books.token}"
    assert found.figures[f"stored_{member}" + ("_nusd" if member == "used" else "")] == 10**9


async def test_another_grant_of_the_same_version_is_named(books: Books):
    await books.rebook(granted=2 * USD)
    assert only(await audited(books.rig), Kind.AHEAD).figures["stored_granted_nusd"] == 2 * USD


async def test_a_quota_store_that_counts_less_than_postgres_is_named(books: Books):
    await books.rebook(used=0, reserved=0, live=0)
    report = await audited(books.rig)
    assert only(report, Kind.BEHIND).figures["stored_nusd"] == 0


async def test_a_call_that_is_held_and_charged_already_is_named(books: Books):
    await books.sql(LEDGER_ROW, uuid.UUID(books.held), books.token)
    assert only(await audited(books.rig), Kind.CHARGED_AND_HELD).ids == (books.held,)


async def test_a_book_of_a_scope_without_a_row_is_named(books: Books):
    await books.valkey("COPY", books.book, books.key("b", "t987654"))
    found = only(await audited(books.rig), Kind.UNKNOWN_SCOPE)
    assert found.scope == "t987654"
    book = unpack_book(found.scope, await books.valkey("GET", books.book))
    assert found.figures["stored_used_nusd"] == book.used > 0


# Overspend


async def edit(rig: Rig, token_id: int, granted: int | None) -> None:
    change = TokenChange(granted=granted)
    edited = await update_token(rig.database, SYSTEM, token_id, lambda _: change)
    assert await rig.gateway.quota.load(edited.row.account_id, edited.books)


async def test_spend_beyond_the_grant_is_named(books: Books):
    await books.sql("UPDATE token SET granted = 10, gver = gver + 1 WHERE id = $1", books.token)
    await books.sql("UPDATE grant_entry SET delta = 10 WHERE scope_id = $1", books.token)
    report = await audited(books.rig)
    found = only(report, Kind.OVERSPEND)
    assert found.figures["by_lowering_nusd"] == 0
    assert report.overspend_nusd == found.figures["over_nusd"]
    assert report.overspend_nusd == (found.figures["spent_nusd"] or 0) - 10


async def test_a_grant_that_an_administrator_lowered_is_a_remark(books: Books):
    await edit(books.rig, books.token, 10)
    report = await audited(books.rig)
    assert report.differences == []
    (remark,) = report.remarks
    assert remark.kind is Kind.LOWERED
    assert remark.figures["by_lowering_nusd"] == remark.figures["over_nusd"]
    assert report.overspend_nusd == 0


async def test_spend_from_before_there_was_a_cap_is_a_remark(books: Books):
    await edit(books.rig, books.token, None)
    await edit(books.rig, books.token, 10)
    report = await audited(books.rig)
    assert report.differences == []
    assert [each.kind for each in report.remarks] == [Kind.LOWERED]


async def test_a_token_that_reserves_estimates_may_bring_its_scopes_beyond_their_grants(
    books: Books,
):
    await books.sql("UPDATE token SET granted = 10, gver = gver + 1 WHERE id = $1", books.token)
    await books.sql("UPDATE grant_entry SET delta = 10 WHERE scope_id = $1", books.token)
    assert (await audited(books.rig)).overspend_nusd > 0
    assert (await audited(books.rig, strict=False)).differences == []
    await books.sql("UPDATE token SET reserve = 'estimate' WHERE id = $1", books.token)
    assert (await audited(books.rig)).differences == []


async def test_what_need_not_add_up_is_told_apart(books: Books):
    await books.sql("UPDATE ledger SET unbilled = 5, estimated = true")
    report = await audited(books.rig)
    totals = report.totals
    assert report.differences == []
    assert (totals.unbilled_nusd, totals.estimated_nusd) == (5, totals.charged_nusd)
    assert totals.unmetered_nusd == 5 + totals.charged_nusd


# At work


async def test_a_busy_gateway_adds_up_at_every_look(rig: Rig):
    """Calls, edits and audits at once, of few tokens, so that everything is on its way all the time."""
    tokens = [await rig.token(USD) for _ in range(3)]
    stop = asyncio.Event()

    async def call(secret: str) -> None:
        while not stop.is_set():
            assert await _status(rig, secret) == 200

    async def regrant() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            await edit(rig, tokens[n % 3].row.id, USD + n)

    async with asyncio.TaskGroup() as group:
        for token in tokens:
            for _ in range(4):
                group.create_task(call(token.key))
        group.create_task(regrant())
        reports = [await audited(rig, patience_s=1) for _ in range(5)]
        stop.set()
    assert [report.differences for report in reports] == [[]] * 5
    assert reports[-1].totals.charges > 0
    await rig.quiet()
    await _confirmed(rig, tokens[0].row.account_id)
    quiet = await audited(rig)
    assert (quiet.differences, quiet.totals.live, quiet.totals.pending) == ([], 0, 0)
    sums = quiet.totals.by_scope["token"]
    assert sums.used_nusd == sums.stored_used_nusd


# The command


@pytest.fixture
def command(books: Books, monkeypatch, capsys) -> Callable[..., Awaitable[tuple[int, str]]]:
    """Runs `tollhouse audit` on the stores of `books`; exit status and output."""
    config = books.rig.gateway.config
    monkeypatch.setitem(
        os.environ, "TOLLHOUSE_POSTGRES__DSN", config.postgres.dsn.get_secret_value()
    )
    monkeypatch.setitem(os.environ, "TOLLHOUSE_REDIS__URL", config.redis.url.get_secret_value())

    async def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        status = await asyncio.to_thread(main, ["audit", *arguments])
        return status, capsys.readouterr().out

    return run


async def test_the_command_answers_0_and_says_so_when_everything_adds_up(command):
    status, output = await command()
    assert status == 0
    assert output.rstrip().endswith("Everything adds up.")


async def test_the_command_answers_1_and_names_what_does_not(command, books: Books):
    await books.sql("UPDATE token SET used = used + 7 WHERE id = $1", books.token)
    status, output = await command()
    assert status == 1
    assert f"DIFFERENCE ledger_sum: t{books.token} of account {books.account}:" in output


async def test_the_command_tells_the_same_in_json(command, books: Books):
    await books.valkey("ZADD", books.key("x"), 1, f"{books.account}|{'0' * 32}")
    status, output = await command("--json")
    report = json.loads(output)
    assert (status, report["adds_up"]) == (1, False)
    (difference,) = report["differences"]
    assert (difference["kind"], difference["request_ids"]) == ("index", ["0" * 32])
    assert report["totals"]["by_scope"]["token"]["live"] == 1
    status, output = await command("--json", "--account", str(books.account + 1))
    assert (status, json.loads(output)["differences"]) == (0, [])


async def test_the_command_answers_2_when_a_store_cannot_be_read(command, monkeypatch):
    monkeypatch.setitem(os.environ, "TOLLHOUSE_REDIS__URL", "redis://127.0.0.1:1")
    assert (await command())[0] == 2
