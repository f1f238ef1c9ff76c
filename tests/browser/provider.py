"""A provider beside the browser: the scripted upstream of the other tests, on a loop in a thread of its own."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from tests.upstream import ScriptedUpstream


@contextlib.contextmanager
def serving() -> Iterator[ScriptedUpstream]:
    """An upstream that answers while the caller, who has no loop, does other things."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def done(coroutine: object) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()  # type: ignore[arg-type]

    upstream = ScriptedUpstream()
    try:
        done(upstream.__aenter__())
        yield upstream
        done(upstream.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
