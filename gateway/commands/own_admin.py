"""An admin app for one command: a process on a loopback port, with an access token that ends with it.

The access token is the first owner's and lives for a quarter of an hour at most. Its making and its end are in the
audit as `cli`, with who ran the command.
"""

import contextlib
import getpass
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from gateway.child import Child, ChildError
from gateway.commands.errors import CommandFailed
from gateway.commands.reach import Reach
from gateway.config import Loaded, read_pepper
from gateway.store.lent_access import NoOwner, lent_access
from gateway.store.postgres import check_schema, open_pool
from gateway.stores_in_use import database_in_use, environment_in_use, quota_store_in_use

_STATEMENT_TIMEOUT_S = 10


@contextlib.asynccontextmanager
async def own_admin(
    environment: Mapping[str, str], loaded: Loaded, config: str | None
) -> AsyncIterator[Reach]:
    """Start it on the stores in use, stop it after the block.

    Raises `ConfigError`, `CommandFailed`, `SchemaError` and `StoreUnavailable`.
    """
    dsn, url = database_in_use(loaded), quota_store_in_use(loaded)
    given = environment_in_use(loaded, environment)
    pepper = read_pepper(given)
    given = dict(given) | {
        "TOLLHOUSE_ADMIN__LISTEN": "127.0.0.1:0",
        "TOLLHOUSE_POSTGRES__DSN": dsn,
        "TOLLHOUSE_REDIS__URL": url,
    }
    async with await open_pool(dsn, size=1, statement_timeout_s=_STATEMENT_TIMEOUT_S) as pool:
        await check_schema(pool)
        try:
            async with (
                _running(given, config) as address,
                lent_access(pool, pepper, f"tollhouse command of {_whoami()}") as token,
            ):
                yield Reach(address, token, "the admin app of this command", "it is new: try again")
        except NoOwner as error:
            raise CommandFailed(str(error)) from None


@contextlib.asynccontextmanager
async def _running(environment: Mapping[str, str], config: str | None) -> AsyncIterator[str]:
    command = [sys.executable, "-m", "admin_api", *(["--config", config] if config else [])]
    with tempfile.TemporaryDirectory(prefix="tollhouse-") as directory:
        child = Child("the admin app", command, environment, Path(directory) / "log")
        try:
            yield await child.start()
        except ChildError as error:
            raise CommandFailed(str(error)) from None
        finally:
            await child.stop()


def _whoami() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user that has no name
        return f"uid {os.getuid()}"
