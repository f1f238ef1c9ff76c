"""To which of its upstreams a call would have to be translated, and what they could not be told of it.

It is the translation that the call itself would go through, of which nothing is sent.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from gateway.domain.ask import Ask
from gateway.domain.errors import Refusal
from gateway.domain.pricing import Candidate
from gateway.domain.routes import Route
from gateway.domain.translation.one_call import Asked, Untranslatable, asked_of


class Way(NamedTuple):
    """An upstream that could serve the call: what of it would be left out there, or why it cannot be told it."""

    candidate: Candidate
    is_translated: bool
    left_out: tuple[str, ...] = ()
    refusal: Refusal | None = None


async def ways_of(
    route: Route,
    ask: Ask,
    candidates: Sequence[Candidate],
    body: bytes | None,
    *,
    max_output: int | None,
    now: float,
) -> tuple[Way, ...]:
    """The ways in the order in which they are tried. Without a body nothing of what it says is known."""
    ways = []
    for each in sorted(candidates, key=lambda each: (each.place, each.upstream.priority)):
        upstream = each.upstream
        if upstream.dialect == route.dialect or route.kind != "forward":
            ways.append(Way(each, is_translated=False))
        elif body is None:
            ways.append(Way(each, is_translated=True))
        else:
            asked = asked_of(
                route,
                upstream,
                each.model,
                each.model_name,
                ask,
                body,
                max_output=max_output,
                now=int(now),
            )
            left_out, refusal = await asyncio.to_thread(_tried, asked)
            ways.append(Way(each, is_translated=True, left_out=left_out, refusal=refusal))
    return tuple(ways)


def _tried(asked: Asked) -> tuple[tuple[str, ...], Refusal | None]:
    """What would be left out, or why it cannot be said."""
    from gateway.domain.translation.translators import translate  # noqa: PLC0415 -- two megabytes, seldom needed

    try:
        return translate(asked).dropped, None
    except Untranslatable as unsaid:
        return (), unsaid.refusal
