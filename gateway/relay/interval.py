"""What a worker collects and writes at intervals, off the way of calls."""

import asyncio
from collections.abc import Awaitable, Callable


async def every(interval_s: float, write: Callable[[], Awaitable[None]]) -> None:
    """Write until cancelled, and once more then."""
    try:
        while True:
            await asyncio.sleep(interval_s)
            await write()
    finally:
        await write()
