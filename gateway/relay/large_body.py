"""Large bodies, taken in and read so that no other call waits for long: a piece at a time, other calls in between."""

import asyncio
from io import BytesIO

from gateway.domain.ask import Ask, Form, Path
from gateway.domain.errors import Refusal
from gateway.domain.large_ask import read_in_steps
from gateway.relay.request import StreamedRequest


async def whole_body(request: StreamedRequest, max_bytes: int) -> bytes | None:
    """All of it; None where that is too much. Raises `RequestPayloadError`.

    aiohttp's own `read` lets megabytes come at once, and moves what it has whenever there is no room for more.
    """
    body = BytesIO()
    while data := await request.content.readany():
        if body.tell() + len(data) > max_bytes:
            return None
        body.write(data)
    return body.getvalue()


async def read_large_ask(body: bytes, form: Form, path: Path) -> Ask | Refusal:
    """What `read_ask` finds."""
    steps = read_in_steps(body, form, path)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Ask | Refusal = end.value
            return found
        await asyncio.sleep(0)
