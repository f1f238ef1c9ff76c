"""What the faults hit: shared embedded stores, three replicas behind a way to Valkey each, the admin app, the upstream.

All of it is synchronous: the embedded servers belong to the main thread.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import redis

from bench.cpu import cpu_s
from gateway.domain.pepper import Pepper
from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.embedded.valkey import EmbeddedValkey
from tests import valkeys
from tests.chaos.accounts import Made, make_accounts
from tests.chaos.plan import MODELS, Plan
from tests.chaos.processes import (
    Process,
    children_of,
    free_port,
    module,
    plain_environment,
    wait_until,
)

REPLICAS = 3
Several = valkeys.Cluster | valkeys.SentinelTrio
STORES: dict[str, type[Several] | None] = {
    "single": None,
    "cluster": valkeys.Cluster,
    "sentinel": valkeys.SentinelTrio,
}
PEPPER = bytes(range(32))
_UP_S = 40.0
_NUSD_PER_USD = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Times:
    """The settings of accounting that the schedule of faults depends on, in seconds."""

    lease_s: float
    pause_s: float
    sweep_s: float


class Stores(NamedTuple):
    """The embedded servers, and where they are; `several` are in the place of the embedded Valkey."""

    postgres: EmbeddedPostgres
    dsn: str
    valkey: EmbeddedValkey
    valkey_url: str
    several: Several | None


class Cluster:
    """Everything that a run starts, in `directory`; made by `cluster`, its stores started already.

    `fallen` tells of replicas that ended and that nobody killed.
    """

    def __init__(
        self, directory: Path, state: StateDirectory, stores: Stores, plan: Plan, times: Times
    ) -> None:
        self.directory = directory
        self.times = times
        self.fallen: list[str] = []
        self._state = state
        self.postgres, self.dsn, self.valkey, self.valkey_url, self.several = stores
        ports = {name: free_port() for name in ("upstream", "admin")}
        self.ports = [free_port() for _ in range(REPLICAS)]
        self.admin_port = ports["admin"]
        config = directory / "config.toml"
        config.write_text(_configuration(ports["upstream"], times))
        self.made: Made = make_accounts(self.dsn, config, Pepper(PEPPER), plan)
        environment = plain_environment() | {
            "TOLLHOUSE_CONFIG": str(config),
            "TOLLHOUSE_STATE": str(state.path),
            "TOLLHOUSE_PEPPER": PEPPER.hex(),
            "TOLLHOUSE_KEK": PEPPER.hex(),
            "TOLLHOUSE_POSTGRES__DSN": self.dsn,
            "TOLLHOUSE_REDIS__URL": self.valkey_url,
            "TOLLHOUSE_ADMIN__LISTEN": f"127.0.0.1:{self.admin_port}",
        }
        self.environment = environment
        target = urlsplit(self.valkey_url)
        sockets = [state.run_dir / f"way-{number}" for number in range(REPLICAS)]
        ways = [f"unix://:{target.password}@{way}?db=0" for way in sockets]
        if (
            self.several is not None
        ):  # whose nodes tell each other's addresses: nothing stands in between
            ways = [self.valkey_url] * REPLICAS
        self.ways = self._process(
            "ways", module("tests.chaos.proxy", target.path, *sockets), environment
        )
        self.upstream = self._process(
            "upstream", module("tests.chaos.upstream", ports["upstream"], directory), environment
        )
        self.admin = self._process("admin", module("admin_api"), environment)
        self.replicas = [
            self._process(
                f"replica-{number}",
                module("gateway"),
                environment
                | {
                    "TOLLHOUSE_GATEWAY__LISTEN": f"127.0.0.1:{port}",
                    "TOLLHOUSE_REDIS__URL": way,
                },
            )
            for number, (port, way) in enumerate(zip(self.ports, ways, strict=True))
        ]

    def _process(self, name: str, command: list[str], environment: dict[str, str]) -> Process:
        return Process(name, command, environment, self.directory / f"{name}.log")

    def cpu_s(self) -> dict[str, float]:
        """Processor time so far of what runs, by part; a killed replica's is not in it."""
        roots = {
            "replicas": [replica.pid for replica in self.replicas if replica.runs],
            "Valkey": [self.valkey.pid]
            if self.several is None
            else [each.pid for each in self.several.servers],
            "Postgres": [self.postgres.pid],
            "ways": [self.ways.pid],
            "upstream": [self.upstream.pid],
        }
        return {name: cpu_s(pid for pid in pids if pid) for name, pids in roots.items()}

    def start(self) -> None:
        """Start what is not a store, and wait until all of it answers."""
        self.ways.start(talking=True)
        self.ways.hear()
        for process in (self.upstream, self.admin, *self.replicas):
            process.start()
        for number in range(REPLICAS):
            self.wait_for(number)
        wait_until(lambda: answers(self.admin_port, "/readyz"), _UP_S, "the admin app")

    def stop(self) -> None:
        """End what is not a store, and let the stores go on if they were stopped."""
        for process in (*self.replicas, self.admin, self.upstream, self.ways):
            process.kill()
        self.signal_valkey(signal.SIGCONT)
        self.signal_postgres(signal.SIGCONT)

    def wait_for(self, number: int) -> None:
        """Until a replica is ready; one that has ended is started again."""

        def ready() -> bool:
            self.revive(number)
            return answers(self.ports[number], "/readyz")

        wait_until(ready, _UP_S, f"replica {number} is ready")

    def revive(self, number: int) -> None:
        """Start a replica again if it has ended, and note it in `fallen` where nobody killed it."""
        replica = self.replicas[number]
        if replica.runs:
            return
        # 2 is what it ends with where a store is not there when it starts.
        if (status := replica.child.returncode) not in {2, -signal.SIGKILL}:
            self.fallen.append(
                f"{replica.name} ended by itself with {status}: {replica.last_error}"
            )
        replica.start()

    def turn(self, mode: str, delay_ms: int = 0, only: int | None = None) -> None:
        """Change what becomes of the bytes between replicas and Valkey."""
        for number in range(REPLICAS):
            if only is None or only == number:
                self.ways.ask(f"{number} {mode} {delay_ms}")

    @contextlib.contextmanager
    def store(self) -> Iterator[redis.Redis]:
        """A connection to Valkey that nothing stands in the way of; of several, to whoever has a key."""
        if self.several is not None:
            client = self.several.client()
        else:
            client = redis.Redis.from_url(self.valkey_url, socket_timeout=10)
        with client:
            yield client

    def flush(self) -> None:
        """Let Valkey lose everything."""
        if self.several is None:
            with self.store() as store:
                store.flushall()
        else:
            self.several.flush()

    def signal_valkey(self, number: signal.Signals) -> None:
        """Stop Valkey's process, or let it go on."""
        _signal([self.valkey.pid], number)

    def signal_postgres(self, number: signal.Signals) -> None:
        """Stop all processes of Postgres, or let them go on."""
        pid = self.postgres.pid
        _signal([pid, *(children_of(pid) if pid is not None else ())], number)

    def copy_valkey(self) -> Path:
        """A copy of Valkey's data directory as it is now, small, and whole but for its last command."""
        with self.store() as client:
            # A rewrite that ran meanwhile would take files away under the copy.
            client.config_set("auto-aof-rewrite-percentage", 0)
            wait_until(lambda: not _rewriting(client), _UP_S, "Valkey rewrote its file")
            client.bgrewriteaof()
            wait_until(lambda: not _rewriting(client), _UP_S, "Valkey rewrote its file")
            copy = self.directory / "older"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self._state.path / "vk", copy)
            client.config_set("auto-aof-rewrite-percentage", 100)
        return copy

    def start_valkey_from(self, copy: Path) -> None:
        """Start the stopped Valkey with an older copy of its data."""
        data = self._state.path / "vk"
        shutil.rmtree(data)
        shutil.copytree(copy, data)
        self.valkey.start()

    def edit_grant(self, token: int, granted_nusd: int) -> int:
        """Set a token's grant over the admin API; the status of the answer, 0 for none."""
        dollars = f"{granted_nusd // _NUSD_PER_USD}.{granted_nusd % _NUSD_PER_USD:09d}"
        body = f'{{"quota_usd": {dollars}}}'
        headers = {
            "Authorization": f"Bearer {self.made.access_token}",
            "Content-Type": "application/json",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=15)
        with contextlib.closing(connection):
            try:
                path = f"/api/token/{self.made.token_ids[token]}"
                connection.request("PATCH", path, body, headers)
                return connection.getresponse().status
            except OSError:
                return 0


@contextlib.contextmanager
def cluster(directory: Path, plan: Plan, times: Times, store: str = "single") -> Iterator[Cluster]:
    """A started cluster, which is ended however the block ends; `store` is one of `STORES`."""
    with contextlib.ExitStack() as stack:
        state = stack.enter_context(StateDirectory.open(directory / "state"))
        postgres = EmbeddedPostgres(state, max_connections=100)
        stack.callback(postgres.stop)
        valkey = EmbeddedValkey(state, max_memory="1gb")
        stack.callback(valkey.stop)
        several = None
        if kind := STORES[store]:
            several = stack.enter_context(valkeys.running(kind))
        url = valkey.start() if several is None else several.url
        stores = Stores(postgres, postgres.start(), valkey, url, several)
        made = Cluster(directory, state, stores, plan, times)
        stack.callback(made.stop)
        made.start()
        yield made


def answers(port: int, path: str) -> bool:
    """Whether a server says 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    with contextlib.closing(connection):
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def _signal(pids: list[int | None], number: signal.Signals) -> None:
    for pid in pids:
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _rewriting(client: redis.Redis) -> bool:
    state: Any = client.info("persistence")
    return bool(state["aof_rewrite_in_progress"] or state["aof_rewrite_scheduled"])


def _configuration(upstream_port: int, times: Times) -> str:
    lines = [
        "[gateway]",
        'trusted_proxies = ["127.0.0.1"]',
        "drain_s = 5",
        "[quota]",
        f"lease_s = {times.lease_s}",
        f"pause_s = {times.pause_s}",
        f"sweep_s = {times.sweep_s}",
        "[log]",
        'access = "/dev/null"',
    ]
    for model in MODELS.values():
        lines += [
            "[[models]]",
            f'name = "{model.name}"',
            f"input_usd_per_mtok = {_usd(model.input_nusd)}",
            f"output_usd_per_mtok = {_usd(model.output_nusd)}",
            f"request_usd = {_usd(model.request_nusd)}",
            f"default_output_tokens = {model.default_output_tokens}",
            f"max_output_tokens = {model.max_output_tokens}",
        ]
    upstreams = sorted({name for model in MODELS.values() for name in model.upstreams})
    for name in upstreams:
        served = [model.name for model in MODELS.values() if name in model.upstreams]
        lines += [
            "[[upstreams]]",
            f'name = "{name}"',
            f'base_url = "http://127.0.0.1:{upstream_port}/{name}/v1"',
            f"models = {json.dumps(served)}",
            f"priority = {1 if name == 'second' else 0}",
            "connect_timeout_s = 3",
            "first_byte_timeout_s = 4",
            "idle_timeout_s = 3",
            "total_timeout_s = 20",
            f'on_disconnect = "{"drain" if name == "drained" else "abort"}"',
        ]
    return "\n".join(lines) + "\n"


def _usd(nusd: int) -> str:
    return f"{nusd // _NUSD_PER_USD}.{nusd % _NUSD_PER_USD:09d}"
