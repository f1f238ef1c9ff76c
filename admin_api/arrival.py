"""Bodies on their way in: whole within the time that every request has, or refused."""

import asyncio

from aiohttp import web

from admin_api.envelope import Code, Declined
from gateway.slowness import WHOLE_WITHIN_S


async def whole_body(request: web.Request) -> bytes:
    """All of it. Raises `Declined` where it does not come to its end in time."""
    try:
        async with asyncio.timeout(WHOLE_WITHIN_S):
            return await request.read()
    except TimeoutError:
        message = "The body did not come to its end in time: it has a minute."
        raise Declined(Code.REQUEST_TIMEOUT, message, {"Connection": "close"}) from None
