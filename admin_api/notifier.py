"""Tells Valkey of a committed edit.

The new book with its version is binding, the notice makes caches drop sooner.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence

from gateway.domain.errors import StoreUnavailable
from gateway.domain.token import SHARDS
from gateway.store.books import Book
from gateway.store.quota import QuotaStore
from gateway.store.valkey import Valkey

_log = logging.getLogger(__name__)


class StoreNotifier:
    """Over a started quota store; no call takes much longer than `timeout_s`."""

    def __init__(self, quota: QuotaStore, valkey: Valkey, *, timeout_s: float) -> None:
        self._quota = quota
        self._valkey = valkey
        self._timeout_s = timeout_s

    async def books_changed(self, account_id: int, books: Sequence[Book]) -> bool:
        """Whether the next request on any worker obeys: their versions are what it is compared with.

        With a notice that makes caches drop the account's tokens sooner: what an old row refuses is not compared.
        """
        told = await self._told(account_id, books)
        await self._notice(self._valkey.publish_account_change(account_id))
        return told

    async def token_changed(self, account_id: int, token_id: int, books: Sequence[Book]) -> bool:
        """Likewise, with a notice that makes caches drop the token sooner."""
        told = await self._told(account_id, books)
        await self._notice(self._valkey.publish_token_change(token_id))
        return told

    async def _told(self, account_id: int, books: Sequence[Book]) -> bool:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._load(account_id, books)
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("account %d: the quota store was not told: %r", account_id, error)
            return False

    async def _notice(self, publish: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await publish
        except (StoreUnavailable, TimeoutError) as error:
            # Harmless where the version was told: the reserve script compares it.
            _log.warning("a notice was not sent: %r", error)

    async def catalog_changed(self, generation: int) -> bool:
        """Whether the next request on any worker obeys; a notice makes them read the catalog before it comes."""
        told = True
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._quota.start(generation=generation)
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("catalog %d: the quota store was not told: %r", generation, error)
            told = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._valkey.publish_catalog_change(generation)
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("the notice of catalog %d was not sent: %r", generation, error)
        return told

    async def user_changed(self, user_id: int) -> None:
        """A notice that makes caches drop the user's tokens sooner; their books were told before."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._valkey.publish_user_change(user_id)
        except (StoreUnavailable, TimeoutError) as error:
            _log.warning("the notice of user %d was not sent: %r", user_id, error)

    async def _load(self, account_id: int, books: Sequence[Book]) -> bool:
        if await self._quota.load(account_id, books):
            return True
        # The store was started anew and no worker has noticed yet.
        await self._quota.reopen(account_id % SHARDS)
        return await self._quota.load(account_id, books)
