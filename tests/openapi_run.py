"""Calls the admin API in every way that its document allows, and in many that it does not.

`python -m tests.openapi_run [--examples N] [--seed N]` does it at length, with servers of its own.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer

from admin_api.context import SERVICES
from admin_api.notifier import StoreNotifier
from admin_api.people.bodies import LoginBody
from gateway.store.people import set_password
from gateway.store.pipeline import Pipeline
from gateway.store.quota import QuotaStore
from gateway.store.valkey import open_valkey
from tests.admin import SYSTEM, Admin, running_admin
from tests.conftest import Servers, valkey_running
from tests.databases import fresh_database
from tests.documents import ROOT

_CONFIGURATION = """
hooks = "tests/openapi_checks.py"
cache.enabled = false

[auth.wfc]
path = "{users}"
user = "ada"
peers = ["ada", "eve"]  # neither may see the other's tokens

[checks.negative_data_rejection]
# Schemathesis does not count 412 as a rejection; ours comes before the body is looked at closely.
expected-statuses = ["4xx"]

"""


@contextlib.asynccontextmanager
async def served(dsn: str, valkey_url: str) -> AsyncIterator[Admin]:
    """The admin app on a port, with a real quota store; its time is the real one."""
    async with contextlib.AsyncExitStack() as stack:

        async def client_of(app):
            return await stack.enter_async_context(TestClient(TestServer(app)))

        pipeline = await stack.enter_async_context(Pipeline(valkey_url, operation_timeout_s=2))
        valkey = await stack.enter_async_context(open_valkey(valkey_url))
        quota = QuotaStore(pipeline, pause_s=0.1)
        notifier = StoreNotifier(quota, valkey, timeout_s=5)
        settings = {
            "admin": {"max_tokens_per_user": 1_000_000, "registration": "open"},
            "keys": {"recoverable": True},
            "mail": {"host": "127.0.0.1", "port": 9, "sender": "no-reply@example.com"},  # nobody
        }
        running = running_admin(client_of, dsn, settings, quota=quota, notifier=notifier)
        admin = await stack.enter_async_context(running)
        admin.clock[0] = time.time()
        yield admin


async def call_everything(admin: Admin, *options: str, role: str = "user") -> tuple[int, str]:
    """Exit status and report of schemathesis against the app: all phases, all checks, as two users of a role."""
    url = str(admin.client.make_url("/")).rstrip("/")
    await _set_password(admin)
    with tempfile.TemporaryDirectory(prefix="tollhouse-openapi-") as directory:
        users, configuration = (Path(directory) / name for name in ("users.json", "st.toml"))
        users.write_text(
            json.dumps({"auth": [await _user(admin, name, role) for name in ("ada", "eve")]})
        )
        configuration.write_text(_CONFIGURATION.format(users=users))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration)),
            *("run", f"{url}/api/openapi.json", "--url", url, "--checks", "all"),
            # That of tests/openapi_checks.py stands in its place: it knows which rules no schema states.
            *("--exclude-checks", "positive_data_acceptance"),
            # What the gateway answers is not this document's; tests/integration/test_playground.py has one.
            *("--exclude-operation-id", "playground_chat"),
            *("--no-color", "--continue-on-failure", *options),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            report, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode is not None
    return process.returncode, report.decode()


async def _user(admin: Admin, name: str, role: str) -> dict[str, object]:
    _, token = await admin.user(name, role=role)
    header = {"name": "Authorization", "value": f"Bearer {token}"}
    return {"name": name, "fixedHeaders": [header]}


async def _set_password(admin: Admin) -> None:
    """The document's example of a log-in is one that succeeds."""
    extra = LoginBody.model_config["json_schema_extra"]
    assert isinstance(extra, dict)
    (login,) = extra["examples"]
    hashed = await admin.client.app[SERVICES].passwords.hash(login["password"])
    await set_password(admin.pool, SYSTEM, 1, hashed, once=False)


async def _at_length(postgres_dsn: str, valkey_url: str, *options: str) -> int:
    addresses = postgres_dsn, valkey_url
    async with fresh_database(addresses) as dsn, served(dsn, valkey_url) as admin:
        status, report = await call_everything(admin, *options)
    print(report)
    return status


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.openapi_run", description=__doc__)
    parser.add_argument("--examples", type=int, default=300, help="of each call (default 300)")
    parser.add_argument("--seed", type=int, help="to repeat a run")
    given = parser.parse_args()
    seed = [] if given.seed is None else ["--seed", str(given.seed)]
    servers = Servers()
    try:
        examples = ["--max-examples", str(given.examples), "--generation-database", "none"]
        with valkey_running() as valkey_url:
            return asyncio.run(_at_length(servers.postgres, valkey_url, *examples, *seed))
    finally:
        servers.stop()


if __name__ == "__main__":
    sys.exit(main())
