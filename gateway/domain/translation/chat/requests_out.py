"""The neutral form → a request for a chat completion. Pure.

https://platform.openai.com/docs/api-reference/chat/create. The maximum is written as `max_tokens`, which most that
speak the dialect know; an upstream that wants `max_completion_tokens` is served by renaming the member. Where a prompt
cache ends these upstreams find out by themselves; whether thoughts are to be told the dialect cannot ask.
"""

import hashlib
from typing import Any, Final

import msgspec

from gateway.domain.translation.chat.turns_out import messages_of
from gateway.domain.translation.codec import Losses
from gateway.domain.translation.conversation import (
    Conversation,
    Output,
    Thinking,
    Tool,
    ToolChoice,
)
from gateway.domain.translation.efforts import effort_of, leave_out_effort
from gateway.domain.translation.untold import Untold

_MOST_STOPS: Final = 4
# https://platform.openai.com/docs/guides/safety-best-practices#safety-identifiers
_LONGEST_USER: Final = 64
_NAME_OF_A_FORM: Final = "answer"
_AS_THEY_ARE: Final = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "logit_bias",
    "metadata",
)
_untold = Untold("cache", "citations", "shown", "thoughts")
_encode = msgspec.json.Encoder().encode


def write_request(asked: Conversation, losses: Losses) -> bytes:
    """The body for an upstream. Raises `Uncarried`."""
    body: dict[str, Any] = {"model": asked.model, "messages": messages_of(asked, losses)}
    if asked.max_output_tokens is not None:
        body["max_tokens"] = asked.max_output_tokens
    if asked.choices != 1:
        body["n"] = asked.choices
    _call_tools(body, asked)
    if asked.output is not None:
        body["response_format"] = _format(asked.output)
    _think(body, asked.thinking, losses)
    told = {member: getattr(asked, member) for member in _AS_THEY_ARE}
    body.update({member: value for member, value in told.items() if value is not None})
    _leave_out(asked, losses)
    _tell_of_the_call(body, asked)
    return _encode(body)


def _tell_of_the_call(body: dict[str, Any], asked: Conversation) -> None:
    """Where the answer ends, what is told of it, whom it is for, and how it is sent."""
    if asked.stop:
        body["stop"] = asked.stop[:_MOST_STOPS]
    if asked.logprobs is not None:
        body["logprobs"] = True
        if asked.logprobs:
            body["top_logprobs"] = asked.logprobs
    if asked.modalities:
        body["modalities"] = asked.modalities
    if asked.drawing is not None:
        told = {"aspect_ratio": asked.drawing.aspect_ratio, "image_size": asked.drawing.size}
        body["image_config"] = {name: value for name, value in told.items() if value}
    if asked.verbosity:
        body["verbosity"] = asked.verbosity
    if asked.tier:
        body["service_tier"] = asked.tier
    if asked.end_user:
        body["user"] = _user(asked.end_user)
    if asked.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}


def _leave_out(asked: Conversation, losses: Losses) -> None:
    if asked.top_k is not None:
        losses.leave_out("top_k", "OpenAI's dialect has no such setting")
    if asked.safety:
        losses.leave_out("safety", "OpenAI's dialect has no such setting")
    if len(asked.stop) > _MOST_STOPS:
        losses.leave_out("stop", f"OpenAI's dialect takes {_MOST_STOPS} at most")
    _untold.note(asked, losses)


def _user(end_user: str) -> str:
    """An opaque id; one that is too long as another, always the same, as the provider recommends."""
    if len(end_user) <= _LONGEST_USER:
        return end_user
    return hashlib.sha256(end_user.encode()).hexdigest()


def _call_tools(body: dict[str, Any], asked: Conversation) -> None:
    if not asked.tools:
        return
    body["tools"] = [_tool(tool) for tool in asked.tools]
    if asked.tool_choice is not None:
        body["tool_choice"] = _choice(asked.tool_choice)
    if asked.parallel_tools is not None:
        body["parallel_tool_calls"] = asked.parallel_tools


def _tool(tool: Tool) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tool.name}
    if tool.description:
        told["description"] = tool.description
    if tool.schema:
        told["parameters"] = msgspec.Raw(tool.schema.encode())
    if tool.strict is not None:
        told["strict"] = tool.strict
    return {"type": "function", "function": told}


def _choice(choice: ToolChoice) -> object:
    if choice.kind == "one":
        return {"type": "function", "function": {"name": choice.name}}
    if choice.names:
        tools = [{"type": "function", "function": {"name": name}} for name in choice.names]
        mode = "required" if choice.kind == "any" else "auto"
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    return "required" if choice.kind == "any" else choice.kind


def _format(output: Output) -> dict[str, Any]:
    if not output.schema:
        return {"type": "json_object"}
    told: dict[str, Any] = {"name": output.name or _NAME_OF_A_FORM}
    if output.description:
        told["description"] = output.description
    told["schema"] = msgspec.Raw(output.schema.encode())
    if output.strict is not None:
        told["strict"] = output.strict
    return {"type": "json_schema", "json_schema": told}


def _think(body: dict[str, Any], thinking: Thinking | None, losses: Losses) -> None:
    """An effort; of a number of tokens, the least that may think as much."""
    if thinking is None:
        return
    leave_out_effort(thinking, losses)
    if not thinking.is_on:
        body["reasoning_effort"] = "none"
    elif thinking.effort:
        body["reasoning_effort"] = thinking.effort
    elif thinking.budget_tokens is not None:
        body["reasoning_effort"] = effort_of(thinking.budget_tokens)
