"""Another pepper: what was digested with the old one works, and rests on the new one once it was used."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from gateway.domain import key as keys
from gateway.domain.edit import TokenDraft
from gateway.domain.key import foreign
from gateway.domain.pepper import Pepper
from gateway.store.imports import Owner, find_present, write_batch
from gateway.store.invites import InviteDraft, use_invite, write_invite
from gateway.store.links import find_link, use_link, write_link
from gateway.store.people import find_access, write_access_token
from gateway.store.peppers import count_by_pepper, resting_keys
from gateway.store.postgres import reading, transaction
from gateway.store.sessions import close_session, find_session, list_sessions, open_session
from tests.admin import PEPPER, PEPPER_SECRET, SYSTEM, running_admin
from tests.integration.beside import KEPT
from tests.integration.rig import Rig, chat, running
from tests.integration.test_calls import refused
from tests.upstream import ScriptedUpstream

NEW = bytes(range(100, 132))
BOTH, SWAPPED, ALONE = Pepper(NEW, PEPPER_SECRET), Pepper(PEPPER_SECRET, NEW), Pepper(NEW)


@contextlib.asynccontextmanager
async def beside(rig: Rig, pepper: Pepper) -> AsyncIterator[Rig]:
    """Another gateway on the same stores, with another pepper."""
    config = rig.gateway.config
    async with (
        ScriptedUpstream() as upstream,
        running(
            rig.dsn,
            config.redis.url.get_secret_value(),
            upstream,
            pepper=pepper,
        ) as other,
    ):
        yield other


async def stored(rig: Rig, token_id: int) -> asyncpg.Record:
    """The row of a token's secret; `xmin` is another where it was written again."""
    row = await rig.database.fetchrow(
        "SELECT digest, pepper_version, last_used_at, xmin::text FROM token_secret WHERE token_id = $1",
        token_id,
    )
    assert row is not None
    return row


async def test_a_key_of_the_old_pepper_works_and_rests_on_the_new_one_once_it_was_used(rig: Rig):
    made = await rig.token()
    async with beside(rig, BOTH) as changing:
        assert await changing.status(made.key) == 200
        await changing.gateway.secret_uses.write()
        row = await stored(rig, made.row.id)
        assert row["digest"] == keys.digest(made.key, ALONE)
        assert row["pepper_version"] == ALONE.version
        assert row["last_used_at"] is not None
        changing.gateway.tokens.clear()
        assert await changing.status(made.key) == 200
    async with beside(rig, ALONE) as changed:
        assert await changed.status(made.key) == 200


async def test_a_key_that_was_not_used_ends_with_its_pepper_and_comes_back_with_it(rig: Rig):
    made = await rig.token()
    async with beside(rig, ALONE) as changed:
        await refused(changed.post(made.key, chat()), 401, "invalid_api_key")
    async with beside(rig, BOTH) as changing:
        assert await changing.status(made.key) == 200


async def test_what_rests_on_the_new_pepper_is_not_stored_anew(rig: Rig):
    async with beside(rig, BOTH) as changing:
        made = await changing.token()
        await rig.database.execute("UPDATE token_secret SET last_used_at = now()")
        before = await stored(rig, made.row.id)
        assert before["pepper_version"] == ALONE.version
        assert await changing.status(made.key) == 200
        await changing.gateway.secret_uses.write()
        assert await stored(rig, made.row.id) == before


async def test_replicas_that_have_changed_and_that_have_not_know_each_others_keys(rig: Rig):
    """As in a change without a pause: first the new pepper is let in everywhere, then it makes digests."""
    async with beside(rig, SWAPPED) as early, beside(rig, BOTH) as late:
        for made in (await rig.token(), await early.token(), await late.token()):
            for _ in range(2):
                for replica in (early, late):
                    replica.gateway.tokens.clear()
                    assert await replica.status(made.key) == 200
                    await replica.gateway.secret_uses.write()


async def test_an_imported_key_is_known_whichever_pepper_it_was_imported_with(rig: Rig):
    secret, draft = foreign("sk-somebody-elses-key-0123456789"), TokenDraft(name="i", granted=None)
    owner = Owner(1, "admin")
    await write_batch(rig.database, SYSTEM, owner, [(secret, draft)], pepper=PEPPER)
    assert await find_present(rig.database, [secret], BOTH) == {secret.sha256}
    assert not await write_batch(rig.database, SYSTEM, owner, [(secret, draft)], pepper=BOTH)
    async with beside(rig, BOTH) as changing:
        assert await changing.status("sk-somebody-elses-key-0123456789") == 200
        await changing.gateway.secret_uses.write()
    assert await find_present(rig.database, [secret], ALONE) == {secret.sha256}


async def test_a_kept_key_is_revealed_and_found_before_and_after_it_has_moved(
    rig: Rig, aiohttp_client, postgres_dsn
):
    async with running_admin(aiohttp_client, postgres_dsn, KEPT) as before:
        _, access = await before.user("ada", role="admin")
        made = (await before.call("POST", "/api/token/", {"name": "a"}, token=access)).data
    async with running_admin(aiohttp_client, postgres_dsn, KEPT, pepper=BOTH) as admin:
        for _ in range(2):
            shown = await admin.call("POST", f"/api/token/{made['id']}/key", token=access)
            assert shown.data == {"key": made["key"]}
            found = await admin.call("POST", "/api/token/find", {"key": made["key"]}, token=access)
            assert found.data["id"] == made["id"]
            async with beside(rig, BOTH) as changing:
                assert await changing.status(made["key"]) == 429  # it has no grant: it was found
                await changing.gateway.secret_uses.write()
            assert (await stored(rig, made["id"]))["pepper_version"] == ALONE.version
    async with running_admin(aiohttp_client, postgres_dsn, KEPT, pepper=ALONE) as admin:
        shown = await admin.call("POST", f"/api/token/{made['id']}/key", token=access)
        assert shown.data == {"key": made["key"]}


async def test_an_access_token_of_the_old_pepper_moves_when_it_is_used(rig: Rig, aiohttp_client):
    async with running_admin(aiohttp_client, rig.dsn) as before:
        _, access = await before.user("ada")
        assert (await before.call("GET", "/api/user/self", token=access)).status == 200
    assert await find_access(rig.database, access, ALONE) is None
    async with running_admin(aiohttp_client, rig.dsn, pepper=BOTH) as admin:
        for _ in range(2):
            assert (await admin.call("GET", "/api/user/self", token=access)).status == 200
    assert await find_access(rig.database, access, ALONE) is not None


async def test_a_session_goes_on_under_the_new_pepper_and_can_be_ended(rig: Rig):
    grant = await find_access(rig.database, await access_of(rig), PEPPER)
    assert grant is not None
    user = grant.user
    value = await open_session(rig.database, SYSTEM, user, PEPPER)
    assert await find_session(rig.database, value, ALONE) is None
    assert await find_session(rig.database, value, BOTH) == user
    (session,) = await list_sessions(rig.database, SYSTEM, user.id, value, BOTH)
    assert session.current
    await close_session(rig.database, SYSTEM, user, value, BOTH)
    assert await find_session(rig.database, value, BOTH) is None


async def access_of(rig: Rig) -> str:
    async with transaction(rig.database) as connection:
        return await write_access_token(connection, SYSTEM, 1, "t", PEPPER)


async def test_links_invites_and_codes_of_the_old_pepper_work_once(rig: Rig, aiohttp_client):
    await rig.database.execute("""UPDATE "user" SET email = 'a@example.com' WHERE id = 1""")
    draft = InviteDraft("user", "default", None, None, None, 1, timedelta(hours=1))
    async with transaction(rig.database) as connection:
        link = await write_link(connection, "verify", 1, "a@example.com", PEPPER)
        _, invite = await write_invite(connection, SYSTEM, 1, draft, PEPPER)
    assert await find_link(rig.database, "verify", link, ALONE) is None
    assert await find_link(rig.database, "verify", link, BOTH) is not None
    for works in (True, False):
        async with transaction(rig.database) as connection:
            assert (await use_link(connection, "verify", link, BOTH) is not None) is works
            assert (await use_invite(connection, invite, BOTH) is not None) is works
    async with running_admin(aiohttp_client, rig.dsn) as before:
        _, access = await before.user("root", role="owner")
        _, theirs = await before.user("ada")
        codes = (await before.call("POST", "/api/redeem", {"amount_usd": 1}, token=access)).data
        (code,) = codes["codes"]
    for pepper, answered in ((ALONE, 404), (BOTH, 200), (BOTH, 409)):
        async with running_admin(aiohttp_client, rig.dsn, pepper=BOTH) as admin:
            await admin.call("GET", "/api/user/self", token=theirs)  # moves it
        async with running_admin(aiohttp_client, rig.dsn, pepper=pepper) as admin:
            used = await admin.call("POST", "/api/redeem/use", {"key": code}, token=theirs)
            assert used.status == answered


async def test_a_repetition_is_known_as_one_under_the_new_pepper(aiohttp_client, postgres_dsn):
    once = {"Idempotency-Key": "5f0c7a"}
    async with running_admin(aiohttp_client, postgres_dsn) as before:
        _, access = await before.user("ada", role="admin")
        first = await before.call("POST", "/api/token/", {"name": "a"}, headers=once, token=access)
    async with running_admin(aiohttp_client, postgres_dsn, pepper=BOTH) as admin:
        again = await admin.call("POST", "/api/token/", {"name": "a"}, headers=once, token=access)
    assert (again.status, again.data) == (200, first.data)


async def test_what_still_rests_on_the_old_pepper_is_counted_and_named(rig: Rig):
    idle, used = await rig.token(name="idle"), await rig.token(name="used")
    async with beside(rig, BOTH) as changing:
        assert await changing.status(used.key) == 200
        await changing.gateway.secret_uses.write()
        async with reading(rig.database) as connection:
            counts = await count_by_pepper(connection)
            names = {each.name for each in await resting_keys(connection, ALONE.version, 20)}
    assert counts["keys"] == {ALONE.version: 1, PEPPER.version: 2}  # one is the first user's own
    assert counts["access tokens"] == {PEPPER.version: 1}
    assert idle.row.name in names
    assert used.row.name not in names


@pytest.mark.parametrize("ended", ["status", "deleted", "expired"])
async def test_what_opens_nothing_is_not_counted(rig: Rig, ended: str):
    made = await rig.token()
    statement = {
        "status": "UPDATE token SET status = 2 WHERE id = $1",  # may be enabled again
        "deleted": "UPDATE token SET deleted_at = now() WHERE id = $1",
        "expired": "UPDATE token_secret SET expires_at = now() WHERE token_id = $1",
    }[ended]
    await rig.database.execute(statement, made.row.id)
    async with reading(rig.database) as connection:
        counts = await count_by_pepper(connection)
    assert counts["keys"] == {PEPPER.version: 2 if ended == "status" else 1}
