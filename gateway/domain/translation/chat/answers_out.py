"""A whole answer → a chat completion, as callers get it. Pure.

https://platform.openai.com/docs/api-reference/chat/object. Thoughts stand in `reasoning_content`
(https://api-docs.deepseek.com/guides/thinking_mode); those that their provider wants back with a proof of them also in
`reasoning_details` (https://openrouter.ai/docs/use-cases/reasoning-tokens#preserving-reasoning-blocks). Pictures stand
in `images`, as OpenRouter and LiteLLM have them (https://openrouter.ai/docs/features/multimodal/image-generation).
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from gateway.domain.translation.answers import Answer, Choice, Finish, Logprob
from gateway.domain.translation.chat.usage import counts_of
from gateway.domain.translation.conversation import (
    Citation,
    Declined,
    Image,
    Text,
    Thought,
    ToolCall,
)
from gateway.domain.translation.media import url_of_data

_FINISHES: Final = {
    Finish.LENGTH: "length",
    Finish.TOOL_CALLS: "tool_calls",
    Finish.CONTENT_FILTER: "content_filter",
}
_encode = msgspec.json.Encoder().encode


def write_answer(answer: Answer, *, model: str, now: int) -> bytes:
    """A chat completion."""
    told: dict[str, Any] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created or now,
        "model": model,
        "choices": [_choice(index, choice) for index, choice in enumerate(answer.choices)],
    }
    if answer.usage is not None:
        told["usage"] = counts_of(answer.usage)
    if answer.tier:
        told["service_tier"] = answer.tier
    return _encode(told)


def finish_of(finish: Finish, *, has_declined: bool) -> str:
    """The `finish_reason`. A model that has said why it declines has stopped; one that says nothing is as filtered."""
    if finish is Finish.DECLINED and not has_declined:
        return "content_filter"
    return _FINISHES.get(finish, "stop")


def logprobs_of(logprobs: Sequence[Logprob]) -> dict[str, Any]:
    """The member `logprobs`. The bytes of tokens are not told."""
    content = [
        {
            "token": each.token,
            "logprob": each.logprob,
            "bytes": None,
            "top_logprobs": [
                {"token": token, "logprob": logprob, "bytes": None}
                for token, logprob in each.others
            ],
        }
        for each in logprobs
    ]
    return {"content": content, "refusal": None}


def detail_of(thought: Thought, index: int) -> dict[str, Any]:
    """What proves a thought to its provider."""
    if thought.redacted:
        return {"type": "reasoning.encrypted", "data": thought.redacted, "index": index}
    told = {"type": "reasoning.text", "text": thought.text, "signature": thought.signature}
    return {**told, "index": index}


def annotation_of(citation: Citation, start: int, end: int) -> dict[str, Any]:
    """Where a statement comes from; it stands on the characters `start` to `end` unless the citation says which."""
    cited = {
        "start_index": start if citation.start is None else start + citation.start,
        "end_index": end if citation.end is None else start + citation.end,
        "title": citation.title,
        "url": citation.url,
    }
    return {"type": "url_citation", "url_citation": cited}


def call_of(part: ToolCall) -> dict[str, Any]:
    """A call of a tool. Gemini's signature stands where Google's own translation has it.

    https://ai.google.dev/gemini-api/docs/thought-signatures
    """
    told: dict[str, Any] = {
        "id": part.id,
        "type": "function",
        "function": {"name": part.name, "arguments": part.arguments},
    }
    if part.signature:
        told["extra_content"] = _signed(part.signature)
    return told


def picture_of(image: Image, index: int) -> dict[str, Any]:
    """A picture that the model has made, and Gemini's signature where it has one of calls."""
    told: dict[str, Any] = {
        "type": "image_url",
        "image_url": {"url": url_of_data(image.data)},
        "index": index,
    }
    if image.signature:
        told["extra_content"] = _signed(image.signature)
    return told


def _signed(signature: str) -> dict[str, Any]:
    return {"google": {"thought_signature": signature}}


def _choice(index: int, choice: Choice) -> dict[str, Any]:
    message = _message(choice)
    return {
        "index": index,
        "message": message,
        "logprobs": None if choice.logprobs is None else logprobs_of(choice.logprobs),
        "finish_reason": finish_of(choice.finish, has_declined=bool(message["refusal"])),
    }


def _message(choice: Choice) -> dict[str, Any]:
    texts: list[str] = []
    annotations: list[dict[str, Any]] = []
    declined: list[str] = []
    thoughts: list[Thought] = []
    calls: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    length = 0
    for part in choice.parts:
        match part:
            case Text():
                end = length + len(part.text)
                annotations += [annotation_of(each, length, end) for each in part.citations]
                texts.append(part.text)
                length = end
            case Declined():
                declined.append(part.text)
            case Thought():
                thoughts.append(part)
            case ToolCall():
                calls.append(call_of(part))
            case Image():
                images.append(picture_of(part, len(images)))
            case _:
                pass  # nothing else is answered by any of the dialects
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": "".join(declined) if declined else None,
    }
    if annotations:
        message["annotations"] = annotations
    if images:
        message["images"] = images
    if calls:
        message["tool_calls"] = calls
    _think(message, thoughts)
    return message


def _think(message: dict[str, Any], thoughts: list[Thought]) -> None:
    told = "".join(thought.text for thought in thoughts)
    if told:
        message["reasoning_content"] = told
    details = [
        detail_of(thought, index)
        for index, thought in enumerate(thoughts)
        if thought.signature or thought.redacted
    ]
    if details:
        message["reasoning_details"] = details
