"""Turns → the messages of Anthropic's dialect. Pure.

Turns of one side that follow each other become one. Empty texts are left out, for they are refused. Instructions in
the middle of a conversation go to its beginning, as in Anthropic's own translation of OpenAI's dialect, for only some
models at some places take them where they stand: https://docs.claude.com/en/api/openai-sdk#system--developer-message-hoisting
Thoughts that bear no signature are another provider's, which no provider needs.
"""

import hashlib
import re
from typing import Any

import msgspec

from gateway.domain.translation.caches import cache_control_of
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Audio,
    Conversation,
    Data,
    Declined,
    File,
    Image,
    Part,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from gateway.domain.translation.media import text_of_file
from gateway.domain.translation.proofs import is_sealed

_Block = dict[str, Any]
# https://docs.claude.com/en/docs/build-with-claude/vision and .../pdf-support
_PDF = "application/pdf"
_ID = re.compile(r"[a-zA-Z0-9_-]+").fullmatch
_is_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def turns_of(asked: Conversation, losses: Losses) -> tuple[list[Text], list[dict[str, Any]]]:
    """The system prompt's texts, and the messages. Raises `Uncarried`."""
    system = [text for text in asked.system if text.text]
    messages: list[dict[str, Any]] = []
    for turn in asked.turns:
        if turn.role == "system":
            system += [part for part in turn.parts if isinstance(part, Text) and part.text]
            continue
        if turn.role == "assistant":
            _require_words(turn.parts)
        blocks = _blocks(turn.parts, losses)
        if not blocks:
            continue
        if messages and messages[-1]["role"] == turn.role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": turn.role, "content": blocks})
    if not messages or messages[0]["role"] != "user":
        raise Uncarried("turns", "a conversation with Anthropic's models begins with the user")
    for message in messages:
        _put_in_order(message)
    return system, messages


def _require_words(parts: tuple[Part, ...]) -> None:
    for part in parts:
        if isinstance(part, Image | File):
            why = "Anthropic's models make none, and do not take what another has made as theirs"
            raise Uncarried(type(part).__name__.lower(), why)


def block_of_text(text: Text) -> _Block:
    """Text as a block."""
    return _cached({"type": "text", "text": text.text}, text.cache)


def _put_in_order(message: dict[str, Any]) -> None:
    """Results of tools come first; a text alone needs no block.

    https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use#handling-results-from-client-tools
    """
    blocks = message["content"]
    if message["role"] == "user" and len(blocks) > 1:
        blocks.sort(key=lambda block: block["type"] != "tool_result")
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        message["content"] = blocks[0]["text"]


def _blocks(parts: tuple[Part, ...], losses: Losses) -> list[_Block]:
    return [block for part in parts if (block := _block(part, losses)) is not None]


def _block(part: Part, losses: Losses) -> _Block | None:  # noqa: PLR0911 -- each kind is told its own way
    match part:
        case Text():
            return block_of_text(part) if part.text else None
        case Declined():
            return {"type": "text", "text": part.text} if part.text else None
        case Image():
            return _cached({"type": "image", "source": _source(part.data, "picture")}, part.cache)
        case File():
            return _document(part)
        case Thought():
            return _thought(part, losses)
        case ToolCall():
            return _call(part)
        case ToolResult():
            return _result(part, losses)
        case Audio():
            raise Uncarried("audio", "Anthropic's models hear nothing")


def _cached(block: _Block, cache: str) -> _Block:
    if cache:
        block["cache_control"] = cache_control_of(cache)
    return block


def _source(data: Data, what: str) -> _Block:
    if data.reference:
        raise Uncarried("file_reference", f"a {what} that one provider keeps is not at another")
    if data.url:
        return {"type": "url", "url": data.url}
    return {"type": "base64", "media_type": data.media_type, "data": data.base64}


def _document(part: File) -> _Block:
    text = text_of_file(part)
    if text is not None:
        source: _Block = {"type": "text", "media_type": "text/plain", "data": text}
    else:
        source = _source(part.data, "document")
        if source.get("media_type", _PDF) != _PDF:
            raise Uncarried("file", "Anthropic's models read PDF and plain text")
    block: _Block = {"type": "document", "source": source}
    if part.name:
        block["title"] = part.name
    return _cached(block, part.cache)


def _thought(part: Thought, losses: Losses) -> _Block | None:
    if part.redacted:
        return {"type": "redacted_thinking", "data": part.redacted}
    if part.signature and not is_sealed(part):
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    losses.note("thoughts")
    return None


def _call(part: ToolCall) -> _Block:
    arguments = part.arguments or "{}"
    try:
        _is_object(arguments)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Uncarried("tool_call", f"the arguments of {part.name!r} are no JSON object") from None
    block: _Block = {"type": "tool_use", "id": _id(part.id), "name": part.name}
    block["input"] = msgspec.Raw(arguments.encode())
    return _cached(block, part.cache)


def _result(part: ToolResult, losses: Losses) -> _Block:
    block: _Block = {"type": "tool_result", "tool_use_id": _id(part.id)}
    blocks = _blocks(part.parts, losses)
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        block["content"] = blocks[0]["text"]
    elif blocks:
        block["content"] = blocks
    if part.is_error:
        block["is_error"] = True
    return _cached(block, part.cache)


def _id(of_call: str) -> str:
    """The id of a call; one with other characters than Anthropic takes becomes another, always the same."""
    return of_call if _ID(of_call) else f"toolu_{hashlib.sha256(of_call.encode()).hexdigest()[:24]}"
