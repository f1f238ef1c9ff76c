"""The hot path's way to the quota store: one write per loop tick and server, replies call back.

Addressed by shard: which server has it is looked up in one list, whether there is one server, a
cluster or a primary that Sentinels name. Knows neither keys nor what commands mean; the scripts are
loaded before a connection counts as connected, and again when the store forgot them.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from gateway.domain.breaker import BreakerState
from gateway.domain.errors import StoreNotAsked, StoreUnavailable
from gateway.domain.store_url import Layout, read_store_url
from gateway.domain.token import SHARDS
from gateway.store.address import Address, parse_address
from gateway.store.breaker import Breaker
from gateway.store.cluster import Cluster
from gateway.store.connection import Connection, Done, accept, encode
from gateway.store.node import Node
from gateway.store.scripts import Scripts, load_scripts
from gateway.store.sentinels import Sentinels

_UNASKED: Final = ("TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "LOADING", "MOVED", "ASK")
"""What a server says that has done nothing, and perhaps is not the one to ask."""
_MIDWAY: Final = "non local key"
"""In what it says of a script that met a key which had just left with its slot."""


class Pipeline:
    """The connections, each opened again for as long as the pipeline lives.

    `send` never raises and never waits. `operation_timeout_s` is checked a few times per timeout: a
    caller is told after one to one and a quarter of it that no reply came, and its late reply goes
    nowhere. After five such failures in a row, or a second without any reply, the breaker opens: the
    connection is dropped and callers are told at once, until a probe (a new connection that is
    greeted, and a PING that is answered in time) closes it. In a cluster each node has that; the
    breaker is closed while all shards can be asked.

    A command that a cluster sends elsewhere is sent there, once: the server that says so has done nothing. Unless
    it is about a run of the store: that ends where another server has the shard.
    """

    def __init__(
        self, url: str, scripts: Scripts | None = None, *, operation_timeout_s: float = 1.0
    ) -> None:
        self._url = read_store_url(url)
        self._seeds = [parse_address(each) for each in self._url.urls]
        self.scripts: Final = load_scripts() if scripts is None else scripts
        self._texts = [script.text for script in self.scripts.values()]
        self._timeout_s = operation_timeout_s
        self._owners: list[Node | None] = [None] * SHARDS
        self._connections: list[Connection | None] = [None] * SHARDS
        self.run_ids: list[bytes] = [b""] * SHARDS
        """By shard: of the run of the server that has it, or had it last; 40 characters."""
        self._nodes: list[Node] = []
        self._cluster: Cluster | None = None
        self._task: asyncio.Task[None] | None = None
        self._ever_connected = asyncio.Event()
        self._down = StoreNotAsked("the quota store is not connected")
        self.breaker = Breaker(time.monotonic)

    @property
    def database(self) -> int:
        """The number of the server's database."""
        return self._url.database

    @property
    def is_cluster(self) -> bool:
        """Whether shards are lost, and move, one by one."""
        return self._url.layout is Layout.CLUSTER

    @property
    def connected(self) -> bool:
        """Whether commands are sent now, of some shards at least."""
        return any(connection is not None for connection in self._connections)

    @property
    def connections(self) -> int:
        """How many connections were made so far, to all servers that are in use."""
        return sum(node.connections for node in self._nodes)

    def parts(self) -> list[list[int]]:
        """The shards by the server that has them."""
        found: dict[int, list[int]] = {}
        for shard, owner in enumerate(self._owners):
            found.setdefault(id(owner), []).append(shard)
        return list(found.values())

    def beside(self, shard: int) -> list[int]:
        """The shards that the same server has, `shard` among them."""
        owner = self._owners[shard]
        return [each for each in range(SHARDS) if self._owners[each] is owner]

    async def start(self, wait_s: float = 5.0) -> None:
        """Connect, and stay connected until `close`.

        Raises `StoreUnavailable` when `wait_s` pass in vain.
        """
        self._task = asyncio.create_task(self._stay_connected(), name="quota store")
        try:
            async with asyncio.timeout(wait_s):
                await self._ever_connected.wait()
        except TimeoutError:
            pass
        else:
            return
        await self.close()
        raise self._down

    async def close(self) -> None:
        """Give up the connections; whoever still waits gets `StoreUnavailable`."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def send(self, shard: int, command: bytes, done: Done | None) -> None:
        """Send an encoded command; `done` is called with its reply, in the order of sending to a shard."""
        connection = self._connections[shard]
        if connection is not None:
            connection.send(command, done)
        elif done is not None:
            asyncio.get_running_loop().call_soon(done, self._down)

    async def call(self, shard: int, *args: bytes | str | int) -> object:
        """Send one command and wait for its reply; for use off the hot path.

        Raises `StoreUnavailable`, for error replies too.
        """
        return accept(await self.ask(shard, *args))

    def ask(self, shard: int, *args: bytes | str | int) -> asyncio.Future[object]:
        """Send one command now; its raw reply, for `accept`."""
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def settle(reply: object) -> None:
            if not future.done():  # the caller may have been cancelled
                future.set_result(reply)

        self.send(shard, encode(*args), settle)
        return future

    async def _stay_connected(self) -> None:
        match self._url.layout:
            case Layout.SERVER:
                await self._serve_all(self._seeds[0]).run()
            case Layout.SENTINEL:
                await self._follow_sentinels()
            case Layout.CLUSTER:
                self._cluster = Cluster(
                    self._seeds,
                    self._address,
                    self._make_node,
                    self._nodes.remove,
                    self._point,
                    self._tell_reason,
                )
                try:
                    await self._cluster.keep()
                finally:
                    self._cluster = None

    async def _follow_sentinels(self) -> None:
        sentinels = Sentinels(self._seeds, self._url.service, self._address, self._tell_reason)
        try:
            await sentinels.serve(self._serve_all(await sentinels.find_at_last()))
        finally:
            sentinels.close()

    def _serve_all(self, address: Address) -> Node:
        """The one node, which has all shards."""
        node = self._make_node(address)
        self._owners = [node] * SHARDS
        return node

    def _address(self, host: str, port: int) -> Address:
        return parse_address(self._url.at(host, port))

    def _make_node(self, address: Address) -> Node:
        node = Node(address, self._texts, self._timeout_s, self._changed, self._redirect)
        self._nodes.append(node)
        return node

    def _tell_reason(self, reason: str) -> None:
        """Why no server can be asked, where not even their addresses are known."""
        self._down = StoreNotAsked(f"the quota store is not connected: {reason}")

    def _point(self, owners: Mapping[int, Node]) -> None:
        """These nodes have these shards now: commands go there, or nowhere until they are connected."""
        for shard, node in owners.items():
            self._owners[shard] = node
            self._connections[shard] = node.connection
            if node.connection is not None:
                self.run_ids[shard] = node.run_id
        self._tell_breaker()

    def _changed(self, node: Node) -> None:
        """A node was connected or lost: whoever sends must not send there, or may again."""
        owned = [shard for shard, owner in enumerate(self._owners) if owner is node]
        self._point(dict.fromkeys(owned, node))
        if owned and node.connection is None:
            self._down = StoreNotAsked(node.reason)
            if self._cluster is not None:
                self._cluster.doubt()

    def _tell_breaker(self) -> None:
        if all(connection is not None for connection in self._connections):
            self._ever_connected.set()
            self.breaker.become(BreakerState.CLOSED)
            return
        owners = {id(node): node for node in self._owners if node is not None}
        probing = any(node.state is BreakerState.HALF_OPEN for node in owners.values())
        self.breaker.become(BreakerState.HALF_OPEN if probing else BreakerState.OPEN)

    def _redirect(self, node: Node, reply: Exception, command: bytes, done: Done | None) -> object:
        """What an error reply means; None where its command was sent to the node that has the shard now."""
        told = str(reply)
        word = told.partition(" ")[0]
        if word == "ERR" and _MIDWAY in told:
            return StoreUnavailable(told)
        if word not in _UNASKED:
            return reply
        if self._cluster is not None and self._cluster.send_on(node, told, command, done):
            return None
        if word == "READONLY":
            asyncio.get_running_loop().call_soon(node.drop, "the server is a replica now")
        return StoreNotAsked(told)
