"""Edits while calls spend: nothing that was spent is given back, and nobody is refused for it."""

import asyncio

from tests.integration.beside import Beside
from tests.integration.rig import chat

_RENAMES = 40


async def test_a_rename_by_get_and_put_under_load_leaves_the_money_alone(beside: Beside):
    made = await beside.call("POST", "/api/token/", {"name": "a", "quota_usd": 5})
    path = f"/api/token/{made['id']}"
    renamed = asyncio.Event()
    statuses: set[int] = set()

    async def spend() -> None:
        while not renamed.is_set():
            statuses.add(await beside.status(made["key"]))

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(spend())
        for number in range(_RENAMES):
            shown = await beside.call("GET", path)
            await beside.call("PUT", "/api/token/", shown | {"name": f"name {number}"})
        renamed.set()
    assert statuses == {200}
    rows = await beside.rig.ledger()
    assert len(rows) > _RENAMES
    row = await beside.admin.pool.fetchrow("SELECT * FROM token WHERE id = $1", made["id"])
    assert (row["name"], row["granted"]) == (f"name {_RENAMES - 1}", 5_000_000_000)
    assert row["used"] == sum(each["amount"] for each in rows)
    entries = await beside.admin.pool.fetch(
        "SELECT delta FROM grant_entry WHERE scope_kind = 't' AND scope_id = $1", made["id"]
    )
    assert [entry["delta"] for entry in entries] == [5_000_000_000]
    assert row["version"] == 1 + _RENAMES


async def test_a_quota_that_is_set_under_load_is_left_from_then_on(beside: Beside):
    """`remain_quota` alone: however much is spent while it is set, the rest is what was asked for."""
    made = await beside.call("POST", "/api/token/", {"name": "a", "quota_usd": 5})
    done = asyncio.Event()

    async def spend() -> None:
        while not done.is_set():
            async with beside.rig.post(made["key"], chat(max_tokens=5)) as answer:
                await answer.read()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(spend())
        for _ in range(10):
            answer = await beside.call(
                "PATCH", f"/api/token/{made['id']}", {"remain_quota": 1_000_000}
            )
            assert answer["remain_quota"] == 1_000_000
        done.set()
    rows = await beside.rig.ledger()
    row = await beside.admin.pool.fetchrow("SELECT * FROM token WHERE id = $1", made["id"])
    assert row["used"] == sum(each["amount"] for each in rows)
    granted = await beside.admin.pool.fetchval(
        "SELECT sum(delta) FROM grant_entry WHERE scope_kind = 't' AND scope_id = $1", made["id"]
    )
    assert granted == row["granted"]
