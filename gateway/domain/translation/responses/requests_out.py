"""A conversation as a request of the Responses API. Pure.

Nothing is stored, so each call sends all: of thoughts what OpenAI has encrypted of its own, which is asked for where
the model is to think. Thoughts of others are passed over.
https://platform.openai.com/docs/api-reference/responses/create
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Audio,
    Conversation,
    Data,
    Declined,
    File,
    Image,
    Output,
    Part,
    Text,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from gateway.domain.translation.efforts import effort_of, leave_out_effort
from gateway.domain.translation.media import url_of_data
from gateway.domain.translation.proofs import is_sealed, unsealed
from gateway.domain.translation.untold import Untold

Json = dict[str, Any]

_UNSAYABLE = (
    *("stop", "top_k", "presence_penalty", "frequency_penalty", "seed", "logit_bias", "safety"),
    "drawing",
)
_NO_MEMBER = "the Responses API has no member for it"
_ANY_OBJECT = '{"type":"object","properties":{}}'
_FORMATS = {"audio/wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_untold = Untold("cache", "citations", "thoughts")


def write_request(conversation: Conversation, losses: Losses) -> bytes:
    """The body for an upstream. Raises `Uncarried`."""
    _require_sayable(conversation, losses)
    body: Json = {"model": conversation.model, "store": False}
    body["input"] = list(_input(conversation, losses))
    if len(conversation.system) == 1:
        body["instructions"] = conversation.system[0].text
    if conversation.tools:
        body["tools"] = [_tool(each) for each in conversation.tools]
    if conversation.tool_choice is not None:
        body["tool_choice"] = _tool_choice(conversation.tool_choice)
    if conversation.thinking is not None:
        body["reasoning"] = _reasoning(conversation.thinking, losses)
    text = _text_config(conversation)
    if text:
        body["text"] = text
    said: Json = {
        "parallel_tool_calls": False if conversation.parallel_tools is False else None,
        "max_output_tokens": conversation.max_output_tokens,
        "temperature": conversation.temperature,
        "top_p": conversation.top_p,
        "top_logprobs": conversation.logprobs or None,
        "include": list(_include(conversation)) or None,
        "service_tier": conversation.tier or None,
        "metadata": conversation.metadata,
        "safety_identifier": conversation.end_user or None,
        "stream": conversation.stream or None,
    }
    body.update((name, value) for name, value in said.items() if value is not None)
    return msgspec.json.encode(body)


def _require_sayable(conversation: Conversation, losses: Losses) -> None:
    if conversation.choices > 1:
        raise Uncarried("choices", "the Responses API gives one answer to a call")
    if conversation.modalities:
        raise Uncarried("modalities", "the Responses API draws with a tool of its own")
    for member in _UNSAYABLE:
        if getattr(conversation, member) not in (None, ()):
            losses.leave_out(member, _NO_MEMBER)
    _untold.note(conversation, losses)


def _include(conversation: Conversation) -> Iterator[str]:
    """Models that do not think refuse to be asked for thoughts."""
    if conversation.logprobs is not None:
        yield "message.output_text.logprobs"
    if conversation.thinking is not None and conversation.thinking.is_on:
        yield "reasoning.encrypted_content"


# Input


def _input(conversation: Conversation, losses: Losses) -> Iterator[Json]:
    """The items. Several instructions are a message, for `instructions` is one text."""
    if len(conversation.system) > 1:
        yield _message("system", [_text(each) for each in conversation.system])
    for turn in conversation.turns:
        yield from _items(turn, losses)


def _items(turn: Turn, losses: Losses) -> Iterator[Json]:
    """What one side says: messages of what stands together, and calls and results each by itself."""
    content: list[Json] = []
    for part in turn.parts:
        item = _item(part)
        if item is not None:
            if content:
                yield _message(turn.role, content)
                content = []
            yield item
            continue
        written = _said(part, losses) if turn.role == "assistant" else _asked(part)
        if written is not None:
            content.append(written)
    if content:
        yield _message(turn.role, content)


def _item(part: Part) -> Json | None:
    """What is an item by itself."""
    match part:
        case ToolCall():
            return _call(part)
        case ToolResult():
            return _result(part)
        case Thought() if is_sealed(part):
            item_id, encrypted = unsealed(part)
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            return {
                "type": "reasoning",
                "id": item_id,
                "summary": summary,
                "encrypted_content": encrypted,
            }
        case _:
            return None


def _message(role: str, content: list[Json]) -> Json:
    return {"type": "message", "role": role, "content": content}


def _said(part: Part, losses: Losses) -> Json | None:
    match part:
        case Text(text):
            return {"type": "output_text", "text": text, "annotations": []} if text else None
        case Declined(text):
            return {"type": "refusal", "refusal": text}
        case Image() | File() | Audio():
            raise Uncarried("turns", "the Responses API takes no media that the model has made")
        case _:
            losses.note("thoughts")
            return None


def _asked(part: Part) -> Json | None:
    match part:
        case Text() | Declined():
            return _text(part) if part.text else None
        case Image(data):
            return {"type": "input_image", "detail": part.detail or "auto"} | _place(
                data, "image_url"
            )
        case File():
            return _file(part)
        case Audio(data):
            if data.media_type not in _FORMATS or not data.base64:
                raise Uncarried("audio", "OpenAI takes wav and mp3, in the body itself")
            heard = {"data": data.base64, "format": _FORMATS[data.media_type]}
            return {"type": "input_audio", "input_audio": heard}
        case _:
            return None


def _text(part: Text | Declined) -> Json:
    return {"type": "input_text", "text": part.text}


def _file(part: File) -> Json:
    name = "file_url" if part.data.url else "file_data"
    told = {"type": "input_file", **_place(part.data, name)}
    if part.name:
        told["filename"] = part.name
    elif not part.data.url:
        told["filename"] = "document"  # OpenAI asks for one
    return told


def _place(data: Data, name: str) -> Json:
    if data.reference:
        raise Uncarried("file_reference", "a file that one provider keeps is not at another")
    return {name: url_of_data(data)}


def _call(part: ToolCall) -> Json:
    return {
        "type": "function_call",
        "call_id": part.id,
        "name": part.name,
        "arguments": part.arguments or "{}",
    }


def _result(part: ToolResult) -> Json:
    """What a tool answered. That it failed is said in words, for there is no member that says it."""
    parts = [written for each in part.parts if (written := _asked(each)) is not None]
    if part.is_error:
        parts = _failed(parts)
    is_text = all(each["type"] == "input_text" for each in parts)
    output = "\n".join(each["text"] for each in parts) if is_text and len(parts) < 2 else parts  # noqa: PLR2004
    return {"type": "function_call_output", "call_id": part.id, "output": output}


def _failed(parts: list[Json]) -> list[Json]:
    if parts and parts[0]["type"] == "input_text":
        return [_text(Text(f"Error: {parts[0]['text']}")), *parts[1:]]
    return [_text(Text("Error")), *parts]


# What steers


def _tool(tool: Tool) -> Json:
    """A function; unsaid, OpenAI would hold its arguments to the schema, which not every schema allows."""
    told: Json = {"type": "function", "name": tool.name, "strict": bool(tool.strict)}
    if tool.description:
        told["description"] = tool.description
    told["parameters"] = msgspec.Raw((tool.schema or _ANY_OBJECT).encode())
    return told


def _tool_choice(choice: ToolChoice) -> str | Json:
    if choice.kind == "one":
        return {"type": "function", "name": choice.name}
    mode = "required" if choice.kind == "any" else choice.kind
    if not choice.names:
        return mode
    tools = [{"type": "function", "name": name} for name in choice.names]
    return {"type": "allowed_tools", "mode": mode, "tools": tools}


def _reasoning(thinking: Thinking, losses: Losses) -> Json:
    """https://platform.openai.com/docs/guides/reasoning."""
    told: Json = {}
    leave_out_effort(thinking, losses)
    if not thinking.is_on:
        told["effort"] = "none"
    elif thinking.effort:
        told["effort"] = thinking.effort
    elif thinking.budget_tokens is not None:
        told["effort"] = effort_of(thinking.budget_tokens)
    if thinking.shown:
        told["summary"] = "auto"
    return told


def _text_config(conversation: Conversation) -> Json:
    told: Json = {}
    if conversation.output is not None:
        told["format"] = _format(conversation.output)
    if conversation.verbosity:
        told["verbosity"] = conversation.verbosity
    return told


def _format(output: Output) -> Json:
    if not output.schema:
        return {"type": "json_object"}
    told: Json = {"type": "json_schema", "name": output.name or "answer"}
    told["schema"] = msgspec.Raw(output.schema.encode())
    if output.description:
        told["description"] = output.description
    if output.strict is not None:
        told["strict"] = output.strict
    return told
