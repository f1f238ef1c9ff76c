"""What running calls hold is shown: in token objects, by scope, and call by call."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from admin_api import answers
from gateway.store.editing import Keyed
from gateway.store.people import write_access_token
from gateway.store.postgres import transaction
from tests.admin import PEPPER, SYSTEM, UNIT, Admin, running_admin
from tests.integration.rig import USD, Rig, chat
from tests.upstream import Echo, Gate


@dataclass
class Held:
    """A gateway with a token, one of whose calls waits at a gate, and the admin app beside it."""

    rig: Rig
    admin: Admin
    access: str
    token: Keyed
    gate: Gate
    call: asyncio.Task[str]

    async def get(self, path: str = ""):
        answer = await self.admin.call(
            "GET", f"/api/token/{self.token.row.id}{path}", token=self.access
        )
        assert answer.status == 200, answer.body
        return answer.data


async def _call(rig: Rig, secret: str) -> str:
    async with rig.post(secret, chat(model='m"\t\\', max_tokens=50)) as answer:
        assert answer.status == 200
        await answer.read()
        return answer.headers["x-request-id"]


@pytest.fixture
async def held(rig: Rig, aiohttp_client, postgres_dsn) -> AsyncIterator[Held]:
    gate = Gate()
    rig.upstream.answer('m"\t\\', Echo().first(gate))
    token = await rig.token()
    priced = await rig.token(USD)
    rig.upstream.answer("m", Echo().first(gate))
    async with running_admin(aiohttp_client, postgres_dsn, quota=rig.gateway.quota) as admin:
        async with transaction(admin.pool) as connection:
            access = await write_access_token(connection, SYSTEM, 1, "t", PEPPER)
        admin.clock[0] = time.time()
        odd = asyncio.create_task(_call(rig, token.key))
        call = asyncio.create_task(_priced_call(rig, priced.key))
        await gate.waiting(2)
        yield Held(rig, admin, access, priced, gate, call)
        gate.release()
        await asyncio.gather(odd, call)


async def _priced_call(rig: Rig, secret: str) -> str:
    async with rig.post(secret, chat(max_tokens=50)) as answer:
        assert answer.status == 200
        await answer.read()
        return answer.headers["x-request-id"]


async def test_a_running_call_is_listed_with_what_it_holds(held: Held):
    (shown,) = await held.get("/reservations")
    assert set(shown) == set(answers.Reservation.model_fields)
    answers.Reservation.model_validate(shown, strict=True)
    book = await held.rig.gateway.quota.book(held.token.row.account_id, f"t{held.token.row.id}")
    assert book is not None
    assert shown["held_nusd"] == book.reserved > 0
    assert shown["held_quota"] == -(-book.reserved // UNIT)
    assert shown["model"] == "m"
    assert shown["tokens"] > 50
    assert shown["age_s"] == pytest.approx(
        held.admin.clock[0] - shown["started_at"], abs=0.001
    ) or (shown["age_s"] == 0)
    held.gate.release()
    assert await held.call == shown["request_id"]
    await held.rig.quiet()
    assert await held.get("/reservations") == []


async def test_any_models_name_is_shown_as_it_was_asked_for(held: Held):
    other = await held.admin.call(
        "GET", f"/api/token/{held.token.row.id - 1}/reservations", token=held.access
    )
    assert [each["model"] for each in other.data] == ['m"\t\\']


async def test_a_token_shows_what_is_held_and_that_it_is_neither_used_nor_left(held: Held):
    shown = await held.get()
    reserved = shown["quota"]["token"]["held_nusd"]
    assert shown["held_quota"] == -(-reserved // UNIT) > 0
    assert (shown["used_quota"], shown["remain_quota"]) == (0, USD // UNIT)
    for scope in ("token", "member", "subscription", "account"):
        money = shown["quota"][scope]
        assert (money["used_nusd"], money["pending_nusd"]) == (0, 0), scope
        assert money["held_nusd"] == reserved, scope  # the other call has no price
    assert shown["quota"]["token"]["available_nusd"] == USD - reserved
    assert shown["quota"]["account"]["granted_nusd"] is None
    assert shown["quota"]["account"]["available_nusd"] is None


async def test_nothing_is_held_when_the_call_has_ended_and_it_all_adds_up(held: Held):
    held.gate.release()
    await held.call
    (row, _) = await held.rig.ledger()
    async with asyncio.timeout(10):
        while (money := (await held.get())["quota"]["token"])["pending_nusd"]:
            pass
    assert money["held_nusd"] == 0
    assert money["used_nusd"] + money["available_nusd"] == money["granted_nusd"] == USD
    assert row["amount"] >= 0


@pytest.mark.interpreted
async def test_lists_show_what_is_held_of_each_token_with_one_read(held: Held):
    sent = []
    pipeline = held.rig.gateway.quota._pipeline
    send = pipeline.send
    pipeline.send = lambda shard, command, done: (sent.append(command), send(shard, command, done))
    answer = await held.admin.call("GET", "/api/token/?size=100", token=held.access)
    pipeline.send = send
    assert sum(b"MGET" in command for command in sent) == 1  # beside what the gateway sends
    by_id = {item["id"]: item["held_quota"] for item in answer.data["items"]}
    assert by_id[held.token.row.id] > 0
    assert [by_id[1], by_id[held.token.row.id - 1]] == [0, 0]


async def test_what_the_quota_store_would_say_is_null_while_it_cannot_be_asked(
    aiohttp_client, postgres_dsn
):
    async with running_admin(aiohttp_client, postgres_dsn) as admin:
        made = await admin.create(remain_quota=USD // UNIT)
        shown = await admin.get(made["id"])
        assert shown["held_quota"] is None
        assert shown["quota"]["token"] == {
            "granted_nusd": USD,
            "used_nusd": 0,
            "pending_nusd": None,
            "held_nusd": None,
            "available_nusd": None,
        }
        listed = await admin.call("GET", "/api/token/")
        assert {item["held_quota"] for item in listed.data["items"]} == {None}
        answer = await admin.call("GET", f"/api/token/{made['id']}/reservations")
        assert (answer.status, answer.body["code"]) == (503, "store_unavailable")


async def test_an_object_with_its_quota_may_be_sent_back_whole(held: Held):
    shown = await held.get()
    answer = await held.admin.call("PUT", "/api/token/", shown, token=held.access)
    assert answer.status == 200, answer.body
    assert (answer.data["version"], answer.data["remain_quota"]) == (
        shown["version"],
        shown["remain_quota"],
    )


async def test_the_reservations_of_others_are_not_shown(held: Held):
    _, access = await held.admin.user("mia")
    path = f"/api/token/{held.token.row.id}/reservations"
    answer = await held.admin.call("GET", path, token=access)
    assert answer.status == 404
