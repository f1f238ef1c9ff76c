"""The whole way of a new person, with a real mail server, a gateway and the admin app on the same stores."""

import time

from admin_api.notifier import StoreNotifier
from gateway.store.people import write_access_token
from gateway.store.postgres import transaction
from gateway.store.valkey import open_valkey
from tests.admin import PEPPER, SYSTEM, running_admin
from tests.integration.rig import chat
from tests.integration.test_admin_auth import SAME_SITE, log_in
from tests.mail import link_in, running_mail

PASSWORD = "a long password"


async def call(rig, key):
    """One call of a few hundredths of a cent: its status, and whose money was too little."""
    async with rig.post(key, chat(max_tokens=5)) as answer:
        body = await answer.json()
        return answer.status, body.get("error", {}).get("code")


async def test_from_registration_to_a_code_that_lets_calls_go_on(
    rig, aiohttp_client, postgres_dsn, valkey_url
):
    quota = rig.gateway.quota
    async with running_mail() as box, open_valkey(valkey_url) as valkey:
        settings = {
            "mail": box.settings(),
            "admin": {
                "registration": "open",
                "registration_grant_usd": 0.0005,
                "require_verified_email": True,
            },
        }
        notifier = StoreNotifier(quota, valkey, timeout_s=5)
        async with running_admin(aiohttp_client, postgres_dsn, settings, quota, notifier) as admin:
            admin.clock[0] = time.time()
            ada = {"username": "ada", "email": "ada@example.com", "password": PASSWORD}
            assert (await admin.bare("POST", "/api/user/register", ada)).status == 200
            answer, cookie = await log_in(admin, "ada", PASSWORD)
            assert answer.status == 200
            session = cookie | SAME_SITE

            wanted = {"name": "first", "unlimited_quota": True}
            refused = await admin.bare("POST", "/api/token", wanted, headers=session)
            assert (refused.status, refused.body["code"]) == (403, "email_not_verified")
            token = link_in(await box.letter(), "verify")
            assert (await admin.bare("POST", "/api/user/verify", {"token": token})).status == 200
            made = await admin.bare("POST", "/api/token", wanted, headers=session)
            assert made.status == 200
            key = made.data["key"]

            statuses = []
            while (answer := await call(rig, key))[0] == 200:
                statuses.append(answer[0])
                await rig.posted()
            assert statuses
            assert answer == (429, "insufficient_quota")

            async with transaction(admin.pool) as connection:
                operators = await write_access_token(connection, SYSTEM, 1, "t", PEPPER)
            gift = await admin.call("POST", "/api/redeem", {"amount_usd": 1}, token=operators)
            (code,) = gift.data["codes"]
            used = await admin.bare("POST", "/api/user/topup", {"key": code}, headers=session)
            assert used.status == 200
            assert (await call(rig, key))[0] == 200
            again = await admin.bare("POST", "/api/user/topup", {"key": code}, headers=session)
            assert again.body["code"] == "code_not_usable"
