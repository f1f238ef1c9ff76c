"""Calls of webhooks: a POST with a signed JSON, to public addresses only unless the operator allows others."""

import time
from collections.abc import Callable
from typing import Final

import aiohttp
import orjson

from admin_api.delivery.courier import NotSent
from gateway.domain.webhook import signed_headers
from gateway.store.outbox_queue import Message

_GONE: Final = 410  # the receiver's way to say: never again (Standard Webhooks)


class Webhooks:
    """Calls over `session`, which follows the rules of `gateway/outbound.py`."""

    def __init__(
        self, session: aiohttp.ClientSession, clock: Callable[[], float] = time.time
    ) -> None:
        self._session = session
        self._clock = clock

    async def send(self, message: Message) -> None:
        """Call once. Raises `NotSent` unless the answer is 2xx; its body is not read."""
        body = orjson.dumps(message.content["event"])
        signed = signed_headers(
            message.content["secret"], message.unique_id, int(self._clock()), body
        )
        try:
            async with self._session.post(
                message.target,
                data=body,
                headers={"Content-Type": "application/json", "User-Agent": "tollhouse", **signed},
                allow_redirects=False,
            ) as response:
                status = response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error
        if not 200 <= status < 300:  # noqa: PLR2004
            raise NotSent(f"it answered {status}", for_good=status == _GONE)
