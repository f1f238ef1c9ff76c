"""How many connections an address may have. One too many is told so when it asks, and closed.

It is told in HTTP, with 429: who has many connections for a reason is to read which setting that is about. It is not
waited for, or those whom the bound is for would hold a connection all the same: whoever asks nothing within a second
is closed without a word, and where many wait like that the next is closed at once.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar, cast

from gateway.domain.figures import Figure
from gateway.domain.network import Address, Blocks, parse_address

_ASKS_WITHIN_S: Final = 1.0
_MOST_WAITING: Final = 256
_V6_NETWORK_BITS: Final = 64  # what one host has of IPv6: https://www.rfc-editor.org/rfc/rfc6177

_K = TypeVar("_K")
Place = tuple[bool, int]
"""Whose connections are counted together."""


def peer_of(transport: asyncio.BaseTransport) -> Address:
    """The socket's other end."""
    name = transport.get_extra_info("peername")
    return parse_address(name[0] if isinstance(name, tuple) else "127.0.0.1")


def place_of(address: Address) -> Place:
    """An IPv4 address, or the network of 64 bits of an IPv6 address."""
    if address.is_v4:
        return True, address.value
    return False, address.value >> _V6_NETWORK_BITS


class Crowd:
    """The connections of a server by address: `most` each, 0 without a bound; those of `exempt` are not bounded.

    `tell` makes the whole answer for one too many, of the first bytes that it sent.
    """

    def __init__(self, most: int, exempt: Blocks, tell: Callable[[bytes], bytes]) -> None:
        self.adopt(most, exempt)
        self.tell = tell
        self._counts: dict[Place, int] = {}
        self._unbounded: Counter[Address] = Counter()
        self._refused: dict[RefusedConnection, float] = {}
        self.open = 0
        self.refused = 0

    def adopt(self, most: int, exempt: Blocks) -> None:
        """Go by these for connections from now on."""
        self._most = most
        self._exempt = exempt

    def enter(self, address: Address) -> bool:
        """Count a new connection; False, and nothing is counted, where it is one too many."""
        if self._most and address not in self._exempt:
            place = place_of(address)
            count = self._counts.get(place, 0)
            if count >= self._most:
                self.refused += 1
                return False
            self._counts[place] = count + 1
        else:
            self._unbounded[address] += 1
        self.open += 1
        return True

    def leave(self, address: Address) -> None:
        """One that was counted is gone."""
        self.open -= 1
        # Whether it had a bound when it came: since then it may have got or lost one.
        if address in self._unbounded:
            _take_one(self._unbounded, address)
        else:
            _take_one(self._counts, place_of(address))

    def refuse(self, transport: asyncio.BaseTransport, now: float) -> None:
        """Have one that may not enter told so, or close it."""
        connection = RefusedConnection(self, cast("asyncio.Transport", transport))
        connection.transport.set_protocol(connection)
        if len(self._refused) < _MOST_WAITING:
            self._refused[connection] = now
        else:
            connection.transport.abort()

    def figures(self) -> list[Figure]:
        """For `/metrics`."""
        return [
            Figure("tollhouse_connections", {(): self.open}),
            Figure("tollhouse_connections_refused_total", {(): self.refused}),
        ]

    def forget(self, connection: "RefusedConnection") -> None:
        """It is closed."""
        self._refused.pop(connection, None)

    def look(self, now: float) -> None:
        """Close those that ask nothing, or do not take the answer."""
        for connection, since in [*self._refused.items()]:
            if now - since > _ASKS_WITHIN_S:
                connection.transport.abort()


def _take_one(counts: dict[_K, int], key: _K) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]


class RefusedConnection(asyncio.Protocol):
    """One too many."""

    def __init__(self, crowd: Crowd, transport: asyncio.Transport) -> None:
        self._crowd = crowd
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """It asks."""
        if not self.transport.is_closing():
            self.transport.write(self._crowd.tell(data))
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 -- asyncio's
        """It is gone."""
        self._crowd.forget(self)
