"""Calls of several callers until a grant is used up, with something happening in the middle."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.store.conservation import open_auditor
from gateway.store.roles import READER
from tests.databases import as_role
from tests.integration.rig import Rig, chat

_CALLERS = 6
_BEFORE = 40
"""Calls that are answered before it happens."""
GRANTED = 200 * 71_000
"""Nano-dollars: about five times as many calls as that."""
_REFUSED_FOR_NOW = {503: {"quota_unavailable"}, 429: {"quota_reserved"}}


@dataclass
class Spent:
    """What callers were told."""

    token_id: int
    granted: int
    answers: Counter[str]


async def spend(rig: Rig, happen: Callable[[], Awaitable[None]]) -> Spent:
    """Call until nothing is left of a new token's grant; whoever is refused for now calls again."""
    token = await rig.token(GRANTED)
    answers = Counter[str]()
    enough, happened = asyncio.Event(), asyncio.Event()

    async def call_on() -> None:
        while True:
            async with rig.post(token.key, chat(max_tokens=10)) as answer:
                told = await answer.json()
                code = told["error"]["code"] if answer.status != 200 else "answered"
            answers[code] += 1
            if answers["answered"] >= _BEFORE:
                enough.set()
                if not happened.is_set() and answers["answered"] >= 2 * _BEFORE:
                    await happened.wait()  # the grant is to last until then
            if code == "insufficient_quota":
                return
            if code != "answered":
                assert code in _REFUSED_FOR_NOW.get(answer.status, ()), told
                await asyncio.sleep(0.01)

    async def meddle() -> None:
        await enough.wait()
        await happen()
        happened.set()

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(meddle())
        for _ in range(_CALLERS):
            group.create_task(call_on())
    return Spent(token.row.id, GRANTED, answers)


async def assert_exact(rig: Rig, spent: Spent, url: str) -> None:
    """Each answer is a row, no row is more but of what was given back, and the grant was not overrun.

    Given back, for nothing, is a reservation that was made and whose answer was lost with the store.
    """
    await rig.quiet()
    rows = await rig.ledger()
    given_back = [row for row in rows if row["anomaly"] == "void"]
    assert len(rows) - len(given_back) == spent.answers["answered"], rows
    assert len(given_back) <= spent.answers["quota_unavailable"]
    assert {(row["status"], row["amount"]) for row in given_back} <= {(503, 0)}
    amounts = [row["amount"] for row in rows]
    total = sum(amounts)
    assert total <= spent.granted
    used = await rig.database.fetchval("SELECT used FROM token WHERE id = $1", spent.token_id)
    assert used == total
    async with open_auditor(as_role(rig.dsn, READER), url, sweep_s=60, strict=True) as auditor:
        report = await auditor.audit(patience_s=5)
        assert not report.wrong, report
