"""A whole answer → a message, as callers of Anthropic's dialect get it. Pure.

https://docs.claude.com/en/api/messages. There is one choice, for nobody can ask for more in this dialect. What a model
says as it declines is text; why the message ended tells that it did. A picture that a model has made has no place in
the dialect, and whether one comes is not known before: a block of text stands for it, which says so. What a source is
named for is a block of its own; of a stream, whose sources come behind the text, it is the whole block.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import msgspec

from gateway.domain.translation.answers import Answer, Finish
from gateway.domain.translation.conversation import (
    Citation,
    Declined,
    Image,
    Part,
    Text,
    Thought,
    ToolCall,
)
from gateway.domain.translation.messages.usage import counts_of

_REASONS: Final = {
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOL_CALLS: "tool_use",
    Finish.CONTENT_FILTER: "refusal",
    Finish.DECLINED: "refusal",
    Finish.PAUSED: "pause_turn",
}
_MOST_PLACED: Final = 256  # sources of a text; others stand for all of it
_encode = msgspec.json.Encoder().encode
_is_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def write_answer(answer: Answer, *, model: str, now: int) -> bytes:  # noqa: ARG001 -- it tells no time
    """A message."""
    choice = answer.choices[0] if answer.choices else None
    parts = () if choice is None else choice.parts
    told = {
        "id": answer.id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block for part in parts for block in _blocks(part)],
        "stop_reason": "end_turn" if choice is None else reason_of(choice.finish),
        "stop_sequence": None if choice is None else choice.stop_sequence or None,
        "usage": counts_of(answer.usage),
    }
    return _encode(told)


def reason_of(finish: Finish) -> str:
    """The `stop_reason`."""
    return _REASONS.get(finish, "end_turn")


def cited(citation: Citation) -> dict[str, Any]:
    """A source. Nothing is encrypted in it, for the search was not Anthropic's."""
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.quoted,
        "encrypted_index": "",
    }


def instead_of(image: Image) -> str:
    """What is said where a picture was made."""
    kind = image.data.media_type or "image"
    return f"[The model made a picture ({kind}), which answers in Anthropic's dialect cannot hold.]"


def _blocks(part: Part) -> Sequence[dict[str, Any]]:  # noqa: PLR0911 -- each kind is told its own way
    match part:
        case Text():
            return _texts(part)
        case Declined():
            return ({"type": "text", "text": part.text},)
        case Image():
            return ({"type": "text", "text": instead_of(part)},)
        case Thought():
            if part.redacted:
                return ({"type": "redacted_thinking", "data": part.redacted},)
            return ({"type": "thinking", "thinking": part.text, "signature": part.signature},)
        case ToolCall():
            called = {"type": "tool_use", "id": part.id, "name": part.name, "input": _input(part)}
            return (called,)
        case _:
            return ()  # nothing else is answered by any of the dialects


def _texts(part: Text) -> Sequence[dict[str, Any]]:
    """A text, cut where what its sources are named for begins and ends."""
    if not part.citations:
        return ({"type": "text", "text": part.text},)
    places = [_place(each, len(part.text)) for each in part.citations[:_MOST_PLACED]]
    places += [(0, len(part.text))] * (len(part.citations) - len(places))
    cuts = sorted({0, len(part.text), *(end for place in places for end in place)})
    blocks = []
    for start, end in pairwise(cuts) if part.text else ((0, 0),):
        block: dict[str, Any] = {"type": "text", "text": part.text[start:end]}
        named = [
            cited(each)
            for each, (first, last) in zip(part.citations, places, strict=True)
            if first <= start and end <= last
        ]
        if named:
            block["citations"] = named
        blocks.append(block)
    return blocks


def _place(citation: Citation, length: int) -> tuple[int, int]:
    """Where a text has what a source is named for; all of it where that is not said, or is nowhere in it."""
    start = 0 if citation.start is None else citation.start
    end = length if citation.end is None else citation.end
    return (start, end) if 0 <= start < end <= length else (0, length)


def _input(part: ToolCall) -> object:
    """The arguments as an object, which models do not always write: what is none is told as a text in one."""
    arguments = part.arguments or "{}"
    try:
        _is_object(arguments)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {"invalid_arguments": arguments}
    return msgspec.Raw(arguments.encode())
