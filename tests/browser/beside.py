"""A provider beside the browser: Playwright's tests are no coroutines, so it runs in a thread of its own."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Sequence

from tests.upstream import Answer, ScriptedUpstream


@contextlib.contextmanager
def provider_with(models: Sequence[str]) -> Iterator[ScriptedUpstream]:
    """A running scripted upstream that lists these models."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listed = json.dumps({"object": "list", "data": [{"id": name} for name in models]})
    upstream = ScriptedUpstream()
    upstream.answer("", Answer((listed.encode(),)))
    try:
        asyncio.run_coroutine_threadsafe(upstream.__aenter__(), loop).result(10)
        yield upstream
        asyncio.run_coroutine_threadsafe(upstream.__aexit__(None, None, None), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
