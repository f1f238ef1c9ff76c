"""Where the primary is that Sentinels watch.

All of them are asked, and the one with the newest configuration is believed: its number rises with each failover
(<https://valkey.io/topics/sentinel/>, "Configuration epochs"), and a Sentinel that was cut off has an old one.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from gateway.domain.errors import StoreUnavailable
from gateway.store.address import Address
from gateway.store.connection import Connection
from gateway.store.node import Node, open_once

_log = logging.getLogger(__name__)
_WATCH_S: Final = 0.5
"""Between two looks while the primary is connected: well below the pause after a loss."""
_SEARCH_S: Final = 0.2
"""While it is not."""
_PATIENCE_S: Final = 0.5


class Sentinels:
    """Keeps a connection to each; `address_at` makes the address of a server, with its log-in."""

    def __init__(
        self,
        addresses: Sequence[Address],
        service: str,
        address_at: Callable[[str, int], Address],
        tell: Callable[[str], None],
    ) -> None:
        self._addresses = addresses
        self._service = service
        self._address_at = address_at
        self._tell = tell
        self._connections: list[Connection | None] = [None] * len(addresses)

    async def find(self) -> Address:
        """Where the primary is now. Raises `StoreUnavailable` where no Sentinel says."""
        asked = [self._ask(number) for number in range(len(self._addresses))]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        known = [each for each in answers if isinstance(each, tuple)]
        if not known:
            raise StoreUnavailable(
                f"no Sentinel names the primary of {self._service!r}: {answers[0]!r}"
            )
        _, host, port = max(known, key=lambda each: each[0])
        return self._address_at(host, port)

    async def find_at_last(self) -> Address:
        """Likewise; asks until one says."""
        while True:
            try:
                return await self.find()
            except StoreUnavailable as error:
                self._tell(str(error))
                _log.warning("quota store not found: %s", error)
            await asyncio.sleep(_WATCH_S)

    async def serve(self, node: Node) -> None:
        """Keep the node connected to whatever the primary is, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(node.run(), name="primary")
            group.create_task(self.watch(node), name="sentinels")

    async def watch(self, node: Node) -> None:
        """Let the node follow the primary, until cancelled."""
        while True:
            await asyncio.sleep(_SEARCH_S if node.connection is None else _WATCH_S)
            try:
                address = await self.find()
            except StoreUnavailable:
                continue  # the primary may be well all the same
            if (address.host, address.port) != (node.address.host, node.address.port):
                _log.warning(
                    "the Sentinels have made %s:%d the primary", address.host, address.port
                )
                node.move(address)

    def close(self) -> None:
        """Give the connections up."""
        for connection in self._connections:
            if connection is not None:
                connection.abort("closed")

    async def _ask(self, number: int) -> tuple[int, str, int]:
        """What one Sentinel says: number of its configuration, host and port."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                connection = self._connections[number]
                if connection is None or connection.lost.done():
                    connection = await open_once(self._addresses[number], _PATIENCE_S)
                    self._connections[number] = connection
                told = _members(await connection.ask("SENTINEL", "MASTER", self._service))
                return int(told["config-epoch"]), told["ip"], int(told["port"])
        except (OSError, TimeoutError, KeyError, ValueError) as error:
            raise StoreUnavailable(repr(error)) from error


def _members(reply: object) -> dict[str, str]:
    flat = [str(each, "utf-8") for each in reply] if isinstance(reply, list) else []
    return dict(zip(flat[::2], flat[1::2], strict=True))
