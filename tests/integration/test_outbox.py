"""The outbox reaches people: once it is committed, until it is taken, and told apart where it comes twice."""

import asyncio
import contextlib
import json

import asyncpg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from admin_api.context import SERVICES
from gateway.domain.webhook import secret_of
from gateway.store.outbox import enqueue_mail, enqueue_webhook
from gateway.store.postgres import transaction
from gateway.store.seal import Seal
from tests.admin import KEK, running_admin
from tests.integration.rig import until
from tests.integration.test_leavings import eventually
from tests.mail import running_mail

LOOPBACK = {"allow_cidrs": ["127.0.0.0/8"]}
SECRET = secret_of(bytes(range(24)))
EVENT = {"type": "quota.warning", "data": {"token": 7}}


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn, box):
    settings = {"mail": box.settings(), "webhooks": LOOPBACK}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as running:
        yield running


async def write_mail(admin, to="ada@example.com", text="Hello.", **more):
    async with transaction(admin.pool) as connection:
        written = await enqueue_mail(connection, Seal(KEK), to, "A subject", text, **more)
    wake(admin)
    return written


async def write_call(admin, url, **more):
    async with transaction(admin.pool) as connection:
        await enqueue_webhook(connection, Seal(KEK), url, EVENT, secret=SECRET, **more)
    wake(admin)


def wake(admin):
    admin.client.app[SERVICES].dispatch.wake()


async def row(admin):
    return await admin.pool.fetchrow("SELECT * FROM outbox ORDER BY id DESC LIMIT 1")


async def until_row(admin, holds):
    """The newest row, once `holds` does of it."""

    async def done():
        return holds(await row(admin))

    await eventually(done)
    return await row(admin)


async def try_again(admin):
    """As if the pause were over."""
    await admin.pool.execute("UPDATE outbox SET due_at = now()")
    wake(admin)


# E-mail


async def test_a_letter_is_sent_once_it_is_committed_and_its_content_forgotten(admin, box):
    await write_mail(admin, text="Grüße, Ada.\n\nhttps://example.com/#secret")
    letter = await box.letter()
    assert letter["To"] == "ada@example.com"
    assert letter["From"] == "Tollhouse <no-reply@example.com>"
    assert letter["Auto-Submitted"] == "auto-generated"
    assert "Grüße, Ada." in letter.get_content()
    sent = await until_row(admin, lambda each: each["sent_at"])
    assert (sent["content"], sent["attempts"]) == (b"", 1)


async def test_what_is_rolled_back_is_never_sent(admin, box):
    with contextlib.suppress(ZeroDivisionError):
        async with transaction(admin.pool) as connection:
            await enqueue_mail(connection, Seal(KEK), "never@example.com", "s", "t")
            raise ZeroDivisionError
    await write_mail(admin, to="next@example.com")
    assert (await box.letter())["To"] == "next@example.com"


async def test_what_is_noticed_twice_is_told_once(admin, box):
    assert await write_mail(admin, once="token 7 at 80 %")
    assert not await write_mail(admin, once="token 7 at 80 %")
    await box.letter()
    await until_row(admin, lambda each: each["sent_at"])
    assert not await write_mail(admin, once="token 7 at 80 %")


async def test_a_letter_that_is_put_off_is_sent_again_as_the_same_one(admin, box):
    box.answers = ["451 come back later", ""]
    await write_mail(admin)
    waiting = await until_row(admin, lambda each: each["error"])
    assert "451" in waiting["error"]
    assert waiting["due_at"] > waiting["created_at"]
    await try_again(admin)
    letter = await box.letter()
    sent = await until_row(admin, lambda each: each["sent_at"])
    assert (sent["attempts"], sent["error"]) == (2, None)
    assert str(sent["id"]) in letter["Message-ID"]


async def test_an_address_that_the_server_does_not_know_is_given_up_at_once(admin, box, caplog):
    box.recipients_refused = {"nobody@example.com"}
    await write_mail(admin, to="nobody@example.com")
    failed = await until_row(admin, lambda each: each["failed_at"])
    assert "550" in failed["error"]
    await until(lambda: "is given up after 1 attempts" in caplog.text)


async def test_after_about_a_day_it_is_given_up(admin, box, caplog):
    box.answers = ["451 later"] * 2
    await write_mail(admin)
    await until_row(admin, lambda each: each["error"])
    await admin.pool.execute("UPDATE outbox SET attempts = 11")
    await try_again(admin)
    failed = await until_row(admin, lambda each: each["failed_at"])
    assert failed["attempts"] == 12
    await until(lambda: "given up after 12 attempts" in caplog.text)


async def test_a_server_that_hangs_keeps_nobody_waiting_and_is_tried_again(
    aiohttp_client, postgres_dsn, box, receiver
):
    box.hangs = True
    settings = {"mail": box.settings(timeout_s=0.5), "webhooks": LOOPBACK}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        for _ in range(6):
            await write_mail(admin)
        await box.arrived.wait()
        await write_call(admin, receiver.url)
        await receiver.call()
        assert (await admin.call("GET", "/api/user/self")).status == 200
        query = "SELECT count(*) FROM outbox WHERE kind = 'mail' AND error LIKE '%'"

        async def all_put_off():
            return await admin.pool.fetchval(query) == 6

        await eventually(all_put_off)
        box.hangs = False
        await try_again(admin)
        for _ in range(6):
            await box.letter()


async def test_nobody_listening_is_an_attempt_that_failed(aiohttp_client, postgres_dsn):
    async with running_mail() as gone:
        pass
    async with running_admin(aiohttp_client, postgres_dsn, {"mail": gone.settings()}) as admin:
        await write_mail(admin)
        await until_row(admin, lambda each: each["error"])


async def test_without_a_server_letters_wait_and_webhooks_go(
    aiohttp_client, postgres_dsn, receiver
):
    async with running_admin(aiohttp_client, postgres_dsn, {"webhooks": LOOPBACK}) as admin:
        await write_mail(admin)
        await write_call(admin, receiver.url)
        await receiver.call()
        waiting = await admin.pool.fetchrow("SELECT * FROM outbox WHERE kind = 'mail'")
        assert (waiting["attempts"], waiting["failed_at"]) == (0, None)


# Webhooks


async def test_a_webhook_is_called_until_it_takes_it_and_can_check_who_calls(admin, receiver):
    receiver.statuses = [500, 302]
    await write_call(admin, receiver.url)
    calls = [await receiver.call()]
    for told in ("500", "302"):
        await until_row(admin, lambda each, told=told: told in (each["error"] or ""))
        await try_again(admin)
        calls.append(await receiver.call())
    await until_row(admin, lambda each: each["sent_at"])
    assert len({headers["webhook-id"] for headers, _ in calls}) == 1
    for headers, body in calls:
        assert json.loads(body) == EVENT
        assert Webhook(SECRET).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret_of(bytes(24))).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(body.replace(b"7", b"8"), headers)


async def test_a_receiver_that_is_gone_is_not_called_again(admin, receiver):
    receiver.statuses = [410]
    await write_call(admin, receiver.url)
    await receiver.call()
    assert "410" in (await until_row(admin, lambda each: each["failed_at"]))["error"]


async def test_a_receiver_that_hangs_is_cut_off(aiohttp_client, postgres_dsn, receiver):
    receiver.hangs = True
    settings = {"webhooks": {"timeout_s": 0.5, **LOOPBACK}}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        await write_call(admin, receiver.url)
        await receiver.arrived.wait()
        await until_row(admin, lambda each: each["error"])


INSIDE = [
    "http://127.0.0.1:{port}/hook",
    "http://localhost:{port}/hook",
    "http://[::ffff:127.0.0.1]:{port}/hook",
    "http://169.254.169.254/latest/meta-data",
    "http://10.1.2.3/",
]


async def test_a_webhook_never_leads_inside_unless_the_operator_says_so(
    aiohttp_client, postgres_dsn, receiver, subtests
):
    async with running_admin(aiohttp_client, postgres_dsn) as admin:
        for url in INSIDE:
            with subtests.test(url=url):
                await write_call(admin, url.format(port=receiver.url.split(":")[2].split("/")[0]))
                failed = await until_row(admin, lambda each: each["error"])
                why = "is not public: allow it with webhooks.allow_cidrs"
                assert why in failed["error"] or "never called" in failed["error"]
        assert receiver.calls.empty()


# Several processes, and their ends


async def test_several_processes_send_each_letter_once(aiohttp_client, postgres_dsn, box):
    settings = {"mail": box.settings()}
    async with (
        running_admin(aiohttp_client, postgres_dsn, settings) as one,
        running_admin(aiohttp_client, postgres_dsn, settings) as other,
    ):
        for number in range(30):
            await write_mail(one, to=f"n{number}@example.com")
            wake(other)
        seen = [(await box.letter())["To"] for _ in range(30)]
        assert sorted(seen) == sorted(f"n{number}@example.com" for number in range(30))

        async def all_sent():
            return await one.pool.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL") == 0

        await eventually(all_sent)
        assert box.letters.empty()


async def test_what_was_sent_goes_after_a_while_but_not_that_it_was_told(
    aiohttp_client, postgres_dsn, box
):
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(
        """
        INSERT INTO outbox (kind, target, content, once, sent_at)
        VALUES ('mail', 'old', '', NULL, now() - interval '8 days'),
               ('mail', 'new', '', NULL, now() - interval '6 days'),
               ('mail', 'told', '', 'token 7 at 80 %', now() - interval '8 days'),
               ('mail', 'forgotten', '', 'token 8 at 80 %', now() - interval '401 days')
        """
    )
    async with running_admin(aiohttp_client, postgres_dsn, {"mail": box.settings()}):

        async def tidied():
            rows = await connection.fetch("SELECT target FROM outbox ORDER BY id")
            return [each["target"] for each in rows] == ["new", "told"]

        await eventually(tidied)
    await connection.close()


async def test_a_letter_that_no_key_opens_is_given_up_with_the_reason(admin):
    async with transaction(admin.pool) as connection:
        await enqueue_mail(connection, Seal(bytes(range(64, 96))), "a@example.com", "s", "t")
    wake(admin)
    failed = await until_row(admin, lambda each: each["failed_at"])
    assert "key that is not at hand" in failed["error"]


async def test_a_stop_lets_what_is_being_sent_end(aiohttp_client, postgres_dsn, box):
    box.hangs = True
    settings = {"mail": box.settings(timeout_s=0.5)}
    async with running_admin(aiohttp_client, postgres_dsn, settings) as admin:
        await write_mail(admin)
        await box.arrived.wait()
        async with asyncio.timeout(10):
            await admin.client.close()
        assert "not taken within" in (await row(admin))["error"]
