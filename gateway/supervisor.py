"""`tollhouse run`: one process that owns everything else on a machine.

It starts, in order: the embedded servers where no others are configured, the schema and the first administrator, the
demo upstream where no provider is, N gateway workers and the admin app. The applications are processes: nothing of them
is imported here. A child that dies is started again, with backoff; a signal stops all in reverse order.
"""

import asyncio
import contextlib
import functools
import getpass
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import orjson

from gateway import __version__
from gateway.banner import banner
from gateway.child import Child, ChildError, say, show
from gateway.config import ConfigError, Loaded, load, read_pepper
from gateway.domain.errors import StoreUnavailable
from gateway.embedded.errors import EmbeddedError
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.embedded.valkey import EmbeddedValkey
from gateway.given_stores import require_given_stores
from gateway.listen import HELD, PortTaken, hold_port, parse_listen, probe_ports, url_of
from gateway.reload import follow, take_over
from gateway.siblings import SOCKET, Siblings
from gateway.state_files import ReadyFile, keep_credentials, provide_secrets
from gateway.store import roles
from gateway.store.bootstrap import bootstrap
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import (
    APPLICATION,
    SchemaError,
    apply_schema,
    embedded_dsn,
    open_pool,
)
from gateway.store.quota import QuotaStore
from gateway.store.valkey import RIGHTS

_T = TypeVar("_T")
_REPEATED_SIGNAL_S = 2.0
_EMBEDDED_CHECK_S = 0.5
_ROLES = (roles.GATEWAY, roles.ADMIN)


@dataclass
class Running:
    """What is up, in the order in which it was started."""

    environment: dict[str, str] = field(repr=False)
    postgres: EmbeddedPostgres | None = None
    valkey: EmbeddedValkey | None = None
    demo: Child | None = None
    workers: list[Child] = field(default_factory=list)
    admin: Child | None = None
    held_ports: list[socket.socket] = field(default_factory=list)
    credentials: Mapping[str, object] = field(default_factory=dict, repr=False)
    password: str | None = field(default=None, repr=False)

    def as_role(self, role: str) -> Mapping[str, str]:
        """The environment of a process that may do no more in our own servers than a role may."""
        stores = {}
        if self.postgres is not None:
            stores["TOLLHOUSE_POSTGRES__DSN"] = embedded_dsn(self.postgres.dsn(role))
        if self.valkey is not None:
            stores["TOLLHOUSE_REDIS__URL"] = self.valkey.url(APPLICATION)
        return self.environment | stores

    def without_ours(self) -> Mapping[str, str]:
        """The environment of a process that has nothing to do with stores and secrets."""
        return {
            name: of for name, of in self.environment.items() if not name.startswith("TOLLHOUSE_")
        }


class Supervisor:
    """The life of one `tollhouse run`."""

    def __init__(self, environment: Mapping[str, str], config_path: str | None) -> None:
        self._given = dict(environment)
        self._config_path = config_path
        self._stopping = asyncio.Event()
        self._hangups = asyncio.Event()
        self._first_signal_at: float | None = None

    async def run(self) -> int:
        """Start, stay until a signal, stop. Answers the exit status: 2 when it cannot start."""
        try:
            loaded = load(self._given, self._config_path)
            with StateDirectory.open(_state_path(self._given)) as state:
                await self._run(loaded, state)
        except ConfigError as error:
            for problem in error.problems:
                print(f"tollhouse: {problem}", file=sys.stderr)
            return 2
        except (ChildError, EmbeddedError, PortTaken, SchemaError, StoreUnavailable) as error:
            print(f"tollhouse: {error}", file=sys.stderr)
            return 2
        return 0

    async def _run(self, loaded: Loaded, state: StateDirectory) -> None:
        running = Running(dict(self._given))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hangups.set)
        ready = ReadyFile(state)
        ready.remove()
        async with contextlib.AsyncExitStack() as stack:
            try:
                await self._start(loaded, state, running)
                listen = loaded.config.metrics.listen
                await stack.enter_async_context(_metrics(listen, state, running))
                publish = functools.partial(_publish, running, ready)
                publish()
                self._announce(loaded, state, running)
                await self._watch(loaded, running, publish)
            except _Stopped:
                return
            finally:
                await self._stop(running)
                ready.remove()

    def _on_signal(self) -> None:
        # A terminal's Ctrl-C and a process manager may both tell us; only a later second signal is impatience.
        now = time.monotonic()
        if self._first_signal_at is None:
            self._first_signal_at = now
            self._stopping.set()
            say("Stopping…")
        elif now - self._first_signal_at > _REPEATED_SIGNAL_S:
            say("Stopping at once: answers in progress are cut.")
            for child in Child.living:
                child.kill()

    async def _start(self, loaded: Loaded, state: StateDirectory, running: Running) -> None:
        environment = running.environment
        config = loaded.config
        listens = {"gateway.listen": config.gateway.listen, "admin.listen": config.admin.listen}
        told = {"metrics.listen": config.metrics.listen} if config.metrics.listen else {}
        chosen = probe_ports(listens | told)
        running.held_ports = [hold_port(chosen[setting], setting) for setting in listens]
        environment["TOLLHOUSE_GATEWAY__LISTEN"] = chosen["gateway.listen"]
        environment["TOLLHOUSE_ADMIN__LISTEN"] = chosen["admin.listen"]
        environment[HELD] = "1"
        environment["TOLLHOUSE_STATE"] = str(state.path)
        if loaded.path is not None:
            environment["TOLLHOUSE_CONFIG"] = str(loaded.path.resolve())
        embedded = not config.postgres.dsn.get_secret_value()
        provide_secrets(state, environment, embedded=embedded)
        await self._unless_stopped(require_given_stores(config))
        self._start_servers(loaded, state, running)
        await self._prepare_stores(loaded, state, running)
        # Workers tell their figures to us, and we all of them; a port of each would be one too many.
        environment["TOLLHOUSE_METRICS__LISTEN"] = ""
        logs = state.path / "log"
        logs.mkdir(mode=0o750, exist_ok=True)
        if config.log.access == "-":
            environment["TOLLHOUSE_LOG__ACCESS"] = str(logs / "access.log")
        await self._start_demo(loaded, running, logs)
        count = config.gateway.workers or len(os.sched_getaffinity(0))
        say(f"Starting {count} gateway worker{'s' * (count > 1)} and the admin app")
        command = [sys.executable, "-m", "gateway"]
        drain_s = config.gateway.lame_duck_s + config.gateway.drain_s
        running.workers = [
            Child(
                f"gateway-{number}",
                command,
                _of_worker(running, state, number, tells=bool(config.metrics.listen)),
                logs / "gateway.log",
                drain_s=drain_s,
            )
            for number in range(count)
        ]
        running.admin = Child(
            "admin",
            [sys.executable, "-m", "admin_api"],
            running.as_role(roles.ADMIN),
            logs / "admin.log",
            gives_way=True,
        )
        children = [*running.workers, running.admin]
        await self._unless_stopped(asyncio.gather(*(child.start() for child in children)))

    def _start_servers(self, loaded: Loaded, state: StateDirectory, running: Running) -> None:
        """Synchronous on purpose: the servers' parent-death signal follows the thread that forks them, this one."""
        config = loaded.config
        environment = running.environment
        if not config.postgres.dsn.get_secret_value():
            say(f"Starting PostgreSQL in {state.path}")
            running.postgres = EmbeddedPostgres(
                state, bin_dir=Path(config.postgres.bin_dir) if config.postgres.bin_dir else None
            )
            environment["TOLLHOUSE_POSTGRES__DSN"] = running.postgres.start()
        else:
            environment["TOLLHOUSE_POSTGRES__DSN"] = config.postgres.dsn.get_secret_value()
        if not config.redis.url.get_secret_value():
            say("Starting Valkey")
            running.valkey = EmbeddedValkey(
                state,
                bin_dir=Path(config.redis.bin_dir) if config.redis.bin_dir else None,
                users={APPLICATION: RIGHTS},
            )
            environment["TOLLHOUSE_REDIS__URL"] = running.valkey.start()
        else:
            environment["TOLLHOUSE_REDIS__URL"] = config.redis.url.get_secret_value()

    async def _prepare_stores(
        self, loaded: Loaded, state: StateDirectory, running: Running
    ) -> None:
        dsn = running.environment["TOLLHOUSE_POSTGRES__DSN"]
        await apply_schema(dsn, retention_months=loaded.config.ledger.retention_months)
        if (own := running.postgres) is not None:
            await roles.let_in(dsn, {role: own.password(role) for role in _ROLES})
        pool = await open_pool(dsn, size=2, statement_timeout_s=10)
        try:
            pepper = read_pepper(running.environment)
            made = await bootstrap(pool, pepper, loaded.config)
        finally:
            await pool.close()
        running.credentials = keep_credentials(state, made, embedded=running.postgres is not None)
        running.password = made.password if made is not None else None
        if running.valkey is not None:
            # Whoever held a reservation died before us: the state directory is locked. So nothing has to be waited for.
            async with Pipeline(running.environment["TOLLHOUSE_REDIS__URL"]) as pipeline:
                await QuotaStore(pipeline).start(pause_s=0)

    async def _start_demo(self, loaded: Loaded, running: Running, logs: Path) -> None:
        if loaded.config.upstreams or loaded.notices:
            return
        say("No provider is configured: starting the demo upstream")
        command = [sys.executable, "-m", "gateway.demo", "--listen", "127.0.0.1:0"]
        running.demo = Child("demo", command, running.without_ours(), logs / "demo.log")
        told = await self._unless_stopped(running.demo.start())
        running.environment["TOLLHOUSE_DEMO_URL"] = str(orjson.loads(told)["url"])
        # A restarted demo must be found where the workers know it.
        port = parse_listen(running.environment["TOLLHOUSE_DEMO_URL"].split("/")[2])[1]
        running.demo.command = [*command[:-1], f"127.0.0.1:{port}"]

    def _announce(self, loaded: Loaded, state: StateDirectory, running: Running) -> None:
        text = banner(
            version=__version__,
            gateway_url=url_of(running.environment["TOLLHOUSE_GATEWAY__LISTEN"]),
            admin_url=url_of(running.environment["TOLLHOUSE_ADMIN__LISTEN"]),
            workers=len(running.workers),
            loaded=loaded,
            demo=running.demo is not None,
            key=running.credentials.get("key"),
            password=running.password,
            state=state.path,
            color=sys.stdout.isatty() and not self._given.get("NO_COLOR"),
            login=_login(),
        )
        show(text, sys.stdout)

    async def _watch(self, loaded: Loaded, running: Running, publish: Callable[[], None]) -> None:
        """Until a signal: keep every child alive, and tell (`publish`) when one got another pid."""
        children = [*running.workers, running.admin, running.demo]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child.keep_alive(publish)) for child in children if child]
            tasks.append(group.create_task(self._keep_servers(running, publish)))
            taking = functools.partial(self._take_over, running)
            tasks.append(group.create_task(follow(self._hangups, taking, loaded)))
            await self._stopping.wait()
            for task in tasks:
                task.cancel()

    async def _take_over(self, running: Running, before: Loaded) -> Loaded:
        """Look whether everybody can go by the file as it is now, then have them do so."""

        async def adopt(now: Loaded) -> None:
            settings = now.config.gateway
            for worker in running.workers:
                worker.drain_s = settings.lame_duck_s + settings.drain_s
            for child in (*running.workers, running.admin):
                if child is not None:
                    child.hang_up()

        read = functools.partial(load, self._given, self._config_path)
        return await take_over(before, read, adopt, tell=lambda _, text: say(text))

    async def _keep_servers(self, running: Running, publish: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(_EMBEDDED_CHECK_S)
            for name, server in (("PostgreSQL", running.postgres), ("Valkey", running.valkey)):
                if server is not None and server.poll() is not None:
                    say(f"{name} ended; starting it again")
                    try:
                        server.start()
                    except EmbeddedError as error:
                        say(str(error))
                    publish()

    async def _unless_stopped(self, work: Awaitable[_T]) -> _T:
        """Wait for a part of the start, unless a signal comes first."""
        task = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ChildError):
                await task
            raise _Stopped
        return task.result()

    async def _stop(self, running: Running) -> None:
        apps = [child for child in (*running.workers, running.admin) if child is not None]
        await asyncio.gather(*(child.stop() for child in apps))
        if running.demo is not None:
            await running.demo.stop()
        for server in (running.valkey, running.postgres):
            if server is not None:
                server.stop()
        for held in running.held_ports:
            held.close()


def _of_worker(
    running: Running, state: StateDirectory, number: int, *, tells: bool
) -> Mapping[str, str]:
    """A worker's environment; where it `tells` its figures, with the socket for that."""
    environment = running.as_role(roles.GATEWAY)
    return {**environment, SOCKET: _socket(state, number)} if tells else environment


def _socket(state: StateDirectory, number: int) -> str:
    return str(state.run_dir / f"figures.{number}")


@contextlib.asynccontextmanager
async def _metrics(listen: str, state: StateDirectory, running: Running) -> AsyncIterator[None]:
    """Serve the figures of all workers, where they are asked for. Raises `PortTaken`."""
    if not listen:
        yield
        return
    # An HTTP server, which nothing else here needs, and which takes a while to be there.
    from gateway.metrics import serve_metrics  # noqa: PLC0415

    siblings = Siblings(lambda: [_socket(state, n) for n in range(len(running.workers))])
    async with serve_metrics(listen, siblings.figures):
        yield


def _publish(running: Running, ready: ReadyFile) -> None:
    """Write `ready.json`; a disk that is full must not end what answers."""
    assert running.admin is not None
    try:
        ready.write(
            gateway_url=url_of(running.environment["TOLLHOUSE_GATEWAY__LISTEN"]),
            admin_url=url_of(running.environment["TOLLHOUSE_ADMIN__LISTEN"]),
            credentials=running.credentials,
            database_url=running.environment["TOLLHOUSE_POSTGRES__DSN"],
            redis_url=running.environment["TOLLHOUSE_REDIS__URL"],
            pids={
                "supervisor": os.getpid(),
                "gateway": [worker.pid for worker in running.workers],
                "admin": running.admin.pid,
                "postgres": running.postgres.pid if running.postgres else None,
                "valkey": running.valkey.pid if running.valkey else None,
            },
        )
    except OSError as error:
        say(f"ready.json cannot be written: {error}")


class _Stopped(Exception):
    """A signal came while we were starting."""


def _state_path(environment: Mapping[str, str]) -> Path | None:
    given = environment.get("TOLLHOUSE_STATE")
    return Path(given).resolve() if given else None


def _login() -> str:
    """Who somebody from another machine logs in as here, as far as that is known."""
    try:
        user = getpass.getuser()
    except (ImportError, KeyError, OSError):  # a container without a list of users
        user = "USER"
    return f"{user}@{socket.gethostname()}"
