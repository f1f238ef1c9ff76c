"""Fixtures of the integration tests."""

import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from admin_api.notifier import StoreNotifier
from gateway.store.people import write_access_token
from gateway.store.postgres import transaction
from gateway.store.valkey import open_valkey
from tests.admin import PEPPER, SYSTEM, Admin, running_admin
from tests.integration.beside import KEPT, Beside
from tests.integration.rig import Rig
from tests.ledger_lines import Calls, posting_calls
from tests.mail import Mailbox, running_mail
from tests.severable import Wire, before_valkey
from tests.webhooks import Receiver, running_receiver


@pytest.fixture
async def owner(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner of the tables, here a superuser."""
    connection = await asyncpg.connect(postgres_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def wire(valkey_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    """A way to Valkey that can be cut."""
    async with before_valkey(tmp_path_factory.mktemp("w") / "s", valkey_url) as wire:
        yield wire


@pytest.fixture
async def box() -> AsyncIterator[Mailbox]:
    """What comes to a mail server."""
    async with running_mail() as mailbox:
        yield mailbox


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver of webhooks."""
    async with running_receiver() as running:
        yield running


@pytest.fixture
async def admin(aiohttp_client, postgres_dsn) -> AsyncIterator[Admin]:
    """The admin app, with default settings."""
    async with running_admin(aiohttp_client, postgres_dsn) as running:
        yield running


@pytest.fixture
async def calls(admin: Admin, postgres_dsn: str) -> AsyncIterator[Calls]:
    """Calls of the first token."""
    async with posting_calls(postgres_dsn, admin.pool, 1) as posting:
        yield posting


@pytest.fixture
async def beside(rig: Rig, aiohttp_client, postgres_dsn, valkey_url) -> AsyncIterator[Beside]:
    quota = rig.gateway.quota
    async with (
        open_valkey(valkey_url) as valkey,
        running_admin(
            aiohttp_client,
            postgres_dsn,
            KEPT,
            quota,
            StoreNotifier(quota, valkey, timeout_s=5),
        ) as admin,
    ):
        admin.clock[0] = time.time()
        async with transaction(admin.pool) as connection:
            access = await write_access_token(connection, SYSTEM, 1, "t", PEPPER)
        yield Beside(rig, admin, access)
