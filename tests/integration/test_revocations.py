"""A stream ends with its key: within two seconds of the edit, and within ten where nobody was told of it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from gateway.domain.edit import TokenChange
from gateway.store.tokens import update_token
from tests.integration.beside import Beside
from tests.integration.rig import SYSTEM, USD, Rig, chat, instant, running_rig
from tests.integration.test_native_dialects import configure as configure_dialects
from tests.upstream import Echo, Gate
from tests.wire import request, wire

INPUT, OUTPUT = 1_000, 10_000  # nano-dollars a token
STREAM = chat(stream=True, max_tokens=100)
PASSED = 3  # events that the caller has when the key ends
SOON_S, BOUND_S = 2.0, 10.0

Edit = Callable[[Beside, dict[str, Any]], Awaitable[object]]


async def disable(beside: Beside, made: dict[str, Any]) -> None:
    await beside.call("PATCH", f"/api/token/{made['id']}", {"status": 2})


async def delete(beside: Beside, made: dict[str, Any]) -> None:
    await beside.call("DELETE", f"/api/token/{made['id']}")


async def rotate(beside: Beside, made: dict[str, Any]) -> None:
    await beside.call("POST", f"/api/token/{made['id']}/rotate")


async def end_overlap(beside: Beside, made: dict[str, Any]) -> None:
    path = f"/api/token/{made['id']}/rotate"
    await beside.call("POST", path, {"overlap_seconds": 3600})
    await beside.call("DELETE", path)


async def expire(beside: Beside, made: dict[str, Any]) -> None:
    await beside.call("PATCH", f"/api/token/{made['id']}", {"expired_time": 1_000_000_000})


async def disable_user(beside: Beside, made: dict[str, Any]) -> None:
    await beside.call("PATCH", f"/api/user/{made['user_id']}", {"status": 2})


async def delete_user(beside: Beside, made: dict[str, Any]) -> None:
    await beside.call("DELETE", f"/api/user/{made['user_id']}")


async def disable_account(beside: Beside, made: dict[str, Any]) -> None:
    await beside.call("PATCH", f"/api/account/{made['account_id']}", {"status": 2})


async def token_of_somebody(beside: Beside) -> dict[str, Any]:
    """A token of a user who is not the one that edits; with a grant on their account."""
    user_id, theirs = await beside.admin.user("ada")
    made = await beside.admin.call(
        "POST", "/api/token/", {"name": "a", "quota_usd": 1}, token=theirs
    )
    assert made.status == 200, made.body
    await beside.admin.pool.execute("UPDATE account SET granted = NULL WHERE name = 'ada'")
    account_id = await beside.admin.pool.fetchval(
        "SELECT account_id FROM token WHERE id = $1", made.data["id"]
    )
    return made.data | {"user_id": user_id, "account_id": account_id}


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (disable, "key_disabled"),
        (delete, "invalid_api_key"),
        (rotate, "key_expired"),
        (end_overlap, "key_expired"),
        (disable_user, "account_disabled"),
        (delete_user, "invalid_api_key"),
        (disable_account, "account_disabled"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
async def test_a_stream_is_cut_soon_after_its_key_has_ended_and_charged_for_what_it_had(
    beside: Beside, edit: Edit, code: str
):
    made, gate = await token_of_somebody(beside), Gate()
    beside.rig.upstream.answer("m", Echo().after(PASSED, gate))
    async with wire(beside.rig.url) as caller:
        caller.write(request(made["key"], STREAM))
        await caller.until(lambda: caller.raw.count(b"data: ") == PASSED)
        began = time.monotonic()
        await edit(beside, made)
        answer = await caller.answer()
        assert time.monotonic() - began < SOON_S
    assert answer.status == 200
    assert answer.whole, "the framing ends, the dialect's terminator does not come"
    *_, last = answer.events()
    assert last["error"]["code"] == code
    (sent,) = await beside.rig.upstream.received(1)
    async with asyncio.timeout(5):
        await sent.gone.wait()
    (row,) = await beside.rig.ledger()
    assert (row["status"], row["anomaly"], row["estimated"]) == (200, "revoked", True)
    assert row["amount"] == -(-len(orjson.dumps(STREAM)) // 4) * INPUT + PASSED * OUTPUT
    book = await beside.rig.gateway.quota.book(made["account_id"], f"t{made['id']}")
    assert book is not None
    assert (book.reserved, book.live) == (0, 0)


async def test_another_edit_of_its_token_cuts_no_stream(beside: Beside):
    made, gate = await token_of_somebody(beside), Gate()
    beside.rig.upstream.answer("m", Echo().after(PASSED, gate))
    async with wire(beside.rig.url) as caller:
        caller.write(request(made["key"], STREAM))
        await caller.until(lambda: caller.raw.count(b"data: ") == PASSED)
        await beside.call(
            "PATCH", f"/api/token/{made['id']}", {"name": "b", "model_limits": "other"}
        )
        await beside.call("POST", f"/api/token/{made['id']}/rotate", {"overlap_seconds": 3600})
        assert not await beside.rig.gateway.revocations.look()
        gate.release()
        answer = await caller.answer()
    assert answer.events()[-1] == "[DONE]"
    (row,) = await beside.rig.ledger()
    assert (row["anomaly"], row["estimated"]) == (None, False)


async def test_without_a_notice_a_stream_is_cut_within_the_bound(rig: Rig):
    """As if neither Valkey nor the notice could be reached: the edit stands in Postgres alone."""
    made, gate = await rig.token(USD), Gate()
    rig.upstream.answer("m", Echo().after(PASSED, gate))
    async with wire(rig.url) as caller:
        caller.write(request(made.key, STREAM))
        await caller.until(lambda: caller.raw.count(b"data: ") == PASSED)
        began = time.monotonic()
        await update_token(rig.database, SYSTEM, made.row.id, lambda _: TokenChange(status=2))
        answer = await caller.answer()
        assert time.monotonic() - began < BOUND_S
    assert answer.events()[-1]["error"]["code"] == "key_disabled"


async def test_a_key_that_expires_takes_its_streams_along(rig: Rig):
    made, gate = await rig.token(USD, expires_at=instant(time.time() + 1)), Gate()
    rig.upstream.answer("m", Echo().after(PASSED, gate))
    async with wire(rig.url) as caller:
        caller.write(request(made.key, STREAM))
        answer = await caller.answer()
    assert answer.events()[-1]["error"]["code"] == "key_expired"


async def test_an_answer_that_is_waited_for_becomes_the_refusal_and_its_input_is_charged(
    beside: Beside,
):
    made, gate = await token_of_somebody(beside), Gate()
    beside.rig.upstream.answer("m", Echo().first(gate))
    async with wire(beside.rig.url) as caller:
        caller.write(request(made["key"], chat()))
        await gate.waiting(1)
        began = time.monotonic()
        await disable(beside, made)
        answer = await caller.answer()
        assert time.monotonic() - began < SOON_S
    assert (answer.status, orjson.loads(answer.body)["error"]["code"]) == (401, "key_disabled")
    (row,) = await beside.rig.ledger()
    assert (row["status"], row["anomaly"], row["estimated"]) == (401, "revoked", True)
    assert row["amount"] == -(-len(orjson.dumps(chat())) // 4) * INPUT


async def test_a_call_that_has_not_come_to_an_upstream_yet_is_looked_at_again(rig: Rig):
    """It waits for its turn at the upstream, and is cut as soon as there is something to cut."""
    forwarder = rig.gateway.forwarder
    made, gate = await rig.token(USD), Gate()
    rig.upstream.answer("m", Echo().first(gate))
    async with wire(rig.url) as caller:
        caller.write(request(made.key, STREAM))
        await gate.waiting(1)
        await update_token(rig.database, SYSTEM, made.row.id, lambda _: TokenChange(status=2))
        (call,) = forwarder.live_calls()
        attempt, forwarder._live[call] = forwarder._live[call], None
        assert await rig.gateway.revocations.look(), "there was nothing to cut"
        forwarder._live[call] = attempt
        assert not await rig.gateway.revocations.look()
        answer = await caller.answer()
    assert answer.status == 401


@pytest.mark.parametrize(
    ("path", "body", "event"),
    [
        (
            "/v1/messages",
            {
                "model": "claude",
                "max_tokens": 50,
                "stream": True,
                "messages": [{"role": "user", "content": "Hi"}],
            },
            b"event: error\ndata: ",
        ),
        (
            "/v1beta/models/gem:streamGenerateContent?alt=sse",
            {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
            b'"status":"UNAUTHENTICATED"',
        ),
    ],
    ids=["anthropic", "gemini"],
)
async def test_each_dialect_tells_the_end_in_its_own_way(
    postgres_dsn: str, valkey_url: str, path: str, body: dict[str, Any], event: bytes
):
    async with running_rig(
        postgres_dsn, valkey_url, configure_dialects, {"PROVIDER_KEY": "provider-secret"}
    ) as rig:
        made, gate = await rig.token(USD), Gate()
        for model in ("claude-real", "gem-real"):
            rig.upstream.answer(model, Echo().after(2, gate))
        async with rig.post(made.key, body, path=path) as answer:
            assert answer.status == 200
            await gate.waiting(1)
            await update_token(rig.database, SYSTEM, made.row.id, lambda _: TokenChange(status=2))
            rig.gateway.notices.token_changed(made.row.id)
            text = await answer.read()
        assert event in text
        assert b"disabled" in text
        assert b"message_stop" not in text
        assert b"finishReason" not in text


async def test_a_hundred_streams_of_an_account_end_with_it(beside: Beside):
    made, gate = await token_of_somebody(beside), Gate()
    await beside.admin.pool.execute("UPDATE token SET granted = NULL WHERE id = $1", made["id"])
    beside.rig.upstream.answer("m", Echo().after(1, gate))

    async def stream() -> bytes:
        async with beside.rig.post(made["key"], STREAM) as answer:
            return await answer.read()

    streams = [asyncio.create_task(stream()) for _ in range(100)]
    await gate.waiting(100)
    began = time.monotonic()
    await disable_account(beside, made)
    texts = await asyncio.gather(*streams)
    assert time.monotonic() - began < SOON_S
    assert all(b"account_disabled" in text and b"[DONE]" not in text for text in texts)
    rows = await beside.rig.ledger()
    assert [row["anomaly"] for row in rows] == ["revoked"] * 100
