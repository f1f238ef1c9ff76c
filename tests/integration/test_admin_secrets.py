"""The secrets of a token: rotated with overlap, found, revealed where they are kept, sealed anew."""

import asyncio
import json
import time

import asyncpg
import pytest

from gateway.domain import key as keys
from gateway.store.resealing import reseal
from gateway.store.seal import Seal
from tests.admin import KEK, Admin, running_admin
from tests.integration.beside import KEPT, Beside
from tests.integration.rig import USD, chat
from tests.integration.test_calls import refused
from tests.upstream import Echo, Gate


@pytest.fixture
async def keeping(aiohttp_client, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn, KEPT) as running:
        yield running


# Rotation


async def test_a_rotation_keeps_id_quota_and_history_and_ends_the_old_secret_at_once(
    beside: Beside,
):
    made = await beside.call("POST", "/api/token/", {"name": "a", "quota_usd": 1})
    assert await beside.status(made["key"]) == 200
    rotated = await beside.call("POST", f"/api/token/{made['id']}/rotate")
    assert keys.is_sound(rotated["key"])
    assert rotated["key"] != made["key"]
    assert (rotated["id"], rotated["quota_usd"]) == (made["id"], 1)
    assert await beside.status(rotated["key"]) == 200
    body = await refused(beside.rig.post(made["key"], chat()), 401, "key_expired")
    assert "rotated" in body["message"]
    rows = await beside.rig.ledger()
    assert {row["token_id"] for row in rows} == {made["id"]}
    assert len(rows) == 2
    shown = await beside.call("GET", f"/api/token/{made['id']}")
    assert shown["quota"]["token"]["used_nusd"] == sum(row["amount"] for row in rows)


async def test_both_secrets_spend_one_quota_until_the_overlap_is_ended(beside: Beside):
    made = await beside.call("POST", "/api/token/", {"name": "a", "quota_usd": 1})
    path = f"/api/token/{made['id']}/rotate"
    rotated = await beside.call("POST", path, {"overlap_seconds": 3600})
    (listed,) = (await beside.call("GET", f"/api/token/?token={rotated['key'][-4:]}"))["items"]
    assert listed["overlap_until"] == pytest.approx(time.time() + 3600, abs=60)
    for key in (made["key"], rotated["key"]):
        assert await beside.status(key) == 200
    assert {row["token_id"] for row in await beside.rig.ledger()} == {made["id"]}
    shown = await beside.call("DELETE", path)
    assert "key" in shown
    assert shown["overlap_until"] == 0
    await refused(beside.rig.post(made["key"], chat()), 401, "key_expired")
    assert await beside.status(rotated["key"]) == 200
    version = shown["version"]
    assert (await beside.call("DELETE", path))["version"] == version, "there was none to end"


async def test_a_stream_that_runs_goes_on_while_its_key_is_rotated_with_an_overlap(beside: Beside):
    gate = Gate()
    beside.rig.upstream.answer("m", Echo().after(1, gate))
    made = await beside.call("POST", "/api/token/", {"name": "a", "quota_usd": 1})
    async with beside.rig.post(made["key"], chat(stream=True)) as answer:
        await gate.waiting()
        await beside.call("POST", f"/api/token/{made['id']}/rotate", {"overlap_seconds": 60})
        gate.release()
        assert (await answer.text()).endswith("data: [DONE]\n\n")


async def test_the_last_use_of_each_secret_is_shown(beside: Beside):
    made = await beside.call("POST", "/api/token/", {"name": "a", "quota_usd": 1})
    path = f"/api/token/{made['id']}"
    assert await beside.status(made["key"]) == 200
    rotated = await beside.call("POST", f"{path}/rotate", {"overlap_seconds": 3600})
    await beside.rig.gateway.secret_uses.write()
    new, old = (await beside.call("GET", path))["secrets"]
    assert (new["key"], old["key"]) == (keys.display(rotated["key"]), keys.display(made["key"]))
    assert new["last_used_time"] == 0
    assert abs(old["last_used_time"] - time.time()) < 60
    assert new["expired_time"] == -1
    assert abs(old["expired_time"] - time.time() - 3600) < 60


async def test_repeated_rotations_cut_no_overlap_and_lengthen_none(keeping: Admin):
    made = await keeping.create()
    path = f"/api/token/{made['id']}/rotate"

    async def ends() -> list[float]:
        rows = await keeping.pool.fetch(
            "SELECT extract(epoch FROM expires_at - now())::float8 AS left FROM token_secret "
            "WHERE token_id = $1 AND expires_at > now() ORDER BY id",
            made["id"],
        )
        return [row["left"] for row in rows]

    for overlap in (1000, 604_800):
        answer = await keeping.call("POST", path, {"overlap_seconds": overlap})
        assert answer.status == 200
    first, second = await ends()
    assert first <= 1000
    assert 604_700 < second <= 604_800
    assert (await keeping.call("POST", path)).status == 200
    assert await ends() == []


async def test_the_number_of_live_secrets_is_bounded(admin: Admin):
    made = await admin.create()
    path = f"/api/token/{made['id']}/rotate"
    for _ in range(9):
        assert (await admin.call("POST", path, {"overlap_seconds": 60})).status == 200
    answer = await admin.call("POST", path, {"overlap_seconds": 60})
    assert (answer.status, answer.body["code"]) == (409, "too_many_secrets")
    assert (await admin.call("DELETE", path)).status == 200
    assert (await admin.call("POST", path, {"overlap_seconds": 60})).status == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"overlap_seconds": -1}, "overlap_seconds"),
        ({"overlap_seconds": 604_801}, "604800"),
        ({"overlap_seconds": "60"}, "overlap_seconds"),
        ({"overlap": 5}, "known are"),
    ],
)
async def test_a_bad_rotation_changes_nothing(admin: Admin, body, says):
    made = await admin.create()
    answer = await admin.call("POST", f"/api/token/{made['id']}/rotate", body)
    assert answer.status == 422
    assert says in answer.message
    assert await admin.pool.fetchval("SELECT count(*) FROM token_secret") == 2  # and the first key


async def test_a_rotation_of_an_older_version_is_412(admin: Admin):
    made = await admin.create()
    path = f"/api/token/{made['id']}/rotate"
    for sent in ({"body": {"version": 7}}, {"headers": {"If-Match": '"7"'}}):
        assert (await admin.call("POST", path, **sent)).status == 412
    assert (await admin.call("POST", path, {"version": made["version"]})).status == 200


async def test_the_secrets_of_others_are_404(admin: Admin):
    made = await admin.create()
    _, stranger = await admin.user("mia")
    for method, path, body in (
        ("POST", f"/api/token/{made['id']}/rotate", None),
        ("DELETE", f"/api/token/{made['id']}/rotate", None),
        ("POST", "/api/token/find", {"key": made["key"]}),
    ):
        assert (await admin.call(method, path, body, token=stranger)).status == 404


async def test_no_secret_is_in_the_audit_or_the_log(keeping: Admin):
    made = await keeping.create()
    rotated = (await keeping.call("POST", f"/api/token/{made['id']}/rotate")).data
    await keeping.call("POST", f"/api/token/{made['id']}/key")
    await keeping.call("POST", "/api/token/find", {"key": rotated["key"]})
    rows = await keeping.pool.fetch("SELECT action, before, after FROM audit ORDER BY id")
    told = json.dumps([dict(row) for row in rows]) + "".join(keeping.lines)
    for key in (made["key"], rotated["key"]):
        assert key not in told
        assert key[3:-4] not in told
    assert [row["action"] for row in rows][-3:] == ["token.create", "token.rotate", "token.reveal"]


# Finding


async def test_a_pasted_secret_finds_its_token_also_after_a_rotation(admin: Admin):
    made = await admin.create()
    rotated = (await admin.call("POST", f"/api/token/{made['id']}/rotate")).data
    for key in (made["key"], f"  {rotated['key']}\n"):
        answer = await admin.call("POST", "/api/token/find", {"key": key})
        assert (answer.status, answer.data["id"]) == (200, made["id"])
        assert rotated["key"] not in json.dumps(answer.body)
    answer = await admin.call("POST", "/api/token/find", {"key": keys.create_key()})
    assert (answer.status, answer.body["code"]) == (404, "not_found")
    assert (await admin.call("POST", "/api/token/find", {"key": ""})).status == 422


# Revealing


async def test_a_kept_key_is_revealed_and_each_time_audited(keeping: Admin):
    made = await keeping.create()
    assert made["recoverable"] is True
    answer = await keeping.call("POST", f"/api/token/{made['id']}/key")
    assert (answer.status, answer.data) == (200, {"key": made["key"]})
    assert answer.headers["Cache-Control"] == "no-store"
    row = await keeping.pool.fetchrow("SELECT * FROM audit ORDER BY id DESC LIMIT 1")
    assert (row["action"], row["object_id"]) == ("token.reveal", str(made["id"]))
    rotated = (await keeping.call("POST", f"/api/token/{made['id']}/rotate")).data
    answer = await keeping.call("POST", f"/api/token/{made['id']}/key")
    assert answer.data == {"key": rotated["key"]}


async def test_keys_are_not_kept_unless_the_operator_wants_it(admin: Admin):
    made = await admin.create()
    assert made["recoverable"] is False
    answer = await admin.call("POST", f"/api/token/{made['id']}/key")
    assert (answer.status, answer.body["code"]) == (410, "key_not_recoverable")
    assert "keys.recoverable" in answer.message
    assert await admin.pool.fetchval("SELECT count(sealed) FROM token_secret") == 0


async def test_a_token_made_while_it_was_off_says_rotate(aiohttp_client, postgres_dsn):
    async with running_admin(aiohttp_client, postgres_dsn) as admin:
        old = await admin.create()
        access = admin.credentials.access_token
    async with running_admin(aiohttp_client, postgres_dsn, KEPT) as admin:
        new = await admin.create(token=access)
        answer = await admin.call("POST", f"/api/token/{old['id']}/key", token=access)
        assert (answer.status, answer.body["code"]) == (410, "key_not_recoverable")
        assert "rotate to obtain a new secret" in answer.message
        ids = {"ids": [old["id"], new["id"]]}
        answer = await admin.call("POST", "/api/token/batch/keys", ids, token=access)
        assert answer.data["keys"] == {str(new["id"]): new["key"]}
        assert "rotate" in answer.data["missing"][str(old["id"])]
        answer = await admin.call(
            "POST", "/api/token/batch/keys", {"ids": [old["id"]]}, token=access
        )
        assert answer.status == 410
        listed = await admin.call("GET", "/api/token/?size=100", token=access)
        recoverable = {item["id"]: item["recoverable"] for item in listed.data["items"]}
        assert (recoverable[old["id"]], recoverable[new["id"]]) == (False, True)


async def test_revealing_is_throttled_for_each_user(keeping: Admin):
    made = await keeping.create()
    path = f"/api/token/{made['id']}/key"
    for _ in range(20):
        assert (await keeping.call("POST", path)).status == 200
    answer = await keeping.call("POST", path)
    assert (answer.status, answer.body["code"]) == (429, "too_many_attempts")
    assert 0 < int(answer.headers["Retry-After"]) <= 1200
    _, other = await keeping.user("mia")
    own = await keeping.create(token=other)
    assert (await keeping.call("POST", f"/api/token/{own['id']}/key", token=other)).status == 200


async def test_a_token_that_may_not_reveal_does_not(keeping: Admin):
    made = await keeping.create()
    _, viewer = await keeping.user("vic", role="viewer")
    _, scoped = await keeping.user("sam", scopes=("token.read", "token.write"))
    for access in (viewer, scoped):
        answer = await keeping.call("POST", f"/api/token/{made['id']}/key", token=access)
        assert (answer.status, answer.body["code"]) == (403, "forbidden")


async def test_a_changed_encryption_key_opens_what_was_sealed_until_it_is_sealed_anew(
    aiohttp_client, postgres_dsn
):
    new_key = bytes(range(100, 132))
    async with running_admin(aiohttp_client, postgres_dsn, KEPT) as admin:
        made = await admin.create()
        access, path = admin.credentials.access_token, f"/api/token/{made['id']}/key"
    for seal, status in ((Seal(new_key), 410), (Seal(new_key, KEK), 200)):
        async with running_admin(aiohttp_client, postgres_dsn, KEPT, seal=seal) as admin:
            assert (await admin.call("POST", path, token=access)).status == status
    pool = await asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1)
    assert await reseal(pool, Seal(bytes(range(64, 96)))) == (0, 1)
    assert await reseal(pool, Seal(new_key, KEK)) == (1, 0)
    assert await reseal(pool, Seal(new_key, KEK)) == (0, 0)
    await pool.close()
    async with running_admin(aiohttp_client, postgres_dsn, KEPT, seal=Seal(new_key)) as admin:
        answer = await admin.call("POST", path, token=access)
        assert answer.data == {"key": made["key"]}


async def test_a_sealed_key_that_was_moved_to_another_row_does_not_open(keeping: Admin):
    one, other = await keeping.create(), await keeping.create()
    await keeping.pool.execute(
        "UPDATE token_secret SET sealed = (SELECT sealed FROM token_secret WHERE token_id = $1) "
        "WHERE token_id = $2",
        one["id"],
        other["id"],
    )
    assert (await keeping.call("POST", f"/api/token/{other['id']}/key")).status == 410


# Once


async def test_a_repeated_creation_makes_one_token_and_answers_the_same(admin: Admin):
    once = {"Idempotency-Key": "5f0c7a"}
    body = {"name": "a", "quota_usd": 1}
    first = await admin.call("POST", "/api/token/", body, headers=once)
    again = await admin.call("POST", "/api/token", body, headers=once)
    assert again.status == 200
    assert again.body == first.body
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await admin.pool.fetchval("SELECT count(*) FROM token WHERE name = 'a'") == 1


async def test_parallel_repetitions_make_one_token(admin: Admin):
    once = {"Idempotency-Key": "k" * 255}
    body = {"name": "a", "count": 3, "quota_usd": 1}
    answers = await asyncio.gather(
        *(admin.call("POST", "/api/token/", body, headers=once) for _ in range(10))
    )
    assert {answer.status for answer in answers} == {200}
    (_,) = {json.dumps(answer.data) for answer in answers}
    assert await admin.pool.fetchval("SELECT count(*) FROM token WHERE name LIKE 'a-%'") == 3


async def test_a_repeated_rotation_makes_one_secret(admin: Admin):
    made = await admin.create()
    once, path = {"Idempotency-Key": "r1"}, f"/api/token/{made['id']}/rotate"
    first = await admin.call("POST", path, headers=once)
    again = await admin.call("POST", path, headers=once)
    assert again.data == first.data
    count = "SELECT count(*) FROM token_secret WHERE token_id = $1"
    assert await admin.pool.fetchval(count, made["id"]) == 2


async def test_a_key_of_another_request_is_refused_and_another_users_is_free(admin: Admin):
    once = {"Idempotency-Key": "one"}
    assert (await admin.call("POST", "/api/token/", {"name": "a"}, headers=once)).status == 200
    answer = await admin.call("POST", "/api/token/", {"name": "b"}, headers=once)
    assert (answer.status, answer.body["code"]) == (422, "idempotency_key_reused")
    _, other = await admin.user("mia")
    answer = await admin.call("POST", "/api/token/", {"name": "b"}, headers=once, token=other)
    assert answer.status == 200


async def test_a_refused_creation_does_not_use_the_key_up(admin: Admin):
    once = {"Idempotency-Key": "one"}
    body = {"name": "a", "group": "nope"}
    assert (await admin.call("POST", "/api/token/", body, headers=once)).status == 422
    assert (await admin.call("POST", "/api/token/", {"name": "a"}, headers=once)).status == 200


async def test_a_kept_answer_ends_after_a_day_and_is_sealed(admin: Admin):
    once = {"Idempotency-Key": "one"}
    made = await admin.call("POST", "/api/token/", {"name": "a"}, headers=once)
    answer = await admin.pool.fetchval("SELECT answer FROM idempotency")
    assert made.data["key"].encode() not in answer
    await admin.pool.execute("UPDATE idempotency SET at = now() - interval '25 hours'")
    again = await admin.call("POST", "/api/token/", {"name": "a"}, headers=once)
    assert again.data["id"] != made.data["id"]
    assert await admin.pool.fetchval("SELECT count(*) FROM idempotency") == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "Zoë"])
async def test_a_bad_idempotency_key_is_named(admin: Admin, key):
    answer = await admin.call(
        "POST", "/api/token/", {"name": "a"}, headers={"Idempotency-Key": key}
    )
    assert answer.status == 422
    assert "Idempotency-Key" in answer.message


# Several at once


async def test_several_tokens_are_made_at_once_each_with_its_key(admin: Admin):
    answer = await admin.call("POST", "/api/token/", {"name": "dev", "count": 3, "quota_usd": 2})
    items = answer.data["items"]
    assert [item["name"] for item in items] == ["dev-1", "dev-2", "dev-3"]
    assert all(keys.is_sound(item["key"]) for item in items)
    assert len({item["key"] for item in items}) == 3
    assert {item["quota_usd"] for item in items} == {2}
    for count in (0, 101, "2"):
        assert (
            await admin.call("POST", "/api/token/", {"name": "x", "count": count})
        ).status == 422
    long = {"name": "n" * 100, "count": 2}
    assert "name" in (await admin.call("POST", "/api/token/", long)).message


async def test_a_batch_is_disabled_enabled_and_deleted_and_others_are_passed_over(admin: Admin):
    ids = [item["id"] for item in (await admin.create(count=3))["items"]]
    _, stranger = await admin.user("mia")
    foreign = (await admin.create(token=stranger))["id"]
    for status in (2, 1):
        body = {"ids": [*ids, foreign], "status": status}
        answer = await admin.call("POST", "/api/token/batch/status", body, token=None)
        assert answer.status == 200
    _, own = await admin.user("kim")
    answer = await admin.call("POST", "/api/token/batch", {"ids": ids}, token=own)
    assert (answer.data, answer.body["success"]) == (0, True)
    assert str(ids[0]) in answer.message
    answer = await admin.call("POST", "/api/token/batch", {"ids": [*ids, ids[0]]})
    assert (answer.data, answer.message) == (3, "")
    assert (await admin.call("GET", f"/api/token/{ids[0]}")).status == 404
    assert len(admin.told.notices) >= 9


async def test_a_batch_is_all_or_nothing(admin: Admin):
    ids = [item["id"] for item in (await admin.create(count=2))["items"]]
    await admin.pool.execute(
        f"ALTER TABLE token ADD CONSTRAINT one_stays CHECK (id <> {max(ids)} OR status = 1)"
    )
    answer = await admin.call("POST", "/api/token/batch/status", {"ids": ids, "status": 2})
    assert answer.status >= 500
    assert {(await admin.get(token_id))["status"] for token_id in ids} == {1}


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": []}, {"ids": ["1"]}, {"ids": [1] * 101}, {"ids": [1], "status": 3}, {"ids": 1}],
)
async def test_a_bad_batch_is_422(admin: Admin, body):
    answer = await admin.call("POST", "/api/token/batch/status", {"status": 2, **body})
    assert answer.status == 422


# Top-ups


async def test_a_top_up_adds_to_the_grant_however_much_was_spent(admin: Admin):
    made = await admin.create(quota_usd=1, remain_quota=None)
    await admin.spend(made["id"], 300_000_000)
    path = f"/api/token/{made['id']}"
    answer = await admin.call("PATCH", path, {"add_quota": 500})
    assert answer.data["quota_usd"] == pytest.approx(1.001)
    answer = await admin.call("PATCH", path, {"add_quota_usd": -0.201})
    assert answer.data["quota_usd"] == pytest.approx(0.8)
    entries = await admin.pool.fetchval(
        "SELECT sum(delta) FROM grant_entry WHERE scope_kind = 't' AND scope_id = $1", made["id"]
    )
    assert entries == 800_000_000


async def test_parallel_top_ups_all_count(admin: Admin):
    made = await admin.create(quota_usd=1, remain_quota=None)
    path = f"/api/token/{made['id']}"
    answers = await asyncio.gather(
        *(admin.call("PATCH", path, {"add_quota_usd": 1}) for _ in range(20))
    )
    assert {answer.status for answer in answers} == {200}
    assert (await admin.get(made["id"]))["quota_usd"] == 21


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"add_quota": 1, "add_quota_usd": 1}, "two units"),
        ({"add_quota": 1, "remain_quota": 5}, "disagree"),
        ({"add_quota": -600_000}, "more than is left"),
        ({"add_quota_usd": 5_000_000}, "2^52"),
        ({"add_quota": 1.5}, "add_quota"),
        ({"add_quota": 10**300}, "2^52"),
    ],
)
async def test_a_bad_top_up_is_named_and_changes_nothing(admin: Admin, body, says):
    made = await admin.create(quota_usd=1, remain_quota=None)
    answer = await admin.call("PATCH", f"/api/token/{made['id']}", body)
    assert answer.status == 422
    assert says in answer.message
    assert (await admin.get(made["id"]))["quota_usd"] == 1


@pytest.mark.parametrize(
    "amount", ["1e999999999", "-1e999999999", "1e9999", "1e-9999999999999999999"]
)
async def test_a_number_that_no_reader_holds_is_no_json(admin: Admin, amount):
    made = await admin.create(quota_usd=1, remain_quota=None)
    for body in ('{"add_quota_usd": %s}', '{"quota_usd": %s}', '{"metadata": {"a": %s}}'):
        answer = await admin.call(
            "PATCH", f"/api/token/{made['id']}", data=(body % amount).encode()
        )
        assert (answer.status, answer.body["code"]) == (400, "invalid_json")
        assert amount in answer.message
    assert (await admin.get(made["id"]))["version"] == made["version"]


async def test_an_unlimited_token_has_nothing_to_add_to(admin: Admin):
    made = await admin.create(quota_usd=0, remain_quota=None)
    answer = await admin.call("PATCH", f"/api/token/{made['id']}", {"add_quota": 1})
    assert (answer.status, "unlimited" in answer.message) == (422, True)


async def test_a_grant_spent_to_the_last_is_topped_up_and_serves_again(beside: Beside):
    made = await beside.call("POST", "/api/token/", {"name": "a", "remain_quota": 1})
    await refused(beside.rig.post(made["key"], chat()), 429, "insufficient_quota")
    await beside.call("PATCH", f"/api/token/{made['id']}", {"add_quota_usd": USD / USD})
    assert await beside.status(made["key"]) == 200
