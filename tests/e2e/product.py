"""The product as its users have it: `tollhouse` as a process, everything else seen from outside.

Starts it in a directory of its own, waits by watching process and `ready.json`, stops it. Knows
addresses, signals and files; must not know how anything inside works.
"""

import asyncio
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.chaos.processes import children_of

ROOT = Path(__file__).parents[2]
START_S = 60.0
STOP_S = 60.0
linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a child that its parent ended"
)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A new directory that another user can walk through, as root's embedded servers need."""
    made = Path(tempfile.mkdtemp(prefix="tollhouse-e2e-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        _remove(made)


def _remove(directory: Path) -> None:
    """Remove it. Servers whose supervisor was killed end a moment after it, and take away files meanwhile."""
    deadline = time.monotonic() + STOP_S
    while directory.exists():
        try:
            shutil.rmtree(directory)
        except OSError:
            if time.monotonic() > deadline:
                raise


def environment_of(place: Path, **settings: str) -> dict[str, str]:
    """That of somebody who has set nothing up, with state in `place`, free ports, and `settings`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "TOLLHOUSE_STATE": str(place / "state"),
        "TOLLHOUSE_GATEWAY__LISTEN": "127.0.0.1:0",
        "TOLLHOUSE_ADMIN__LISTEN": "127.0.0.1:0",
        # A machine that is busy with tests is no lost store, and no overloaded gateway.
        "TOLLHOUSE_REDIS__OPERATION_TIMEOUT_S": "1.0",
        "TOLLHOUSE_GATEWAY__SHED_DELAY_S": "0",
        **settings,
    }


def tollhouse(
    place: Path, *arguments: str, typed: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with `typed` as what its user types."""
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        cwd=place,
        env=environment_of(place, **settings),
        input=typed,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


class Product:
    """One `tollhouse run` in `place`, started again as often as a test likes."""

    def __init__(self, place: Path, **settings: str) -> None:
        self.place = place
        self.state = place / "state"
        self.ready_file = self.state / "ready.json"
        self._settings = settings
        self._output = place / "output"
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, stdout: int | None = None) -> None:
        """Start the process, and wait for nothing. What it prints goes to a file unless told otherwise."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "run"],
                cwd=self.place,
                env=environment_of(self.place, **self._settings),
                stdin=subprocess.DEVNULL,
                stdout=output if stdout is None else stdout,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start, and wait until everything answers."""
        self.launch()
        self.until(self.ready_file.exists)
        self.until(lambda: "Ctrl-C stops" in self.output)

    def until(self, condition: Callable[[], bool], within_s: float = START_S) -> None:
        """Poll what has no event, for as long as the process runs."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.01)

    def wait(self, within_s: float = STOP_S) -> int:
        """Wait for the end; the exit status."""
        return self.process.wait(within_s)

    def stop(self) -> int:
        """Ask it to stop, and wait; the exit status."""
        self.send(signal.SIGTERM)
        return self.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor, as a terminal or a process manager does."""
        self.process.send_signal(number)

    def end(self) -> None:
        """See that nothing is left, however the test ended. One that does not stop in time is a failure."""
        if self._process is None or self._process.poll() is not None:
            return
        self.send(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"did not stop in {STOP_S:.0f} s:\n{self.output}") from None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor's."""
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        """All that was printed since the last start."""
        return self._output.read_text()

    def printed(self, name: str) -> str:
        """The first word behind `name` in the banner."""
        return next(
            line.removeprefix(f"  {name}").split()[0]
            for line in self.output.splitlines()
            if line.startswith(f"  {name} ")
        )

    @property
    def ready(self) -> dict[str, Any]:
        """`ready.json` as it is now."""
        members: dict[str, Any] = json.loads(self.ready_file.read_bytes())
        return members

    @property
    def workers(self) -> list[int]:
        """The pids of the gateway workers."""
        return list(self.ready["pids"]["gateway"])

    @property
    def port(self) -> int:
        """The gateway's."""
        port = urlsplit(self.ready["gateway_url"]).port
        assert port is not None
        return port

    def listens(self) -> bool:
        """Whether a worker takes connections."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def remember_port(self) -> None:
        """Keep the gateway's port for `listens`, which is asked when `ready.json` may be gone."""
        self._port = self.port


@contextlib.contextmanager
def running(config: str = "", **settings: str) -> Iterator[Product]:
    """A started product in a directory of its own, with `config` as its config.toml."""
    with folder() as place:
        if config:
            (place / "config.toml").write_text(config)
        product = Product(place, **settings)
        try:
            product.start()
            product.remember_port()
            yield product
        finally:
            product.end()


@contextlib.asynccontextmanager
async def running_beside(config: str = "", **settings: str) -> AsyncIterator[Product]:
    """The same, while this process's loop goes on: for tests that hold the upstream."""
    manager = running(config, **settings)
    product = await asyncio.to_thread(manager.__enter__)
    try:
        yield product
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def scripted(base_url: str) -> str:
    """The config.toml of a gateway before a scripted upstream: model `m` at $1 and $10 per million."""
    return f"""
[[models]]
name = "m"
input_usd_per_mtok = 1
output_usd_per_mtok = 10
default_output_tokens = 100
max_output_tokens = 1000

[[upstreams]]
name = "scripted"
base_url = "{base_url}"
models = ["m"]
"""


class Caller:
    """An HTTP client of a product; `sockets` are those that it opened."""

    def __init__(
        self, product: Product, session: aiohttp.ClientSession, sockets: list[socket.socket]
    ) -> None:
        self._ready = product.ready
        self.session = session
        self.sockets = sockets

    def post(self, key: str, body: Any) -> Any:
        """A chat call."""
        return self.session.post(
            self._ready["gateway_url"] + "/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {key}"},
        )

    async def chat(self, key: str, body: Any) -> tuple[int, str]:
        """A chat call; its status and, where it was refused, the code."""
        async with self.post(key, body) as answer:
            members = await answer.json()
            return answer.status, members.get("error", {}).get("code", "")

    async def admin(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """A call of the admin API with the access token of `ready.json`; what it answers with."""
        sent = {"Authorization": f"Bearer {self._ready['access_token']}", **headers}
        async with self.session.request(
            method, self._ready["admin_url"] + path, json=body, headers=sent
        ) as answer:
            return answer.status, await answer.json()

    async def token(self, **fields: Any) -> dict[str, Any]:
        """A new token, its key in it."""
        status, answer = await self.admin("POST", "/api/token/", {"name": "test", **fields})
        assert status == 200, answer
        made: dict[str, Any] = answer["data"]
        return made


@contextlib.asynccontextmanager
async def calling(product: Product) -> AsyncIterator[Caller]:
    """A client of the running product."""
    sockets: list[socket.socket] = []

    def opened(address: tuple[Any, ...]) -> socket.socket:
        made = socket.socket(*address[:3])
        made.settimeout(0)
        sockets.append(made)
        return made

    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60, socket_factory=opened)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Caller(product, session, sockets)


@contextlib.asynccontextmanager
async def calling_every_worker(product: Product) -> AsyncIterator[list[Caller]]:
    """A client for each worker, on a connection that is kept: the kernel gives out new ones as it likes."""
    workers = set(product.workers)
    async with contextlib.AsyncExitStack() as stack:
        found: dict[int, Caller] = {}
        while workers - found.keys():
            client = await stack.enter_async_context(calling(product))
            async with client.session.get(product.ready["gateway_url"] + "/healthz"):
                found.setdefault(worker_of(client, product), client)
        yield list(found.values())


def worker_of(client: Caller, product: Product) -> int:
    """The pid of the worker at the other end of the only connection of `client`."""
    (one,) = client.sockets
    port = one.getsockname()[1]
    ends = (f":{product.port:04X}", f":{port:04X}")
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # While the table changes it may show a row twice, and beside it an earlier connection, whose inode is 0.
    found = {row[9] for row in rows if row[1].endswith(ends[0]) and row[2].endswith(ends[1])}
    (inode,) = found - {"0"}
    return next(pid for pid in product.workers if f"socket:[{inode}]" in _open_files(pid))


def _open_files(pid: int) -> set[str]:
    found = set()
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(file.readlink()))
    return found


def audits_of(worker: int) -> list[int]:
    """The processes that compare the books for it."""
    found = []
    for pid in children_of(worker):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if b"gateway.audit_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextlib.contextmanager
def watching(pids: Iterable[int]) -> Iterator[Callable[[], None]]:
    """Yields what waits until all of `pids`, which live now, have ended."""
    with contextlib.ExitStack() as stack:
        descriptors = {}
        for pid in pids:
            descriptors[pid] = os.pidfd_open(pid)
            stack.callback(os.close, descriptors[pid])

        def wait() -> None:
            deadline = time.monotonic() + STOP_S
            for pid, descriptor in descriptors.items():
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                left_ms = max(0.0, deadline - time.monotonic()) * 1000
                assert poll.poll(left_ms), f"process {pid} still runs"

        yield wait


def output_of(command: list[str], environment: dict[str, str]) -> str:
    """What a command that people copy prints; it has to succeed."""
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def shown(done: subprocess.CompletedProcess[str]) -> dict:
    """What `--json` wrote; the command did what it was asked."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
