"""Valkey off the hot path, through redis-py: its run id, and notices of changes.

The only home of channel names. A notice is a hint that makes a change seen sooner: channels lose
what is published while a listener is away, and the versions that RESERVE compares are what makes a
change binding.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from redis.exceptions import RedisError

from gateway.domain.errors import StoreUnavailable
from gateway.domain.store_url import read_store_url
from gateway.store.clients import Clients, clients_of

_log = logging.getLogger(__name__)
_LAST_BACKOFF_S: Final = 2.0
_FIRST_BACKOFF_S: Final = 0.05
_LOST: Final = (RedisError, OSError, RuntimeError)
"""What redis-py raises where a server is not there; the last is uvloop's, of a transport that was closed meanwhile."""


RIGHTS: Final = (
    "~q:* resetchannels &q:* -@all +@read +@write +@transaction -@scripting -@dangerous +evalsha +script|load +time"
    " +publish +subscribe +unsubscribe +pubsub|numsub"
    " +ping +info +auth +hello +select +client|setinfo +client|setname"
)
"""What gateway and admin app may do, as an ACL says it: no FLUSHALL, CONFIG, EVAL, and contents of no keys but ours."""
CLUSTER_RIGHTS: Final = "+cluster|slots +asking +command"
"""What they need besides on the nodes of a cluster: to find shards, also those that move, and redis-py to begin."""
SENTINEL_RIGHTS: Final = (
    "resetkeys resetchannels -@all +auth +hello +ping +client|setinfo +client|setname"
    " +sentinel|master +sentinel|masters"
)
"""What their user needs on the Sentinels, where these have users."""


def channel_of(database: int) -> str:
    """Where notices of changes are published, and every gateway worker listens."""
    return f"q:{database}:changes"


class Valkey:
    """What is asked of the server itself."""

    def __init__(self, clients: Clients, database: int) -> None:
        self._clients = clients
        # Channels belong to a server, not to a database; two deployments may share one.
        self._channel = channel_of(database)

    async def run_id(self) -> str:
        """Of this run of the server; another after each restart. Raises `StoreUnavailable`."""
        with self._asking():
            info = await (await self._clients.current()).info("server")
        return str(info["run_id"])

    async def publish_token_change(self, token_id: int) -> None:
        """Tell every listener that a token was edited. Raises `StoreUnavailable`."""
        await self._publish(f"token {token_id}")

    async def publish_user_change(self, user_id: int) -> None:
        """Tell every listener that all of a user's tokens changed. Raises `StoreUnavailable`."""
        await self._publish(f"user {user_id}")

    async def publish_account_change(self, account_id: int) -> None:
        """Tell every listener that what binds an account's tokens was edited. Raises `StoreUnavailable`."""
        await self._publish(f"account {account_id}")

    async def publish_catalog_change(self, generation: int) -> None:
        """Tell every listener of the catalog's new generation. Raises `StoreUnavailable`."""
        await self._publish(f"catalog {generation}")

    @contextlib.asynccontextmanager
    async def listen(
        self,
        on_token: Callable[[int], None],
        on_catalog: Callable[[int], None],
        on_gap: Callable[[], None] = lambda: None,
        *,
        on_user: Callable[[int], None] = lambda _: None,
        on_account: Callable[[int], None] = lambda _: None,
        wait_s: float = 5.0,
    ) -> AsyncIterator[None]:
        """Call back for each change for as long as the block runs, across lost connections.

        `on_gap` is called with each subscription: changes before it may have been missed. The block
        is entered at the first one. Raises `StoreUnavailable` when `wait_s` pass without it.
        """
        subscribed = asyncio.Event()
        callbacks = {
            "token": on_token,
            "user": on_user,
            "account": on_account,
            "catalog": on_catalog,
        }

        def begin() -> None:
            subscribed.set()
            on_gap()

        def change(text: str) -> None:
            word, _, number = text.partition(" ")
            callback = callbacks.get(word)
            if callback is None or not number.isdecimal():
                _log.warning("change notice not understood: %.80r", text)
            else:
                callback(int(number))

        task = asyncio.create_task(self._follow(begin, change), name="change listener")
        try:
            try:
                async with asyncio.timeout(wait_s):
                    await subscribed.wait()
            except TimeoutError:
                raise StoreUnavailable("no subscription to changes in time") from None
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self, begin: Callable[[], None], change: Callable[[str], None]) -> None:
        backoff_s = _FIRST_BACKOFF_S
        while True:
            try:
                client = await self._clients.current()
                async with client.pubsub() as channel:
                    await channel.subscribe(self._channel)
                    async for message in channel.listen():
                        if message["type"] == "subscribe":
                            backoff_s = _FIRST_BACKOFF_S
                            begin()
                        elif message["type"] == "message":
                            change(message["data"].decode(errors="replace"))
            except _LOST as error:
                _log.warning("change listener lost its connection: %r", error)
                self._clients.doubt()
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _LAST_BACKOFF_S)

    async def _publish(self, text: str) -> None:
        with self._asking():
            await (await self._clients.current()).publish(self._channel, text)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """The border to redis-py's exceptions."""
        try:
            yield
        except _LOST as error:
            self._clients.doubt()
            raise StoreUnavailable(repr(error)) from error
        except asyncio.CancelledError:  # whoever asked would not wait any longer
            self._clients.doubt()
            raise


@contextlib.asynccontextmanager
async def open_valkey(url: str) -> AsyncIterator[Valkey]:
    """The server or servers at `url`, in each form of `redis.url`; connects when first asked."""
    clients = clients_of(url)
    try:
        yield Valkey(clients, read_store_url(url).database)
    finally:
        await clients.aclose()
