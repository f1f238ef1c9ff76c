"""The console's playground: a chat with a token through the admin app, under every rule of the token.

The pair is real: the admin app calls a gateway on the same stores, before a scripted upstream.
"""

import asyncio
import json
import time

import pytest

from admin_api.notifier import StoreNotifier
from gateway.domain.edit import Actor
from gateway.domain.rejection import Rejected
from gateway.relay.housekeeping import _charge
from gateway.store.books import Overdue
from gateway.store.charges import COLUMNS
from gateway.store.people import write_access_token
from gateway.store.playground import mint_console_secret
from gateway.store.postgres import transaction
from gateway.store.valkey import open_valkey
from tests.admin import PEPPER, SYSTEM, running_admin
from tests.integration.beside import Beside
from tests.integration.rig import USD, chat
from tests.upstream import CUT, Echo, Gate

HERE = "203.0.113.7"


@pytest.fixture
async def pair(rig, aiohttp_client, postgres_dsn, valkey_url):
    settings = {"admin": {"gateway_url": rig.url, "trusted_proxies": ["127.0.0.1"]}}
    async with (
        open_valkey(valkey_url) as valkey,
        running_admin(
            *(aiohttp_client, postgres_dsn, settings, rig.gateway.quota),
            StoreNotifier(rig.gateway.quota, valkey, timeout_s=5),
        ) as admin,
    ):
        admin.clock[0] = time.time()
        async with transaction(admin.pool) as connection:
            access = await write_access_token(connection, SYSTEM, 1, "t", PEPPER)
        yield Beside(rig, admin, access)


def ask(pair, token_id, body, *, access=None, address=HERE, **more):
    """A call of the playground by somebody at `address`: a context manager of the answer."""
    headers = {"Authorization": f"Bearer {access or pair.access}", "X-Forwarded-For": address}
    path = f"/api/token/{token_id}/playground"
    return pair.admin.client.post(path, json=body, headers=headers, **more)


async def refusal(pair, token_id, body, **more):
    """Status and code of what the gateway refuses."""
    async with ask(pair, token_id, body, **more) as answer:
        assert answer.headers["X-Gateway-Request-Id"]
        return answer.status, (await answer.json())["error"]["code"]


async def minted(pair, token_id, address="127.0.0.1"):
    return await mint_console_secret(pair.admin.pool, SYSTEM, token_id, address, PEPPER)


async def test_a_chat_is_answered_as_the_gateway_answers_and_marked_in_the_log(pair):
    token = (await pair.rig.token(USD)).row
    async with ask(pair, token.id, chat(text="Hi", max_tokens=50)) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert (await answer.json())["object"] == "chat.completion"
        request_id = answer.headers["X-Gateway-Request-Id"]
        assert answer.headers["X-Request-Id"] != request_id
    (row,) = await pair.rig.ledger()
    assert str(row["request_id"]) == request_id
    assert (row["token_id"], row["from_console"], str(row["address"])) == (token.id, True, HERE)
    assert row["amount"] > 0
    (shown,) = (await pair.call("GET", f"/api/log?token_id={token.id}"))["items"]
    assert (shown["from_console"], shown["address"]) == (True, HERE)


async def test_what_the_caller_tells_and_a_lost_workers_call_are_marked_too(pair):
    token = (await pair.rig.token(USD)).row
    async with ask(pair, token.id, chat(max_tokens=5, user="bob")) as answer:
        assert answer.status == 200
    (row,) = await pair.rig.ledger()
    assert (row["end_user"], row["from_console"]) == ("bob", True)
    gate = Gate()
    pair.rig.upstream.answer("m", Echo().first(gate))
    call = asyncio.ensure_future(ask(pair, token.id, chat(max_tokens=5)).__aenter__())
    await gate.waiting()
    (left,) = await pair.rig.gateway.quota.live(token.account_id)
    charge = _charge(Overdue(token.account_id, left))
    assert charge.line.endswith(b"\t\\N\t\\N\tt\n")
    assert charge.line.count(b"\t") == len(COLUMNS) - 1
    gate.release()
    await call


async def test_an_applications_call_is_not_marked(pair):
    keyed = await pair.rig.token(USD)
    assert await pair.status(keyed.key) == 200
    (row,) = await pair.rig.ledger()
    assert row["from_console"] is False


async def test_the_body_is_passed_on_as_it_is(pair):
    token = (await pair.rig.token()).row
    body = (
        b'{"model":"m",  "max_tokens":5,"messages":[{"role":"user","content":"\\u00e9"}],"x":1.50}'
    )
    headers = {
        "Authorization": f"Bearer {pair.access}",
        "Content-Type": "application/json",
    }
    path = f"/api/token/{token.id}/playground"
    async with pair.admin.client.post(path, data=body, headers=headers) as answer:
        assert answer.status == 200
    (sent,) = await pair.rig.upstream.received(1)
    assert sent.body == body


async def test_a_stream_arrives_in_pieces(pair):
    token = (await pair.rig.token(USD)).row
    gate = Gate()
    pair.rig.upstream.answer("m", Echo().after(2, gate))
    async with ask(pair, token.id, chat(stream=True, max_tokens=50)) as answer:
        assert answer.content_type == "text/event-stream"
        first = await answer.content.readuntil(b"\n\n")
        assert first.startswith(b"data: {")
        await gate.waiting()
        gate.release()
        rest = await answer.content.read()
    assert rest.endswith(b"data: [DONE]\n\n")


async def test_a_stream_that_is_cut_is_not_taken_for_whole(pair):
    token = (await pair.rig.token(USD)).row
    pair.rig.upstream.answer("m", Echo().after(2, CUT))
    async with ask(pair, token.id, chat(stream=True, max_tokens=50)) as answer:
        told = await answer.content.read()
    assert b"[DONE]" not in told
    assert b'"error"' in told


@pytest.mark.parametrize("stream", [True, False])
async def test_a_reader_who_goes_away_ends_the_call_upstream(pair, stream):
    token = (await pair.rig.token(USD)).row
    gate = Gate()
    pair.rig.upstream.answer("m", Echo().first(gate))
    call = asyncio.ensure_future(
        ask(pair, token.id, chat(stream=stream, max_tokens=50)).__aenter__()
    )
    (sent,) = await pair.rig.upstream.received(1)
    call.cancel()
    await asyncio.wait({call})
    async with asyncio.timeout(10):
        await sent.gone.wait()
    await pair.rig.quiet()
    (row,) = await pair.rig.ledger()
    assert row["status"] == 499


async def test_the_network_rule_is_about_the_readers_address(pair):
    allowed = (await pair.rig.token(allow_ips=("203.0.113.0/24",))).row
    denied = (await pair.rig.token(deny_ips=("203.0.113.0/24",))).row
    body = chat(max_tokens=5)
    assert await refusal(pair, denied.id, body) == (403, "ip_not_allowed")
    assert await refusal(pair, allowed.id, body, address="192.0.2.1") == (403, "ip_not_allowed")
    for token, address in ((allowed, HERE), (denied, "2001:db8::1")):
        async with ask(pair, token.id, body, address=address) as answer:
            assert answer.status == 200


async def test_whose_address_is_unreadable_does_not_call(pair):
    token = (await pair.rig.token()).row
    headers = {"X-Forwarded-For": "nonsense"}
    path = f"/api/token/{token.id}/playground"
    answer = await pair.admin.call("POST", path, chat(), token=pair.access, headers=headers)
    assert (answer.status, answer.body["code"]) == (403, "address_not_allowed")


async def test_an_ordinary_key_cannot_claim_an_address(pair):
    keyed = await pair.rig.token(allow_ips=("203.0.113.0/24",))
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Console-Address"):
        sent = pair.rig.post(keyed.key, chat(max_tokens=5), headers={name: HERE})
        async with sent as answer:
            assert answer.status == 403
    # Nor can its row, whatever writes to it.
    with pytest.raises(Exception, match="token_secret_check"):
        await pair.admin.pool.execute(
            "UPDATE token_secret SET address = $2 WHERE token_id = $1", keyed.row.id, HERE
        )


async def test_exhausted_disabled_and_forbidden_are_refused_as_ever(pair):
    body = chat(max_tokens=5)
    exhausted = (await pair.rig.token(granted=0)).row
    assert await refusal(pair, exhausted.id, body) == (429, "insufficient_quota")
    disabled = (await pair.rig.token()).row
    await pair.call("PATCH", f"/api/token/{disabled.id}", {"status": 2})
    assert await refusal(pair, disabled.id, body) == (401, "key_disabled")
    listed = (await pair.rig.token(models=("other",), models_enabled=True)).row
    assert await refusal(pair, listed.id, body) == (403, "model_not_allowed")


async def test_somebody_elses_token_is_not_there_but_for_administrators(pair):
    token = (await pair.rig.token()).row
    _, access = await pair.admin.user("ada")
    path = f"/api/token/{token.id}/playground"
    answer = await pair.admin.call("POST", path, chat(), token=access)
    assert (answer.status, answer.body["code"]) == (404, "not_found")
    boss_id, boss = await pair.admin.user("boss", role="admin")
    async with ask(pair, token.id, chat(max_tokens=5), access=boss) as answer:
        assert answer.status == 200
    _, viewer = await pair.admin.user("viewer", role="viewer")
    answer = await pair.admin.call("POST", path, chat(), token=viewer)
    assert answer.status in {403, 404}
    actors = await pair.admin.pool.fetch(
        "SELECT actor FROM audit WHERE action = 'token.playground'"
    )
    assert [row["actor"] for row in actors] == [f"user:{boss_id}"]


async def test_each_call_is_audited_without_its_secret(pair):
    token = (await pair.rig.token()).row
    async with ask(pair, token.id, chat(max_tokens=5)) as answer:
        assert answer.status == 200
    query = f"object_kind=token&object_id={token.id}&action=token.playground"
    (row,) = (await pair.call("GET", f"/api/audit?{query}"))["items"]
    assert (row["actor"], row["address"], row["after"]) == ("user:1", HERE, None)
    assert "sk-" not in json.dumps(row)


async def test_a_consoles_secret_stops_after_five_minutes(pair):
    token = (await pair.rig.token()).row
    key = await minted(pair, token.id)
    assert await pair.status(key) == 200
    left = await pair.admin.pool.fetchval(
        "SELECT extract(epoch FROM expires_at - now()) FROM token_secret WHERE purpose = 'playground'"
    )
    assert 290 < left <= 300
    await end_secrets(pair)
    pair.rig.gateway.notices.missed()  # no worker may remember it
    assert await pair.status(key) == 401


async def test_what_has_ended_is_removed_by_the_next_and_never_counted_among_the_tokens_secrets(
    pair,
):
    keyed = await pair.rig.token()
    for _ in range(12):
        await minted(pair, keyed.row.id)
    shown = await pair.call("GET", f"/api/token/{keyed.row.id}")
    assert [each["purpose"] for each in shown["secrets"]] == ["key"]
    assert shown["key"] == keyed.row.display
    await pair.call("POST", f"/api/token/{keyed.row.id}/rotate", {"overlap_seconds": 60})
    await end_secrets(pair)
    await minted(pair, keyed.row.id)
    count = "SELECT count(*) FROM token_secret WHERE purpose = 'playground'"
    assert await pair.admin.pool.fetchval(count) == 1


async def end_secrets(pair):
    await pair.admin.pool.execute(
        "UPDATE token_secret SET expires_at = now() - interval '1 second' WHERE purpose = 'playground'"
    )


async def test_a_secret_is_made_for_ones_own_tokens_only(pair):
    token = (await pair.rig.token()).row
    user_id, _ = await pair.admin.user("ada")
    actor = Actor(f"user:{user_id}", user_id=user_id)
    with pytest.raises(Rejected):
        await mint_console_secret(pair.admin.pool, actor, token.id, HERE, PEPPER)


async def test_a_gateway_that_is_not_there_is_told_with_the_setting(
    aiohttp_client, postgres_dsn, unused_tcp_port
):
    settings = {"admin": {"gateway_url": f"http://127.0.0.1:{unused_tcp_port}"}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        made = await admin.create()
        answer = await admin.call("POST", f"/api/token/{made['id']}/playground", chat())
    assert (answer.status, answer.body["code"]) == (502, "gateway_unavailable")
    assert "admin.gateway_url" in answer.message


async def test_calls_are_rationed(aiohttp_client, postgres_dsn, unused_tcp_port):
    settings = {"admin": {"gateway_url": f"http://127.0.0.1:{unused_tcp_port}"}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        made = await admin.create()
        path = f"/api/token/{made['id']}/playground"
        statuses = [(await admin.call("POST", path, chat())).status for _ in range(121)]
    assert statuses == [502] * 120 + [429]


async def test_a_body_that_is_no_chat_is_told_field_by_field(pair):
    token = (await pair.rig.token()).row
    path = f"/api/token/{token.id}/playground"
    answer = await pair.admin.call("POST", path, {"model": 1}, token=pair.access)
    assert answer.status == 422
    assert [each["field"] for each in answer.body["errors"]] == ["model", "messages"]
