"""Calls of webhooks: a POST with a signed JSON, to public addresses only unless the operator allows others."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

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
        content = message.content
        status = await self.call(
            message.target, message.unique_id, content["event"], content["secret"]
        )
        if not is_taken(status):
            raise NotSent(f"it answered {status}", for_good=status == _GONE)

    async def call(self, url: str, unique_id: str, event: Mapping[str, Any], secret: str) -> int:
        """The status of the answer. Raises `NotSent` where there is none."""
        body = orjson.dumps(event)
        signed = signed_headers(secret, unique_id, int(self._clock()), body)
        try:
            async with self._session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json", "User-Agent": "tollhouse", **signed},
                allow_redirects=False,
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotSent(f"{type(error).__name__}: {error}") from error


def is_taken(status: int) -> bool:
    """Whether an answer says that the call was taken."""
    return 200 <= status < 300  # noqa: PLR2004
