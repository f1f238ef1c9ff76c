"""Sends raw requests as their sender wrote them, and tells what became of them. Knows nothing of who is in between."""

import asyncio
import hashlib
from collections import Counter

import orjson

from tests.integration.rig import Rig
from tests.raw_request import Raw
from tests.upstream import Received
from tests.wire import Answer, request, wire

_LONGEST_S = 20
_HIDDEN = b'"hidden"'
CLOSED = "closed"


async def send(url: str, raw: Raw, key: str) -> list[int]:
    """The statuses that are answered to it and to what follows on the connection, until that is closed."""
    async with wire(url) as caller, asyncio.timeout(_LONGEST_S):
        caller.write(raw.by(key))
        await caller.until(lambda: any(map(_is_final, caller.answers)) or caller.closed)
        if not caller.closed:
            last = (("connection", "close"),)
            caller.write(request(key, method="GET", path="/v1/models", headers=last))
            await caller.is_closed()
        return [answer.status for answer in caller.answers if _is_final(answer)]


def _is_final(answer: Answer) -> bool:
    return answer.status >= 200


async def everybody_else_gets_their_own(rig: Rig, url: str, key: str, number: int) -> None:
    """Another caller's call by the same way is answered, with its own answer."""
    words = f"somebody else {number}"
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": words}]}
    async with wire(url) as caller, asyncio.timeout(_LONGEST_S):
        answer = await caller.ask(request(key, body))
    assert answer.status == 200, bytes(answer.body)
    (own,) = [each for each in rig.upstream.requests if words.encode() in each.body]
    # The scripted upstream answers with the digest of what it was asked.
    (choice,) = orjson.loads(answer.body)["choices"]
    assert choice["message"]["content"] == hashlib.sha256(own.body).hexdigest()


def hidden_among(requests: list[Received], stamps: Counter[str] | None = None) -> list[Received]:
    """Those that nobody has sent: with the hidden prompt, or where there are `stamps`, without one of a proxy."""
    found = []
    for each in requests:
        stamp = each.header("traceparent") or ""
        if stamps is None:
            found += [each] if _HIDDEN in each.body else []
            continue
        stamps[stamp] += 1
        # What a proxy has taken for a request of its own is one: it may have understood the first as a shorter one.
        found += [each] if stamps[stamp] > 1 or stamp in {"", "hidden"} else []
    return found
