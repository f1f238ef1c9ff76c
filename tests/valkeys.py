"""Several Valkeys that belong together: a cluster of three primaries with a replica each, and a primary with two
replicas and three Sentinels. Of the program that the product starts by itself, on loopback, synchronous.
"""

import contextlib
import hashlib
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
import redis.cluster

from gateway.embedded.binaries import find_valkey
from gateway.store.valkey import CLUSTER_RIGHTS, RIGHTS, SENTINEL_RIGHTS
from tests.chaos.processes import end_with, free_port

USER, PASSWORD, OWNER = "tollhouse", "application", "owner"
SERVICE = "quota"
NODE_TIMEOUT_MS = 1000
_SLOTS = 16384
_UP_S = 30.0
_LOOK_S = 0.02


def wait_for(condition: Callable[[], Any], what: str) -> None:
    """Poll until it holds; a server that does not answer yet is asked again."""
    deadline = time.monotonic() + _UP_S
    while True:
        with contextlib.suppress(redis.RedisError):
            if condition():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {_UP_S:g} s")
        time.sleep(_LOOK_S)


@dataclass
class Files:
    """A CA, and a certificate of 127.0.0.1 together with its key."""

    ca: Path
    certificate: Path


class Server:
    """One process with its directory; may be killed and started again."""

    def __init__(
        self,
        directory: Path,
        settings: dict[str, object],
        *,
        program: Path | None = None,
        rights: str = RIGHTS,
        arguments: tuple[str, ...] = (),
        tls: Files | None = None,
    ) -> None:
        self.port = free_port()
        self.directory = directory / str(self.port)
        self.directory.mkdir()
        self._program = program or find_valkey(None).program
        self._arguments = arguments
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        listens: dict[str, object] = {"port": self.port}
        if tls is not None:
            listens = {
                "port": 0,
                "tls-port": self.port,
                "tls-cert-file": tls.certificate,
                "tls-key-file": tls.certificate,
                "tls-ca-cert-file": tls.ca,
                "tls-auth-clients": "no",
                "tls-replication": "yes",
            }
        lines = [
            f"{name} {value}"
            for name, value in {
                "bind": "127.0.0.1",
                **listens,
                "dir": self.directory,
                "logfile": self.directory / "log",
                **settings,
            }.items()
        ]
        if self._program.name == "redis-server" and _is_before_7_2(self._program):
            rights = rights.replace("+client|setinfo", "")
        digest = hashlib.sha256(PASSWORD.encode()).hexdigest()
        lines += [f"user {USER} on #{digest} {rights}", f"requirepass {OWNER}"]
        self._file = self.directory / "valkey.conf"
        self._file.write_text("\n".join(lines) + "\n")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [self._program, self._file, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with(os.getpid()),  # noqa: PLW1509 -- this process has no threads
            )
        wait_for(lambda: self.ask("PING"), f"the server at {self.port}")

    def kill(self) -> None:
        """End it now."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """As the owner."""
        tls = {} if self._tls is None else {"ssl": True, "ssl_ca_certs": str(self._tls.ca)}
        with redis.Redis(
            port=self.port, password=OWNER, decode_responses=True, socket_timeout=10, **tls
        ) as made:
            yield made

    def ask(self, *command: object) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        with self.client() as client:
            return client.info(section)  # type: ignore[return-value]

    @property
    def is_primary(self) -> bool:
        return self.info("replication")["role"] == "master"

    @property
    def is_in_step(self) -> bool:
        """Whether a replica has all that its primary has."""
        told = self.info("replication")
        return told["role"] == "slave" and told["master_link_status"] == "up"


class Group:
    """Servers of which some are primaries."""

    servers: list[Server]

    @property
    def primaries(self) -> list[Server]:
        return [each for each in self.servers if each.is_primary]

    def flush(self) -> None:
        """Let them lose everything."""
        for server in self.primaries:
            server.ask("FLUSHALL")


class Cluster(Group):
    """Three primaries, with a third of the slots each, and a replica of each."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self._directory = directory
        self._options = options
        self.servers = [self._server() for _ in range(6)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])
        scheme, query = _tls_of(self._options)
        return f"{scheme}+cluster://{USER}:{PASSWORD}@{hosts}?{query}"

    def _server(self) -> Server:
        settings = {
            "cluster-enabled": "yes",
            **({"tls-cluster": "yes"} if self._options.get("tls") else {}),
            "cluster-port": free_port(),
            "cluster-node-timeout": NODE_TIMEOUT_MS,
            "cluster-replica-validity-factor": 0,
            "cluster-allow-replica-migration": "no",
            "cluster-require-full-coverage": "no",
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1,
            "save": '""',
            "masterauth": OWNER,
        }
        rights = f"{RIGHTS} {CLUSTER_RIGHTS}"
        return Server(self._directory, settings, rights=rights, **self._options)

    def start(self) -> None:
        """Start all, introduce them to each other, and wait until they are a cluster."""
        for number, server in enumerate(self.servers):
            server.start()
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        primaries, replicas = self.servers[:3], self.servers[3:]
        for number, server in enumerate(primaries):
            first, last = _SLOTS * number // 3, _SLOTS * (number + 1) // 3 - 1
            server.ask("CLUSTER", "ADDSLOTSRANGE", first, last)
        self.introduce(*self.servers[1:])
        for primary, replica in zip(primaries, replicas, strict=True):
            replica.ask("CLUSTER", "REPLICATE", primary.ask("CLUSTER", "MYID"))
        self.wait_until_whole()

    def introduce(self, *servers: Server) -> None:
        """Let them meet the first one, and everybody know of everybody."""
        for server in servers:
            with server.client() as client:
                bus_port = client.config_get("cluster-port")["cluster-port"]
            self.servers[0].ask("CLUSTER", "MEET", "127.0.0.1", server.port, bus_port)
        met = f"cluster_known_nodes:{len(self.servers)}\r\n"
        wait_for(
            lambda: all(met in each.ask("CLUSTER", "INFO") for each in self.servers),
            "the nodes of the cluster know each other",
        )

    def wait_until_whole(self) -> None:
        """Until every slot is served and every replica is in step."""

        def whole() -> bool:
            return (
                all(
                    "cluster_state:ok" in each.ask("CLUSTER", "INFO")
                    and (each.is_primary or each.is_in_step)
                    for each in self.servers
                )
                and sum(each.is_primary for each in self.servers) == 3
            )

        wait_for(whole, "the cluster is whole")

    def primary_of(self, slot: int) -> Server:
        """Who has a slot, as the nodes say that know."""
        said = Counter(_port_of(each, slot) for each in self.servers)
        port = said.most_common(1)[0][0]
        return next(each for each in self.servers if each.port == port)

    def replica_of(self, slot: int) -> Server:
        port = self.primary_of(slot).port
        of = {each.info("replication").get("master_port"): each for each in self.servers}
        return of[port]

    def fail_over(self, slot: int) -> Server:
        """Kill the primary of a slot, and wait until another one has it; the killed one."""
        primary = self.primary_of(slot)
        primary.kill()
        others = [each for each in self.servers if each is not primary]
        wait_for(
            lambda: all(_port_of(each, slot) != primary.port for each in others),
            "another primary has the slot",
        )
        return primary

    def freeze_over(self, slot: int) -> None:
        """Stop the primary of a slot until another one has it; it wakes as one that knows nothing of that."""
        primary = self.primary_of(slot)
        os.kill(primary.pid, signal.SIGSTOP)
        try:
            others = [each for each in self.servers if each is not primary]
            wait_for(
                lambda: all(_port_of(each, slot) != primary.port for each in others),
                "another primary has the slot",
            )
        finally:
            os.kill(primary.pid, signal.SIGCONT)
        self.wait_until_whole()

    def hand_over(self, slot: int) -> None:
        """Let a replica take the place of the primary of a slot, which goes on as its replica."""
        primary, replica = self.primary_of(slot), self.replica_of(slot)
        replica.ask("CLUSTER", "FAILOVER")
        wait_for(lambda: _port_of(primary, slot) == replica.port, "the replica is the primary")
        self.wait_until_whole()

    def revive(self, server: Server) -> None:
        """Start a killed node again, and wait until all is well."""
        server.start()
        self.wait_until_whole()

    def client(self) -> Any:
        """As the owner, who finds each key."""
        nodes = [redis.cluster.ClusterNode("127.0.0.1", each.port) for each in self.servers]
        return redis.RedisCluster(startup_nodes=nodes, password=OWNER, socket_timeout=10)

    def move(self, slot: int, there: Server, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Move a slot to another primary, key by key; `meanwhile` is called when half of them are there."""
        here = self.primary_of(slot)
        ids = {each.port: each.ask("CLUSTER", "MYID") for each in (here, there)}
        there.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[here.port])
        here.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[there.port])
        keys = here.ask("CLUSTER", "GETKEYSINSLOT", slot, 10_000)
        half = len(keys) // 2
        self._take(here, there, keys[:half])
        meanwhile()
        while keys := here.ask("CLUSTER", "GETKEYSINSLOT", slot, 10_000):
            self._take(here, there, keys)
        for server in (there, here, *(each for each in self.servers if each.is_primary)):
            server.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[there.port])

    def _take(self, here: Server, there: Server, keys: list[str]) -> None:
        if keys:
            target = ("127.0.0.1", there.port, "", 0, 5000)
            here.ask("MIGRATE", *target, "AUTH", OWNER, "KEYS", *keys)

    def stop(self) -> None:
        for server in self.servers:
            server.kill()


class SentinelTrio(Group):
    """A primary, two replicas, and three Sentinels."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self._directory = directory
        settings = {
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1,
            "save": '""',
            "masterauth": OWNER,
        }
        self.servers = [Server(directory, settings, **options) for _ in range(3)]
        self.sentinels: list[Server] = []
        self._options = options

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in self.sentinels)
        scheme, query = _tls_of(self._options)
        query = f"sentinel_username={USER}&sentinel_password={PASSWORD}&{query}"
        return f"{scheme}+sentinel://{USER}:{PASSWORD}@{hosts}/{SERVICE}?{query}"

    def start(self) -> None:
        """Start all, and wait until the Sentinels know of each other and of both replicas."""
        for server in self.servers:
            server.start()
        first = self.servers[0].port
        for server in self.servers[1:]:
            server.ask("REPLICAOF", "127.0.0.1", first)
        for _ in range(3):
            sentinel = Server(
                self._directory,
                {"sentinel sentinel-pass": OWNER},
                rights=SENTINEL_RIGHTS,
                arguments=("--sentinel",),
                **self._options,
            )
            sentinel.start()
            sentinel.ask("SENTINEL", "MONITOR", SERVICE, "127.0.0.1", first, 2)
            for name, value in (
                ("auth-pass", OWNER),
                ("down-after-milliseconds", 600),
                ("failover-timeout", 3000),
            ):
                sentinel.ask("SENTINEL", "SET", SERVICE, name, value)
            self.sentinels.append(sentinel)
        self.wait_until_whole()

    def _told(self, sentinel: Server) -> dict[str, Any]:
        with sentinel.client() as client:
            return client.sentinel_master(SERVICE, return_responses=True)  # type: ignore[return-value]

    def wait_until_whole(self) -> None:
        """Until both replicas are in step, and the Sentinels agree on that."""

        def whole() -> bool:
            roles = sorted(each.is_primary or not each.is_in_step for each in self.servers)
            told = [self._told(each) for each in self.sentinels]
            return roles == [False, False, True] and all(
                each["num-slaves"] == 2 and each["num-other-sentinels"] == 2 for each in told
            )

        wait_for(whole, "the Sentinels watch a primary and two replicas")

    @property
    def primary(self) -> Server:
        """As the Sentinels say."""
        port = self._told(self.sentinels[0])["port"]
        return next(each for each in self.servers if each.port == port)

    def client(self) -> Any:
        """As the owner, of the primary."""
        return redis.Redis(port=self.primary.port, password=OWNER, socket_timeout=10)

    def fail_over(self, _slot: int = 0) -> Server:
        """Kill the primary, and wait until the Sentinels have made another; the killed one."""
        before = self.primary
        before.kill()
        self._wait_for_another(before)
        return before

    def freeze_over(self, _slot: int = 0) -> None:
        """Stop the primary until the Sentinels have made another; it wakes as one that knows nothing of that."""
        before = self.primary
        os.kill(before.pid, signal.SIGSTOP)
        try:
            self._wait_for_another(before)
        finally:
            os.kill(before.pid, signal.SIGCONT)
        self.wait_until_whole()

    def hand_over(self, _slot: int = 0) -> None:
        """Let the Sentinels make another primary while this one lives."""
        before = self.primary
        self.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
        self._wait_for_another(before)
        self.wait_until_whole()

    def _wait_for_another(self, before: Server) -> None:
        wait_for(
            lambda: all(self._told(each)["port"] != before.port for each in self.sentinels),
            "the Sentinels have made another primary",
        )

    def revive(self, server: Server) -> None:
        """Start a killed server again as a replica, and wait until it is in step."""
        server.start()
        server.ask(
            "REPLICAOF", "127.0.0.1", self.primary.port
        )  # the Sentinels would, within ten seconds
        self.wait_until_whole()

    def stop(self) -> None:
        for server in (*self.sentinels, *self.servers):
            server.kill()


@contextlib.contextmanager
def running(kind: type[Any], **options: Any) -> Iterator[Any]:
    """A started `Cluster` or `SentinelTrio`, which is ended however the block ends."""
    with tempfile.TemporaryDirectory(prefix="tollhouse-valkeys-") as directory:
        made = kind(Path(directory), **options)
        try:
            made.start()
            yield made
        finally:
            made.stop()


def _is_before_7_2(program: Path) -> bool:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return " v=7.0." in told.stdout


def _tls_of(options: dict[str, Any]) -> tuple[str, str]:
    """Scheme and query of a URL."""
    tls: Files | None = options.get("tls")
    return ("redis", "") if tls is None else ("rediss", f"ssl_ca_certs={tls.ca}")


def _port_of(server: Server, slot: int) -> int | None:
    """Of the primary that has a slot, as one node knows."""
    for first, last, (_, port, *_), *_ in server.ask("CLUSTER", "SLOTS"):
        if first <= slot <= last:
            return port
    return None
