"""Which node of a cluster has which shard, learnt from the nodes.

A shard's keys have one hash tag and so lie in one slot; a shard is where its slot is
(<https://valkey.io/topics/cluster-spec/>). Two shards may share a slot.
"""

import asyncio
import contextlib
import logging
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from redis.crc import key_slot

from gateway.domain.errors import StoreUnavailable
from gateway.domain.token import SHARDS
from gateway.store.address import Address
from gateway.store.connection import Connection, Done, Repeat, encode, is_final
from gateway.store.node import Node, open_once

_log = logging.getLogger(__name__)
_LOOK_S: Final = 0.2
"""Between two looks while a shard has no node that is connected; and between any two, a quarter of that."""
_KEPT_S: Final = 60.0
"""How long a node is kept that has no shard: one that takes slots over is named before it has any."""
_PATIENCE_S: Final = 0.5
_ASKING: Final = encode("ASKING")

SLOTS: Final = tuple(key_slot(b"s%03d" % shard) for shard in range(SHARDS))
"""By shard: its slot, of the tag in the names of its keys (`prepared.key`)."""
_BY_SLOT: Final = sorted((slot, shard) for shard, slot in enumerate(SLOTS))
_SORTED: Final = [slot for slot, _ in _BY_SLOT]


class Place(NamedTuple):
    """Where a node is."""

    host: str
    port: int


class Cluster:
    """Keeps each shard pointed at the node that has it.

    `address_at` makes a node's address, with its log-in; `point` is told of the shards that have another node.
    """

    def __init__(
        self,
        seeds: Sequence[Address],
        address_at: Callable[[str, int], Address],
        make_node: Callable[[Address], Node],
        forget_node: Callable[[Node], None],
        point: Callable[[Mapping[int, Node]], None],
        tell: Callable[[str], None],
    ) -> None:
        self._seeds = seeds
        self._address_at = address_at
        self._make_node = make_node
        self._forget_node = forget_node
        self._point = point
        self._tell = tell
        self._nodes: dict[Place, Node] = {}
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._used_at: dict[Place, float] = {}
        self._places: list[Place | None] = [None] * SHARDS
        self._doubt = asyncio.Event()

    def doubt(self) -> None:
        """What is known of the cluster may be over: look again."""
        self._doubt.set()

    async def keep(self) -> None:
        """Look at the cluster whenever there is doubt, until cancelled."""
        try:
            while True:
                self._doubt.clear()
                await self._learn()
                await asyncio.sleep(_LOOK_S / 4)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._patience_s()):
                        await self._doubt.wait()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def send_on(self, node: Node, told: str, command: bytes, done: Done | None) -> bool:
        """Send a command where a node says that it belongs, if that can be done now.

        One that names the run of that node is about it: another may have less than the caller has been told. A slot
        that is on its way (ASK) is still in that run.
        """
        self._doubt.set()
        words = told.split()
        if words[0] not in {"MOVED", "ASK"} or len(words) < 3:  # noqa: PLR2004 -- word, slot, place
            return False
        host, _, port = words[2].rpartition(":")
        place = Place(host or node.address.host, int(port))
        there = self._node_at(place)
        if words[0] == "MOVED":
            self._move(dict.fromkeys(shards_in(int(words[1]), int(words[1])), place))
        if there.connection is None or is_final(done):
            return False
        if words[0] == "ASK":
            there.connection.send(_ASKING, None)
        elif node.run_id in command:
            return False
        there.connection.send(command, Repeat(done))
        return True

    async def _learn(self) -> None:
        answers = await self._ask_nodes() or await self._ask_seeds()
        if not answers:
            return
        self._move(agreed(answers, self._places))
        self._retire()

    async def _ask_nodes(self) -> list[Mapping[int, Place]]:
        """What the nodes say that are connected."""
        connected = [node for node in self._nodes.values() if node.connection is not None]
        asked = [self._ask(node.connection, node.address) for node in connected if node.connection]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        return [answer for answer in answers if isinstance(answer, dict)]

    async def _ask_seeds(self) -> list[Mapping[int, Place]]:
        """What those nodes say that the setting names, and that answer."""
        asked = [self._ask_seed(seed) for seed in self._seeds]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, Exception):
                self._tell(f"{answer!r}")
                _log.warning("a node of the cluster does not say where its slots are: %r", answer)
        return [answer for answer in answers if isinstance(answer, dict)]

    async def _ask_seed(self, seed: Address) -> Mapping[int, Place]:
        async with asyncio.timeout(_PATIENCE_S):
            connection = await open_once(seed, _PATIENCE_S)
        try:
            return await self._ask(connection, seed)
        finally:
            connection.abort("closed")

    async def _ask(self, connection: Connection, address: Address) -> Mapping[int, Place]:
        async with asyncio.timeout(_PATIENCE_S):
            return read_slots(await connection.ask("CLUSTER", "SLOTS"), address.host)

    def _node_at(self, place: Place) -> Node:
        self._used_at[place] = asyncio.get_running_loop().time()
        node = self._nodes.get(place)
        if node is None:
            node = self._nodes[place] = self._make_node(self._address_at(*place))
            name = f"node {place.host}:{place.port}"
            self._tasks[place] = asyncio.create_task(node.run(), name=name)
        return node

    def _move(self, places: Mapping[int, Place]) -> None:
        """Shards are there now."""
        moved = {shard: place for shard, place in places.items() if self._places[shard] != place}
        for shard, place in moved.items():
            self._places[shard] = place
        if moved:
            self._point({shard: self._node_at(place) for shard, place in moved.items()})

    def _retire(self) -> None:
        """Let go of nodes that have had no shard for a while."""
        now = asyncio.get_running_loop().time()
        for place in set(self._nodes) - set(self._places):
            node = self._nodes[place]
            if node.is_idle and now - self._used_at[place] > _KEPT_S:
                del self._nodes[place], self._used_at[place]
                self._tasks.pop(place).cancel()
                self._forget_node(node)

    def _patience_s(self) -> float | None:
        """How long what is known may stand without any doubt; None: for ever."""
        for place in set(self._places):
            if place is None or self._nodes[place].connection is None:
                return _LOOK_S
        return _KEPT_S if set(self._nodes) - set(self._places) else None


def shards_in(first_slot: int, last_slot: int) -> list[int]:
    """The shards whose slots are these, both ends included."""
    start, end = bisect_left(_SORTED, first_slot), bisect_right(_SORTED, last_slot)
    return [shard for _, shard in _BY_SLOT[start:end]]


def read_slots(reply: object, host: str) -> dict[int, Place]:
    """Where each shard's primary is, of CLUSTER SLOTS as the node at `host` answers. Raises `StoreUnavailable`.

    A node whose address the others do not know is at the host that was asked
    (<https://valkey.io/commands/cluster-slots/>, "Nested result array").
    """
    found: dict[int, Place] = {}
    try:
        ranges: Any = reply
        for first, last, (told, port, *_), *_ in ranges:
            place = Place(told.decode() if told and told != b"?" else host, port)
            found |= dict.fromkeys(shards_in(first, last), place)
    except (TypeError, ValueError, AttributeError) as error:
        raise StoreUnavailable(f"CLUSTER SLOTS answers {reply!r}") from error
    return found


def agreed(
    answers: Sequence[Mapping[int, Place]], present: Sequence[Place | None]
) -> dict[int, Place]:
    """Where most of those asked say that each shard is; where as many say another place, where it was.

    A primary that was cut off from the others goes on naming itself.
    """
    found: dict[int, Place] = {}
    for shard, known in enumerate(present):
        votes = Counter(answer[shard] for answer in answers if shard in answer)
        if votes:
            most = max(votes.values())
            first = [place for place, count in votes.items() if count == most]
            found[shard] = known if known is not None and known in first else first[0]
    return found
