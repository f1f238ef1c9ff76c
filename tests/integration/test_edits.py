"""An edit holds from the next call on, whatever caches say."""

import asyncio

from gateway.domain.edit import TokenChange
from gateway.domain.people import UserChange
from gateway.store.tokens import delete_token, update_token
from gateway.store.users import update_user
from tests.integration.rig import SYSTEM, USD, Rig, chat, instant
from tests.integration.test_calls import refused
from tests.upstream import Echo, Gate


async def edit(rig: Rig, token_id: int, **fields) -> None:
    """An edit as the admin app makes it, but without its notice: only the book's version tells."""
    change = TokenChange(**fields)
    edited = await update_token(rig.database, SYSTEM, token_id, lambda _: change)
    assert await rig.gateway.quota.load(edited.row.account_id, edited.books)


async def test_a_disabled_key_is_refused_on_its_next_call_and_an_enabled_one_passes(rig: Rig):
    token = await rig.token(USD)
    for _ in range(3):
        assert await rig.status(token.key) == 200
        await edit(rig, token.row.id, status=2)
        await refused(rig.post(token.key, chat()), 401, "key_disabled")
        await edit(rig, token.row.id, status=1)
        # The refusal was decided on a fresh row; the next one may be a second old at most.
        rig.gateway.tokens.drop(token.row.id)


async def test_every_rule_can_be_tightened_under_a_warm_cache(rig: Rig):
    token = await rig.token(USD)
    for fields, code, http in (
        ({"models": ("other",), "models_enabled": True}, "model_not_allowed", 403),
        ({"models_enabled": False, "deny_ips": ("127.0.0.1",)}, "ip_not_allowed", 403),
        ({"deny_ips": (), "expires_at": instant(1_000_000_000)}, "key_expired", 401),
        ({"expires_at": None, "granted": 1}, "insufficient_quota", 429),
    ):
        rig.gateway.tokens.drop(token.row.id)
        await edit(rig, token.row.id, **fields)
        await refused(rig.post(token.key, chat()), http, code)
    await edit(rig, token.row.id, granted=USD)
    assert await rig.status(token.key) == 200


async def test_a_deleted_key_is_refused_on_its_next_call(rig: Rig):
    token = await rig.token()
    assert await rig.status(token.key) == 200
    deleted = await delete_token(rig.database, SYSTEM, token.row.id)
    assert await rig.gateway.quota.load(deleted.row.account_id, deleted.books)
    await refused(rig.post(token.key, chat()), 401, "invalid_api_key")


async def test_a_quota_lowered_below_what_is_used_lets_running_calls_end_and_no_new_one_begin(
    rig: Rig,
):
    token = await rig.token(USD)
    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))
    running = asyncio.create_task(rig.status(token.key))
    await gate.waiting(1)
    await edit(rig, token.row.id, granted=1)
    await refused(rig.post(token.key, chat()), 429, "insufficient_quota")
    gate.release()
    assert await running == 200
    (row,) = await rig.ledger()
    assert row["amount"] > 1


async def test_an_edit_of_a_user_binds_all_of_their_keys_although_no_notice_arrives(rig: Rig):
    tokens = [await rig.token(), await rig.token(USD)]
    assert [await rig.status(token.key) for token in tokens] == [200, 200]
    for status_, http in ((2, 403), (1, 200)):
        change = UserChange(status=status_)
        await rig.database.execute("""UPDATE "user" SET role = 'user'""")
        edited = await update_user(rig.database, SYSTEM, 1, lambda _, change=change: change)
        for account_id, book in edited.books:
            assert await rig.gateway.quota.load(account_id, [book])
        if http == 200:
            rig.gateway.tokens.drop_user(1)
        assert [await rig.status(token.key) for token in tokens] == [http, http]
