"""Fixtures of the integration tests."""

import time
from collections.abc import AsyncIterator

import pytest

from admin_api.notifier import StoreNotifier
from gateway.store.people import write_access_token
from gateway.store.postgres import transaction
from gateway.store.valkey import open_valkey
from tests.admin import PEPPER, SYSTEM, running_admin
from tests.integration.beside import KEPT, Beside
from tests.integration.rig import Rig


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
