"""Subscriptions bind when calls are made: their time, their cap and their limits, beside a running gateway."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.integration.beside import Beside
from tests.integration.rig import Rig, chat, running_rig

FAR = 4_000_000_000


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    def configure(members):
        limits = [{"metric": "requests", "window": "1d", "limit": 3}]
        members["groups"] = {"vip": {"limits": limits, "max_concurrency": 9}}

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


@dataclass
class Subscribed:
    """A user with a key in the group vip, which their account has subscribed to."""

    beside: Beside
    user: int
    token: int
    key: str
    path: str

    async def put(self, **fields):
        return await self.beside.call("PUT", self.path, fields)

    async def call(self) -> tuple[int, str]:
        async with self.beside.rig.post(self.key, chat(max_tokens=5)) as answer:
            error = (await answer.json(content_type=None)).get("error") or {}
            return answer.status, error.get("scope") or error.get("code") or ""

    async def passes(self) -> None:
        """Wait until a call passes: what refused it on an older row is forgotten when the notice of the edit comes."""
        while (await self.call())[0] != 200:
            pass

    async def explained(self):
        self.beside.admin.clock[0] = time.time()
        path = f"/api/token/{self.token}/explain"
        return (await self.beside.call("POST", path, {"model": "m"}))["decision"]


@pytest.fixture
async def subscribed(beside: Beside) -> Subscribed:
    made = await beside.call("POST", "/api/account", {"name": "team", "quota_usd": 1})
    path = f"/api/account/{made['id']}/subscription/vip"
    await beside.call("PUT", path, {})
    user, access = await beside.admin.user("ada", account_id=made["id"])
    body = {"name": "v", "group": "vip", "unlimited_quota": True}
    answer = await beside.admin.call("POST", "/api/token", body, token=access)
    assert answer.status == 200, answer.body
    return Subscribed(beside, user, answer.data["id"], answer.data["key"], path)


async def test_a_subscription_that_ends_refuses_the_next_call(subscribed: Subscribed):
    assert (await subscribed.call())[0] == 200
    await subscribed.beside.call("DELETE", subscribed.path)
    assert await subscribed.call() == (403, "group_not_allowed")
    told = await subscribed.explained()
    assert (told["check"], told["rule"]["of"]) == ("require_live", "subscription")
    assert "prolong" in told["remedy"]
    await subscribed.put(ends_time=FAR)
    await subscribed.passes()
    await subscribed.put(ends_time=1_700_000_000)
    assert await subscribed.call() == (403, "group_not_allowed")


async def test_a_subscription_that_has_not_begun_refuses_calls(subscribed: Subscribed):
    await subscribed.put(starts_time=FAR)
    assert await subscribed.call() == (403, "group_not_allowed")
    await subscribed.put(starts_time=None)
    await subscribed.passes()


async def test_a_users_own_group_is_open_whatever_was_subscribed_to(subscribed: Subscribed):
    await subscribed.beside.call("DELETE", subscribed.path)
    pool = subscribed.beside.admin.pool
    assert (await subscribed.call())[0] == 403
    vip = await pool.fetchval("""SELECT id FROM "group" WHERE name = 'vip'""")
    await pool.execute('UPDATE "user" SET group_id = $1 WHERE id = $2', vip, subscribed.user)
    await subscribed.put(quota_usd=1)
    await subscribed.passes()


async def test_the_cap_of_a_subscription_binds_all_of_the_accounts_keys_there(
    subscribed: Subscribed,
):
    await subscribed.put(quota_usd=0)
    assert await subscribed.call() == (429, "subscription")
    account = subscribed.path.partition("/subscription")[0]
    body = {"reference": "p", "amount_usd": 0.5, "group": "vip"}
    await subscribed.beside.call("POST", f"{account}/top_up", body)
    assert (await subscribed.call())[0] == 200
    await subscribed.beside.rig.quiet()
    (shown,) = (
        each
        for each in await subscribed.beside.call("GET", f"{account}/subscription")
        if each["group"] == "vip"
    )
    assert 0 < shown["used_usd"] < shown["quota_usd"] == 0.5


async def test_of_a_groups_limit_and_the_subscriptions_the_lower_one_holds(subscribed: Subscribed):
    def limits(number):
        return [{"metric": "requests", "window": "1d", "limit": number}]

    await subscribed.put(limits=limits(1))
    assert [await subscribed.call() for _ in range(2)] == [(200, ""), (429, "subscription")]
    await subscribed.put(limits=limits(100))
    assert [await subscribed.call() for _ in range(3)] == [
        (200, ""),
        (200, ""),
        (429, "subscription"),
    ]


async def test_a_limit_that_only_the_subscription_has_binds_too(subscribed: Subscribed):
    await subscribed.put(limits=[{"metric": "requests", "window": "5h", "limit": 1}])
    assert [await subscribed.call() for _ in range(2)] == [(200, ""), (429, "subscription")]
