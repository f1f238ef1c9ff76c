"""Servers and objects that tests share: one real Postgres for the whole run, one real Valkey for each process of it.

The process that steers the run starts Postgres (pytest-xdist's workers get its address from it), makes a template
database once, and stops it. A Valkey has one set of scripts, one memory and one configuration, whatever its databases:
a test that flushes or fills it must not meet another's. TOLLHOUSE_TEST_POSTGRES and TOLLHOUSE_TEST_REDIS name other
servers instead.
"""

import asyncio
import contextlib
import functools
import inspect
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import argon2
import asyncpg
import pytest
import redis
import uvloop
from hypothesis import HealthCheck, settings

from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.embedded.valkey import EmbeddedValkey
from gateway.store.passwords import Passwords
from gateway.store.postgres import apply_schema
from tests.databases import TEMPLATE, Databases, database
from tests.integration.rig import Rig, running_rig

# How long a test takes is the machine's business: examples are slow to make where others work, too.
settings.register_profile("tollhouse", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tollhouse")

# A first administrator is made for nearly every test. What a password costs to try is in tests/e2e/test_lifecycle.py.
DEAR_HASHER = Passwords.hasher
Passwords.hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

# They need packages of their own: `make clients` and `make browser` bring them, and ask for these tests.
collect_ignore = [
    name for name in ("clients", "browser") if not os.environ.get(f"TOLLHOUSE_TEST_{name.upper()}")
]

LONGEST_S = 120
_LAST_RESORT_S = 60  # pytest-timeout's own end comes so much later
_KEY = pytest.StashKey["Servers"]()


class Servers:
    """The run's Postgres: started here, or given."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="tollhouse-tests-"))
        # The server runs as another user where we are root: it must be able to walk here.
        self._root.chmod(0o711)
        self._state = StateDirectory.open(self._root / "state")
        self._postgres = None
        self.postgres = os.environ.get("TOLLHOUSE_TEST_POSTGRES", "")
        if not self.postgres:
            self._postgres = EmbeddedPostgres(self._state, durable=False, max_connections=300)
            self.postgres = self._postgres.start()
            asyncio.run(self._make_quick())
        asyncio.run(self._make_template())

    async def _make_quick(self) -> None:
        """Sessions that begin at little cost, and nothing that works at a time of its own."""
        connection = await asyncpg.connect(self.postgres)
        await connection.execute("ALTER SYSTEM SET autovacuum = off")
        await connection.execute("SELECT pg_reload_conf()")
        password = urlsplit(self.postgres).password
        await connection.execute(
            f"SET scram_iterations = 1; ALTER ROLE CURRENT_USER PASSWORD '{password}'"
        )
        await connection.close()

    async def _make_template(self) -> None:
        connection = await asyncpg.connect(self.postgres)
        await connection.execute(f'DROP DATABASE IF EXISTS "{TEMPLATE}"')
        await connection.execute(f'CREATE DATABASE "{TEMPLATE}"')
        await connection.close()
        await apply_schema(database(self.postgres, TEMPLATE))

    def stop(self) -> None:
        if self._postgres is not None:
            self._postgres.stop()
        self._state.close()
        shutil.rmtree(self._root, ignore_errors=True)


@contextlib.contextmanager
def valkey_running() -> Iterator[str]:
    """A Valkey of its own; its URL."""
    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as directory:
        Path(directory).chmod(0o711)
        state = StateDirectory.open(Path(directory) / "state")
        server = EmbeddedValkey(state, durable=False)
        try:
            yield server.start()
        finally:
            server.stop()
            state.close()


def pytest_configure(config: pytest.Config) -> None:
    # TOLLHOUSE_… of the developer's shell must not steer tests; neither must real providers' keys.
    for name in list(os.environ):
        if name.startswith("TOLLHOUSE_") and not name.startswith("TOLLHOUSE_TEST_"):
            del os.environ[name]
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENAI_BASE_URL"):
        os.environ.pop(name, None)
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[_KEY] = Servers()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _KEY in config.stash:
        config.stash[_KEY].stop()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    node.workerinput["postgres"] = node.config.stash[_KEY].postgres


def pytest_itemcollected(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        own = item.get_closest_marker("timeout")
        item.obj = _bounded(item.obj, own.args[0] - _LAST_RESORT_S if own else LONGEST_S)


def _bounded(
    test: Callable[..., Coroutine[Any, Any, None]], longest_s: float
) -> Callable[..., Any]:
    """The test, which fails where it stands instead of waiting for ever.

    What it leaves connected to Postgres then is cut: uvloop does not close beside it, and would never end.
    """

    @functools.wraps(test)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        try:
            async with asyncio.timeout(longest_s):
                await test(*args, **kwargs)
        except BaseException:
            for connection in _connections:
                if not connection.is_closed():
                    connection.terminate()
            raise
        finally:
            _connections.clear()

    return bounded


_connections: list[asyncpg.Connection] = []
_connect = asyncpg.connect


@functools.wraps(_connect)
async def _noted(*args: Any, **kwargs: Any) -> asyncpg.Connection:
    connection = await _connect(*args, **kwargs)
    _connections.append(connection)
    return connection


asyncpg.connect = _noted


def pytest_asyncio_loop_factories(config, item) -> dict[str, object]:
    """Asynchronous tests run on the loop that the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def valkey_address() -> Iterator[str]:
    """The URL of this process's Valkey."""
    given = os.environ.get("TOLLHOUSE_TEST_REDIS")
    if given:
        yield given
        return
    with valkey_running() as url:
        yield url


@pytest.fixture(scope="session")
def server_addresses(request: pytest.FixtureRequest, valkey_address: str) -> tuple[str, str]:
    """DSN and URL of the servers."""
    given = getattr(request.config, "workerinput", None)
    if given is not None:
        return given["postgres"], valkey_address
    return request.config.stash[_KEY].postgres, valkey_address


@pytest.fixture(scope="session")
def databases(server_addresses: tuple[str, str]) -> Iterator[Databases]:
    """The databases of this process."""
    made = Databases(server_addresses[0])
    yield made
    asyncio.run(made.drop())


@pytest.fixture
async def postgres_dsn(databases: Databases) -> AsyncIterator[str]:
    """A database with the schema, as good as new."""
    async with databases.taken() as dsn:
        yield dsn


@contextlib.contextmanager
def empty_valkey(server_addresses: tuple[str, str], worker_id: str) -> Iterator[str]:
    """An empty database of the run's Valkey; each parallel worker has its own."""
    number = 0 if worker_id == "master" else 1 + int(worker_id.removeprefix("gw"))
    parts = urlsplit(server_addresses[1])
    url = urlunsplit(parts._replace(query=f"db={number}"))
    client = _valkey(url)
    client.flushdb()
    yield url
    client.flushdb()


@functools.cache
def _valkey(url: str) -> redis.Redis:
    """One connection for the whole run: to make one takes longer than what it is for."""
    return redis.Redis.from_url(url)


@pytest.fixture
def valkey_url(server_addresses: tuple[str, str], worker_id: str) -> Iterator[str]:
    """An empty database of the run's Valkey."""
    with empty_valkey(server_addresses, worker_id) as url:
        yield url


@pytest.fixture
def own_valkey_url() -> Iterator[str]:
    """A Valkey of this test alone, which may be left paused or full."""
    with valkey_running() as url:
        yield url


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    """A gateway before a scripted upstream, with default settings."""
    async with running_rig(postgres_dsn, valkey_url) as rig:
        yield rig
