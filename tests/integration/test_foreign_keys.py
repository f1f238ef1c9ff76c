"""Other gateways' keys on the data plane: they work while they exist, and garbage costs nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import openai
import pytest

from gateway.domain.edit import TokenDraft
from gateway.domain.key import Foreign, create_key, foreign, foreign_by_sha256
from gateway.relay.foreign_keys import UNKNOWN_PER_S, LookUps
from gateway.store.imports import Owner, find_present, write_batch
from gateway.store.tokens import delete_token
from gateway.store.valkey import open_valkey
from tests.databases import fresh_database
from tests.integration.rig import PEPPER, SYSTEM, USD, Rig, chat, running, running_rig, until
from tests.integration.test_calls import refused
from tests.upstream import ScriptedUpstream

OTHERS = "sk-" + "NewApi" * 8
NOBODYS = "sk-nobody-has-this-key"
NOT_OURS = "sk-" + "a" * 49


async def bring(rig: Rig, valkey_url: str, secret: Foreign, granted: int | None = USD) -> int:
    """Import one key, and wait until the worker knows that there are foreign ones."""
    draft = TokenDraft(name="imported", granted=granted)
    made = await write_batch(
        rig.database, SYSTEM, Owner(1, "admin"), [(secret, draft)], pepper=PEPPER
    )
    async with open_valkey(valkey_url) as valkey, asyncio.timeout(20):
        await valkey.publish_token_change(made[secret.sha256])
        await until(lambda: rig.gateway.foreign.exist)
    return made[secret.sha256]


@contextlib.asynccontextmanager
async def no_secret_can_be_read(rig: Rig) -> AsyncIterator[None]:
    """Whoever looks a key up in Postgres waits until the block's end."""
    async with rig.database.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE token_secret IN ACCESS EXCLUSIVE MODE")
        yield


async def ask(rig: Rig, key: str, **headers: str) -> int:
    async with rig.post(key, chat(), headers=headers) as answer:
        await answer.read()
        return answer.status


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        (OTHERS, foreign(OTHERS)),
        (OTHERS, foreign_by_sha256(foreign(OTHERS).sha256)),
        ("any text, with commas: yes", foreign("any text, with commas: yes")),
    ],
    ids=["by-key", "by-hash", "any-text"],
)
async def test_an_imported_key_works_with_the_sdk_and_is_charged(
    rig: Rig, valkey_url: str, key: str, secret: Foreign
):
    token_id = await bring(rig, valkey_url, secret)
    async with openai.AsyncOpenAI(api_key=key, base_url=f"{rig.url}/v1", max_retries=0) as client:
        answer = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}]
        )
        assert answer.choices[0].message.content
        assert [model.id async for model in client.models.list()] == ["m", "unpriced"]
    (row,) = await rig.ledger()
    assert row["token_id"] == token_id
    assert row["amount"] > 0


async def test_garbage_is_refused_without_asking_postgres_while_no_key_was_imported(rig: Rig):
    async with no_secret_can_be_read(rig), asyncio.timeout(30):
        for key in ("null", OTHERS, NOT_OURS, "tht_x"):
            body = await refused(rig.post(key, chat()), 401, "invalid_api_key")
            assert "no key of this gateway" in body["message"]


async def test_what_has_our_form_but_not_our_checksum_is_never_looked_up(rig: Rig, valkey_url: str):
    await bring(rig, valkey_url, foreign(OTHERS))
    assert await ask(rig, OTHERS) == 200
    async with no_secret_can_be_read(rig), asyncio.timeout(30):
        await refused(rig.post(NOT_OURS, chat()), 401, "invalid_api_key")
        assert await ask(rig, OTHERS) == 200  # known to the worker


async def test_a_worker_that_starts_knows_of_the_keys_that_were_imported_before(
    server_addresses, valkey_url: str
):
    async with fresh_database(server_addresses) as dsn, ScriptedUpstream() as upstream:
        async with running(dsn, valkey_url, upstream) as rig:
            await bring(rig, valkey_url, foreign(OTHERS))
        async with running(dsn, valkey_url, upstream) as rig:
            assert rig.gateway.foreign.exist
            assert await ask(rig, OTHERS) == 200


async def test_a_worker_that_was_not_told_finds_out_by_itself(rig: Rig, monkeypatch):
    monkeypatch.setattr("gateway.relay.foreign_keys._LOOK_S", 0.01)
    rig.gateway.foreign.wake()
    draft = TokenDraft(name="imported", granted=None)
    await write_batch(
        rig.database, SYSTEM, Owner(1, "admin"), [(foreign(OTHERS), draft)], pepper=PEPPER
    )
    async with asyncio.timeout(20):
        await until(lambda: rig.gateway.foreign.exist)
    assert await ask(rig, OTHERS) == 200


async def test_the_fifty_first_unknown_key_of_a_second_is_told_to_wait(rig: Rig, valkey_url: str):
    await bring(rig, valkey_url, foreign(OTHERS))
    now = [100.0]
    rig.gateway.foreign.look_ups = LookUps(lambda: now[0])
    for number in range(UNKNOWN_PER_S):
        body = await refused(rig.post(f"{NOBODYS}-{number}", chat()), 401, "invalid_api_key")
        assert "opens nothing here" in body["message"]
    async with no_secret_can_be_read(rig), asyncio.timeout(30):
        body = await refused(rig.post(NOBODYS, chat()), 429, "rate_limit_exceeded")
        assert body["headers"]["Retry-After"] == "1"
        assert "not looked up" in body["message"]
        # One that was just found to be nobody's is not looked up again, so it is not counted either.
        await refused(rig.post(f"{NOBODYS}-0", chat()), 401, "invalid_api_key")
    # Keys of ours are no unknown ones.
    assert await ask(rig, (await rig.token()).key) == 200
    await refused(rig.post(create_key(), chat()), 401, "invalid_api_key")
    now[0] = 101.0
    assert await ask(rig, OTHERS) == 200


async def test_keys_that_are_good_are_not_counted_as_unknown(rig: Rig, valkey_url: str):
    token_id = await bring(rig, valkey_url, foreign(OTHERS))
    rig.gateway.foreign.look_ups = LookUps(lambda: 100.0)
    for _ in range(UNKNOWN_PER_S + 1):
        rig.gateway.tokens.drop(token_id)
        assert await ask(rig, OTHERS) == 200


async def test_behind_a_trusted_proxy_each_caller_is_counted_for_themselves(
    postgres_dsn: str, valkey_url: str
):
    def configure(members: dict) -> None:
        members["gateway"]["trusted_proxies"] = ["127.0.0.1"]

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        await bring(rig, valkey_url, foreign(OTHERS))
        rig.gateway.foreign.look_ups = LookUps(lambda: 100.0)
        one, other = {"X-Forwarded-For": "203.0.113.5"}, {"X-Forwarded-For": "203.0.113.6"}
        for number in range(UNKNOWN_PER_S):
            assert await ask(rig, f"{NOBODYS}-{number}", **one) == 401
        assert await ask(rig, NOBODYS, **one) == 429
        assert await ask(rig, NOBODYS, **other) == 401


async def test_a_deleted_imported_key_is_refused_and_not_imported_again(rig: Rig, valkey_url: str):
    secret = foreign(OTHERS)
    token_id = await bring(rig, valkey_url, secret)
    assert await ask(rig, OTHERS) == 200
    deleted = await delete_token(rig.database, SYSTEM, token_id)
    assert await rig.gateway.quota.load(deleted.row.account_id, deleted.books)
    await refused(rig.post(OTHERS, chat()), 401, "invalid_api_key")
    assert await find_present(rig.database, [secret], PEPPER) == {secret.sha256}
    again = [(secret, TokenDraft(name="again", granted=None))]
    assert not await write_batch(rig.database, SYSTEM, Owner(1, "admin"), again, pepper=PEPPER)
