"""Calls that wait for money which other calls hold.

A settlement of this worker wakes those of its account at once; those of other workers are found by looking again.
"""

import asyncio
import random

_MOST_PER_ACCOUNT = 64
_LOOK_AGAIN_S = 0.1


class Waiting:
    """Who waits, by account; the first to come is the first to be woken. Times are seconds of the loop's clock."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def wake(self, account_id: int) -> None:
        """Something of this account was settled."""
        if account_id in self._waiting:
            for future in self._waiting[account_id]:
                if not future.done():
                    future.set_result(None)

    async def wait(self, account_id: int, until: float) -> bool:
        """Wait for a reason to try again; False when it is `until`, or when enough wait already."""
        loop = asyncio.get_running_loop()
        left_s = until - loop.time()
        others = self._waiting.setdefault(account_id, [])
        if left_s <= 0 or len(others) >= _MOST_PER_ACCOUNT:
            self._tidy(account_id)
            return False
        future: asyncio.Future[None] = loop.create_future()
        others.append(future)
        try:
            async with asyncio.timeout(min(left_s, _LOOK_AGAIN_S * random.uniform(0.5, 1.5))):  # noqa: S311
                await future
        except TimeoutError:
            pass
        finally:
            others.remove(future)
            self._tidy(account_id)
        return True

    def _tidy(self, account_id: int) -> None:
        if not self._waiting[account_id]:
            del self._waiting[account_id]
