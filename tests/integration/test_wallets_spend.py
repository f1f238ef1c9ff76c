"""Wallets that are called on: a team on one of them, codes, payments and subscriptions, beside a running gateway."""

import asyncio
from contextlib import asynccontextmanager

from gateway.store.conservation import open_auditor
from tests.integration.beside import Beside
from tests.integration.rig import chat

USD = 1_000_000_000
PRICE = 500_000
"""About what one of these calls may cost at most; nano-dollars."""


async def spend(beside: Beside, key: str) -> tuple[int, str]:
    """The status of a call, and which scope refused it, or why."""
    async with beside.rig.post(key, chat(max_tokens=5)) as answer:
        body = await answer.json(content_type=None)
        error = body.get("error") or {}
        return answer.status, error.get("scope") or error.get("code") or ""


async def passes(beside: Beside, key: str) -> None:
    """Wait until a call passes: what refused it on an older row is forgotten when the notice of the edit comes."""
    while (await spend(beside, key))[0] != 200:
        pass


async def account_of(beside: Beside, **fields):
    made = await beside.call("POST", "/api/account", {"name": "team", **fields})
    return made["id"]


async def member_of(beside: Beside, account: int, name: str, **fields):
    """A new user who is a member; their id, and a key of theirs in the account."""
    user, token = await beside.admin.user(name)
    await beside.call("POST", f"/api/account/{account}/member", {"user_id": user, **fields})
    body = {"name": name, "unlimited_quota": True, "account_id": account}
    made = await beside.admin.call("POST", "/api/token", body, token=token)
    assert made.status == 200, made.body
    return user, made.data["key"], token


@asynccontextmanager
async def books_that_add_up(beside: Beside, postgres_dsn: str, valkey_url: str):
    """In the end, every book of both stores."""
    yield
    await beside.rig.quiet()
    async with open_auditor(postgres_dsn, valkey_url, sweep_s=5, strict=True) as auditor:
        report = await auditor.audit(patience_s=5)
    assert [str(each) for each in report.differences] == []


async def test_a_team_spends_one_wallet_and_each_member_up_to_their_cap(
    beside, postgres_dsn, valkey_url
):
    async with books_that_add_up(beside, postgres_dsn, valkey_url):
        account = await account_of(beside, quota_usd=10 * PRICE / USD)
        _, capped, _ = await member_of(beside, account, "ada", quota_usd=PRICE / USD)
        _, free, _ = await member_of(beside, account, "ben", role="admin")
        assert (await spend(beside, capped))[0] == 200
        while (answer := await spend(beside, capped))[0] == 200:
            await beside.rig.posted()
        assert answer == (429, "member")
        assert (await spend(beside, free))[0] == 200
        while (answer := await spend(beside, free))[0] == 200:
            await beside.rig.posted()
        assert answer == (429, "account")
        await beside.rig.quiet()
        shown = await beside.call("GET", f"/api/account/{account}")
        assert 0 <= shown["remain_usd"] < PRICE / USD
        used = [round(each["used_usd"] * USD) for each in shown["members"]]
        assert sum(used) == round(shown["used_usd"] * USD)
        ledger = "SELECT sum(amount) FROM ledger WHERE account_id = $1"
        assert await beside.admin.pool.fetchval(ledger, account) == sum(used)


async def test_a_raised_cap_binds_the_next_call(beside):
    account = await account_of(beside, quota_usd=1)
    user, key, _ = await member_of(beside, account, "ada", quota_usd=0)
    path = f"/api/account/{account}/member/{user}"
    assert await spend(beside, key) == (429, "member")
    await beside.call("PATCH", path, {"add_quota_usd": 0.5})
    assert (await spend(beside, key))[0] == 200
    await beside.call("PATCH", path, {"remain_usd": 0})
    assert await spend(beside, key) == (429, "member")
    await beside.call("PATCH", path, {"quota_usd": None})
    assert (await spend(beside, key))[0] == 200
    limits = [{"metric": "requests", "window": "1d", "limit": 1}]
    await beside.call("PATCH", path, {"limits": limits})
    assert await spend(beside, key) == (429, "member")


async def test_who_redeems_a_code_goes_on_with_the_next_call(beside):
    _, token = await beside.admin.user("ada")
    made = await beside.admin.call(
        "POST", "/api/token", {"name": "a", "unlimited_quota": True}, token=token
    )
    key = made.data["key"]
    assert await spend(beside, key) == (429, "account")
    (code,) = (await beside.call("POST", "/api/redeem", {"amount_usd": 1}))["codes"]
    used = await beside.admin.call("POST", "/api/user/topup", {"key": code}, token=token)
    assert (used.status, used.data) == (200, 500_000)
    assert (await spend(beside, key))[0] == 200


async def test_a_payment_and_its_taking_back_bind_the_next_call(beside):
    account = await account_of(beside)
    _, key, _ = await member_of(beside, account, "ada")
    path = f"/api/account/{account}"
    assert await spend(beside, key) == (429, "account")
    await beside.call("POST", f"{path}/top_up", {"reference": "p1", "amount_usd": 1})
    assert (await spend(beside, key))[0] == 200
    await beside.call("POST", f"{path}/grant", {"amount_usd": -1})
    assert await spend(beside, key) == (429, "account")
    await beside.call("PATCH", path, {"quota_usd": None})
    assert (await spend(beside, key))[0] == 200


async def test_a_disabled_account_stops_with_the_next_call(beside):
    account = await account_of(beside, quota_usd=1)
    _, key, _ = await member_of(beside, account, "ada")
    assert (await spend(beside, key))[0] == 200
    await beside.call("PATCH", f"/api/account/{account}", {"status": 2})
    assert await spend(beside, key) == (403, "account_disabled")
    await beside.call("PATCH", f"/api/account/{account}", {"status": 1})
    await passes(beside, key)


async def test_a_removed_members_tokens_stop_with_the_next_call_and_go_on_when_they_are_back(
    beside, postgres_dsn, valkey_url
):
    async with books_that_add_up(beside, postgres_dsn, valkey_url):
        account = await account_of(beside, quota_usd=1)
        user, key, token = await member_of(beside, account, "ada")
        assert (await spend(beside, key))[0] == 200
        path = f"/api/account/{account}/member"
        await beside.call("DELETE", f"{path}/{user}")
        assert await spend(beside, key) == (403, "account_disabled")
        (made,) = (await beside.admin.call("GET", "/api/token", token=token)).data["items"]
        told = await beside.call("POST", f"/api/token/{made['id']}/explain", {"model": "m"})
        assert (told["decision"]["rule"]["of"], told["decision"]["check"]) == (
            "member",
            "require_live",
        )
        await beside.call("POST", path, {"user_id": user})
        await passes(beside, key)


async def test_payments_grants_and_codes_under_load_leave_every_book_right(
    beside, postgres_dsn, valkey_url
):
    async with books_that_add_up(beside, postgres_dsn, valkey_url):
        account = await account_of(beside, quota_usd=1)
        path = f"/api/account/{account}"
        user, key, token = await member_of(beside, account, "ada", quota_usd=1)
        finished = asyncio.Event()
        statuses = set()

        async def call_on() -> None:
            while not finished.is_set():
                statuses.add(await beside.status(key))

        codes = (await beside.call("POST", "/api/redeem", {"amount_usd": 0.5, "count": 10}))[
            "codes"
        ]
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(call_on())
            for number, code in enumerate(codes):
                body = {"reference": f"p{number}", "amount_usd": 0.25}
                await beside.call("POST", f"{path}/top_up", body)
                await beside.call("POST", f"{path}/top_up", body)
                await beside.call("POST", f"{path}/grant", {"amount_usd": -0.25})
                await beside.call("PATCH", f"{path}/member/{user}", {"add_quota_usd": 0.01})
                redeemed = {"key": code, "account_id": account}
                answer = await beside.admin.call("POST", "/api/redeem/use", redeemed, token=token)
                assert answer.status == 200, answer.body
            finished.set()
        assert statuses == {200}
        shown = await beside.call("GET", path)
        assert (shown["quota_usd"], shown["members"][0]["quota_usd"]) == (6, 1.1)
