"""An installation as deploy/ has it, in processes: both stores with the users of secrets.sh, and what runs on them."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import redis

from gateway.embedded.binaries import find_postgres, find_valkey
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from tests.chaos.processes import Process, end_with
from tests.e2e.deployed import DEPLOY, Part, valkey_of_compose
from tests.e2e.product import folder
from tests.rolling.replicas import until
from tests.valkeys import wait_for

PROGRAMS = find_postgres(None).program.parent
IS_WHOLE = all((PROGRAMS / name).exists() for name in ("psql", "pg_dump", "pg_restore"))
_STOP_S = 30


class Listening(EmbeddedPostgres):
    """One that is reached by TCP."""

    address = ""

    def _command(self, program):
        return [*super()._command(program), "-c", f"listen_addresses={self.address}"]


class ComposedValkey:
    """Valkey as compose.yaml starts it."""

    def __init__(self, place: Path, secrets: Path, address: str) -> None:
        self._place = place / "valkey"
        self._secrets = secrets
        self._address = address
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until its health check says that it is there."""
        self._place.mkdir(exist_ok=True)
        command = [find_valkey(None).program, *valkey_of_compose(self._secrets)]
        with (self._place / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--bind", self._address, "--dir", self._place],
                stdout=log,
                stderr=log,
                preexec_fn=end_with(os.getpid()),  # noqa: PLW1509 -- this process has no threads
            )
        with redis.Redis(self._address, username="health", password="none") as client:
            wait_for(client.ping, "Valkey")

    def stop(self) -> None:
        """Stop it, its files written out."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_S)

    def lose(self) -> None:
        """Stop it, remove its files, and start it again."""
        self.stop()
        for file in sorted(self._place.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        self.start()


@dataclass
class Stores:
    """Both servers at addresses of `network`, with the users of `secrets` and no others but that of `superuser_dsn`."""

    network: str
    place: Path
    secrets: Path
    superuser_dsn: str
    valkey: ComposedValkey

    def dsn(self, user: str) -> str:
        return (self.secrets / f"{user}_dsn").read_text().strip()

    @property
    def valkey_url(self) -> str:
        return (self.secrets / "valkey_url").read_text().strip()

    async def ask(self, statement: str) -> list[asyncpg.Record]:
        """What the superuser is answered in Tollhouse's database."""
        server = await asyncpg.connect(self.superuser_dsn, database="tollhouse")
        try:
            rows: list[asyncpg.Record] = await server.fetch(statement)
            return rows
        finally:
            await server.close()


@contextlib.contextmanager
def stores_running() -> Iterator[Stores]:
    """Both, with secrets that are made for them, for as long as the block runs."""
    network = f"127.{random.randrange(1, 255)}.{random.randrange(255)}"
    with folder() as place, StateDirectory.open(place / "server") as state:
        secrets = place / "secrets"
        servers = (f"{network}.1:5432", f"{network}.2:6379")
        subprocess.run([DEPLOY / "secrets.sh", secrets, *servers], check=True)
        postgres, valkey = (
            Listening(state, durable=False),
            ComposedValkey(place, secrets, f"{network}.2"),
        )
        postgres.address = f"{network}.1"
        try:
            superuser = postgres.start()
            program("psql", superuser, "--file", secrets / "roles.sql")
            valkey.start()
            yield Stores(network, place, secrets, superuser, valkey)
        finally:
            valkey.stop()
            postgres.stop()


def program(name: str, dsn: str, *arguments: object) -> None:
    """Run a program of Postgres to its end; psql as its image runs what it finds in /docker-entrypoint-initdb.d."""
    own = ["-v", "ON_ERROR_STOP=1", "--no-psqlrc", "--quiet"] if name == "psql" else []
    command = [PROGRAMS / name, *own, "--no-password", f"--dbname={dsn}", *map(str, arguments)]
    subprocess.run(command, check=True, timeout=60)


@dataclass
class Installation:
    """The processes of one way to deploy, on stores that another way may have used before."""

    stores: Stores
    parts: dict[str, Part]
    more: str

    async def run(self, name: str, *command: str) -> tuple[int, str]:
        """A part, or another command with all that it has, to its end: exit status and output."""
        process = self.process(name, *command)
        process.start(talking=True)
        out, _ = await asyncio.to_thread(process.child.communicate, timeout=60)
        return process.child.returncode, out.decode()

    def process(self, name: str, *command: str) -> Process:
        part = self.parts[name]
        return part.process(name, self.stores.place, self.address(name), self.more, *command)

    def address(self, name: str) -> str:
        return f"{self.stores.network}.{10 + list(self.parts).index(name)}"

    def url(self, name: str) -> str:
        return f"http://{self.address(name)}:{8081 if name == 'admin' else 8080}"

    @contextlib.asynccontextmanager
    async def up(self, session: aiohttp.ClientSession, *names: str) -> AsyncIterator[None]:
        """These parts, started and ready. They are told to stop, and do."""
        processes = [self.process(name) for name in names]
        try:
            for process in processes:
                process.start()
            for name, process in zip(names, processes, strict=True):
                await until(lambda name=name, of=process: self.is_ready(session, name, of))
            yield
            for process in processes:
                process.signal(signal.SIGTERM)
            for process in processes:
                assert await asyncio.to_thread(process.child.wait, 30) == 0
        finally:
            for process in processes:
                process.kill()

    async def is_ready(self, session: aiohttp.ClientSession, name: str, process: Process) -> bool:
        assert process.runs, (self.stores.place / f"{name}.log").read_text()
        try:
            async with session.get(f"{self.url(name)}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False
