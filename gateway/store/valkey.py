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

from redis.asyncio import Redis, from_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.domain.errors import StoreUnavailable

_log = logging.getLogger(__name__)
_LAST_BACKOFF_S: Final = 2.0
_FIRST_BACKOFF_S: Final = 0.05


RIGHTS: Final = (
    "~q:* resetchannels &q:* -@all +@read +@write +@transaction -@scripting -@dangerous +evalsha +script|load +time"
    " +publish +subscribe +unsubscribe +pubsub|numsub"
    " +ping +info +auth +hello +select +client|setinfo +client|setname"
)
"""What gateway and admin app may do, as an ACL says it: no FLUSHALL, CONFIG, EVAL, and contents of no keys but ours."""


def channel_of(database: int) -> str:
    """Where notices of changes are published, and every gateway worker listens."""
    return f"q:{database}:changes"


class Valkey:
    """What is asked of the server itself."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        # Channels belong to a server, not to a database; two deployments may share one.
        database = client.connection_pool.connection_kwargs.get("db") or 0
        self._channel = channel_of(database)

    async def run_id(self) -> str:
        """Of this run of the server; another after each restart. Raises `StoreUnavailable`."""
        with _unavailable():
            info = await self._client.info("server")
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
                async with self._client.pubsub() as channel:
                    await channel.subscribe(self._channel)
                    async for message in channel.listen():
                        if message["type"] == "subscribe":
                            backoff_s = _FIRST_BACKOFF_S
                            begin()
                        elif message["type"] == "message":
                            change(message["data"].decode(errors="replace"))
            except (RedisError, OSError) as error:
                _log.warning("change listener lost its connection: %r", error)
            await asyncio.sleep(backoff_s)
            backoff_s = min(backoff_s * 2, _LAST_BACKOFF_S)

    async def _publish(self, text: str) -> None:
        with _unavailable():
            await self._client.publish(self._channel, text)


@contextlib.asynccontextmanager
async def open_valkey(url: str) -> AsyncIterator[Valkey]:
    """The server at `url` (`redis://`, `rediss://`, `unix://`); connects when first asked."""
    # Without redis-py's own retries, a lost subscription is seen at once and reported as a gap.
    client = from_url(url, retry=Retry(NoBackoff(), 0))
    try:
        yield Valkey(client)
    finally:
        await client.aclose()


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    """The border to redis-py's exceptions."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(repr(error)) from error
