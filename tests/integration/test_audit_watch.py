"""The audit that a worker makes by itself: one of all, told in figures and in the log."""

import asyncio
import contextlib
import functools
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.domain.figures import Figure
from gateway.metrics import serve_metrics
from gateway.relay.audit_watch import AuditWatch
from gateway.store.audit_turn import take_turn
from gateway.store.conservation import open_auditor
from tests.e2e.product import audits_of, lives
from tests.integration.rig import USD, Rig, chat, running, until
from tests.upstream import Echo, Gate, ScriptedUpstream

pytestmark = pytest.mark.timeout(300)

LONG_S = 120
"""An audit's process gives way to whatever else the machine does."""


@asynccontextmanager
async def auditing(postgres_dsn: str, valkey_url: str, upstream: ScriptedUpstream):
    """A gateway that audits all the time."""

    def configure(members: dict[str, Any]) -> None:
        members["quota"]["audit_interval_s"] = 0.01

    async with running(postgres_dsn, valkey_url, upstream, configure) as rig:
        yield rig


async def audited(*rigs: Rig) -> Rig:
    """The one whose worker has the turn, once it has found something."""
    async with asyncio.timeout(LONG_S):
        await until(lambda: any(rig.gateway.audit.report for rig in rigs))
    return next(rig for rig in rigs if rig.gateway.audit.report)


async def found(rig: Rig, text: str) -> dict[str, float]:
    """The figures of the worker's /metrics, once `text` is among them."""
    async with (
        asyncio.timeout(LONG_S),
        serve_metrics("127.0.0.1:0", functools.partial(_own, rig)) as url,
    ):
        while True:
            async with rig.session.get(url) as answer:
                assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                body = await answer.text()
            if text in body.splitlines():
                return {
                    name: float(value)
                    for name, value in re.findall(r"^(tollhouse\S+) (\S+)$", body, re.MULTILINE)
                }


async def _own(rig: Rig) -> list[Figure]:
    return rig.gateway.figures()


async def test_figures_tell_what_is_held_and_that_everything_adds_up(postgres_dsn, valkey_url):
    async with (
        ScriptedUpstream() as upstream,
        auditing(postgres_dsn, valkey_url, upstream) as rig,
    ):
        gate = Gate()
        upstream.answer("m", Echo().first(gate))
        made = await rig.token(USD)
        call = asyncio.create_task(_called(rig, made.key))
        await gate.waiting()
        (held,) = await rig.gateway.quota.live(made.row.account_id)
        figures = await found(rig, f"tollhouse_quota_held_nusd {held.amount}")
        assert figures["tollhouse_quota_live_reservations"] == 1
        assert figures["tollhouse_ledger_queue_depth"] == 0
        assert figures["tollhouse_quota_overspend_nusd"] == 0
        assert figures["tollhouse_ledger_unmetered_nusd"] == 0
        assert figures["tollhouse_audit_duration_seconds"] > 0
        assert figures["tollhouse_audit_last_run_timestamp_seconds"] > 1_700_000_000
        differences = {n: v for n, v in figures.items() if n.startswith("tollhouse_audit_diff")}
        assert len(differences) > 10
        assert not any(differences.values())
        gate.release()
        await call


async def _called(rig: Rig, secret: str) -> None:
    async with rig.post(secret, chat()) as answer:
        assert answer.status == 200
        await answer.read()


async def test_what_does_not_add_up_is_counted_by_kind_and_told_in_the_log(
    postgres_dsn, valkey_url, caplog
):
    async with (
        ScriptedUpstream() as upstream,
        auditing(postgres_dsn, valkey_url, upstream) as rig,
    ):
        made = await rig.token(USD)
        await rig.database.execute("UPDATE token SET used = 7 WHERE id = $1", made.row.id)
        await found(rig, 'tollhouse_audit_differences{kind="ledger_sum"} 1')
    told = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert f"ledger_sum t{made.row.id} (account 1): used_nusd 7, ledger_nusd 0" in (
        told[0].getMessage()
    )


async def test_one_process_at_a_time_has_the_turn(postgres_dsn, valkey_url):
    def turn():
        return take_turn(postgres_dsn)

    async with turn() as first:
        assert first is not None
        async with turn() as second:
            assert second is None
        # As the command does it: it takes nobody's turn.
        async with open_auditor(postgres_dsn, valkey_url, sweep_s=10, strict=True) as asked_for:
            assert (await asked_for.audit()).differences == []
    await until_free(turn)


async def until_free(turn) -> None:
    """Postgres lets go of a connection's locks when it has noticed its end."""
    async with asyncio.timeout(LONG_S):
        while True:
            async with turn() as taken:
                if taken is not None:
                    return


async def test_a_turn_that_was_cut_off_is_taken_again(postgres_dsn, valkey_url):
    async with (
        ScriptedUpstream() as upstream,
        auditing(postgres_dsn, valkey_url, upstream) as one,
        auditing(postgres_dsn, valkey_url, upstream) as two,
    ):
        holder = await audited(one, two)
        before = holder.gateway.audit.report
        assert before is not None
        other = two if holder is one else one
        assert not [f for f in other.gateway.figures() if f.name.startswith("tollhouse_audit_d")]
        await one.database.execute(CUT)

        def found_anew() -> bool:
            reports = [rig.gateway.audit.report for rig in (one, two)]
            return any(report is not None and report is not before for report in reports)

        async with asyncio.timeout(LONG_S):
            await until(found_anew)


CUT = """
SELECT pg_terminate_backend(pid) FROM pg_locks
 WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def test_an_audit_that_fails_costs_no_call(postgres_dsn, valkey_url, caplog):
    async with (
        ScriptedUpstream() as upstream,
        auditing(postgres_dsn, valkey_url, upstream) as rig,
    ):
        await audited(rig)
        await rig.gateway.quota._pipeline.call(0, "SET", "q:{s001}:b:t999", "no book")
        async with asyncio.timeout(LONG_S):
            await until(lambda: "shard 1 of the quota store holds what" in caplog.text)
        await rig.gateway.quota._pipeline.call(0, "DEL", "q:{s001}:b:t999")
        await rig.database.execute("ALTER TABLE grant_entry RENAME TO elsewhere")
        async with asyncio.timeout(LONG_S):
            await until(lambda: "the audit failed" in caplog.text)
        await rig.database.execute("ALTER TABLE elsewhere RENAME TO grant_entry")
        await _called(rig, (await rig.token(USD)).key)


@asynccontextmanager
async def held(dsn: str) -> AsyncIterator[int]:
    """An audit that waits in the middle of its work, as it would over many scopes; its process."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(), asyncio.timeout(LONG_S):
            await connection.execute("LOCK TABLE grant_entry IN ACCESS EXCLUSIVE MODE")
            while not await connection.fetchval(WAITING):
                pass
            (process,) = audits_of(os.getpid())
            yield process
    finally:
        await connection.close()


WAITING = """
SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'grant_entry'::regclass
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
SESSIONS = "SELECT sessions FROM pg_stat_database WHERE datname = current_database()"


def arguments_of(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


async def test_comparing_is_a_process_of_its_own_which_gives_way_to_calls(postgres_dsn, valkey_url):
    async with (
        ScriptedUpstream() as upstream,
        auditing(postgres_dsn, valkey_url, upstream) as rig,
    ):
        made = await rig.token(USD)
        await _called(rig, made.key)  # the first call of a token writes what is about to be held
        async with held(postgres_dsn) as process:
            own = os.getpriority(os.PRIO_PROCESS, 0)
            assert os.getpriority(os.PRIO_PROCESS, process) == min(19, own + 10)
            assert b"://" not in arguments_of(process)
            await _called(rig, made.key)
            assert audits_of(os.getpid()) == [process]
            assert rig.gateway.audit.report is None
        await audited(rig)


async def test_of_two_workers_one_audits(postgres_dsn, valkey_url):
    async with (
        ScriptedUpstream() as upstream,
        auditing(postgres_dsn, valkey_url, upstream) as rig,
        auditing(postgres_dsn, valkey_url, upstream),
        held(postgres_dsn) as process,
    ):
        before = await rig.database.fetchval(SESSIONS)
        # Until the other has asked for the turn, again and again.
        async with asyncio.timeout(LONG_S):
            while await rig.database.fetchval(SESSIONS) < before + 5:
                pass
        assert audits_of(os.getpid()) == [process]


async def test_an_audit_ends_with_its_gateway(postgres_dsn, valkey_url):
    async with ScriptedUpstream() as upstream, contextlib.AsyncExitStack() as beside:
        async with auditing(postgres_dsn, valkey_url, upstream):
            process = await beside.enter_async_context(held(postgres_dsn))
        assert not lives(process)


async def test_an_audit_that_takes_too_long_is_given_up(postgres_dsn, valkey_url, caplog):
    watch = AuditWatch(
        postgres_dsn, valkey_url, interval_s=0.01, sweep_s=10, strict=True, most_s=0.1
    )
    running_watch = asyncio.create_task(watch.run())
    async with asyncio.timeout(LONG_S):
        await until(lambda: "the audit failed: given up after 0.1 s" in caplog.text)
    running_watch.cancel()
    await asyncio.wait({running_watch})
    assert audits_of(os.getpid()) == []


async def test_of_many_differences_the_worker_is_told_few_and_how_many_there_are(
    postgres_dsn, valkey_url, caplog
):
    async with (
        ScriptedUpstream() as upstream,
        auditing(postgres_dsn, valkey_url, upstream) as rig,
    ):
        await rig.database.execute(MANY)
        await found(rig, 'tollhouse_audit_differences{kind="grant_sum"} 3000')
        assert len(rig.gateway.audit.report.differences) == 5
    told = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert told[-1].startswith("3000 things do not add up: grant_sum t")


MANY = """
INSERT INTO token (account_id, user_id, name, granted)
SELECT account_id, id, 'many', 7 FROM "user", generate_series(1, 3000) WHERE "user".id = 1
"""


async def test_without_an_address_nothing_is_served():
    async def nothing() -> list[Figure]:
        raise AssertionError

    async with serve_metrics("", nothing) as url:
        assert url == ""
