"""The neutral form → a request for Anthropic's Messages. Pure.

https://docs.claude.com/en/api/messages.
"""

from typing import Any

import msgspec

from gateway.domain.translation.caches import cache_control_of
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import Conversation, Output, Text, Tool, ToolChoice
from gateway.domain.translation.messages.sampling_out import sample
from gateway.domain.translation.messages.schemas import binding
from gateway.domain.translation.messages.thinking_out import thinking_of
from gateway.domain.translation.messages.turns_out import block_of_text, turns_of
from gateway.domain.translation.schemas import with_description
from gateway.domain.translation.untold import Untold

# `metadata.user_id` and `service_tier`: https://docs.claude.com/en/api/messages#body-metadata
_LONGEST_USER_ID = 256
_TIERS = {"default": "standard_only"}
_UNSAYABLE = (
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "logit_bias",
    "logprobs",
    "verbosity",
    "safety",
    "metadata",
    "drawing",
)
_ANY_OBJECT = '{"type":"object"}'
_untold = Untold("citations", "detail", "output_name", "thoughts")
_encode = msgspec.json.Encoder().encode


def write_request(asked: Conversation, losses: Losses) -> bytes:
    """The body for an upstream. Raises `Uncarried`.

    `asked.max_output_tokens` must be there, for the dialect asks for it.
    """
    if asked.max_output_tokens is None:
        raise Uncarried("max_output_tokens", "Anthropic's models must be told a maximum")
    if asked.choices > 1:
        raise Uncarried("choices", "Anthropic's models give one answer to a call")
    if asked.modalities:
        raise Uncarried("modalities", "Anthropic's models answer in words alone")
    system, messages = turns_of(asked, losses)
    body: dict[str, Any] = {"model": asked.model, "max_tokens": asked.max_output_tokens}
    if system:
        body["system"] = _system(system)
    body["messages"] = messages
    if asked.tools:
        body["tools"] = [_tool(tool, losses) for tool in _allowed(asked)]
        _choose(body, asked)
    thinks = _think(body, asked, losses)
    _format(body, asked.output, losses)
    sample(body, asked, losses, thinks=thinks)
    _tell_of_the_call(body, asked, losses)
    return _encode(body)


def _tell_of_the_call(body: dict[str, Any], asked: Conversation, losses: Losses) -> None:
    """Where the answer ends, whom it is for, and how it is sent."""
    for member in _UNSAYABLE:
        if getattr(asked, member) not in (None, "", ()):
            losses.leave_out(member, "Anthropic's models have no such setting")
    stops = [stop for stop in asked.stop if stop.strip()]
    if len(stops) < len(asked.stop):
        losses.leave_out("stop", "Anthropic's models do not stop at white space alone")
    if stops:
        body["stop_sequences"] = stops
    if len(asked.end_user) > _LONGEST_USER_ID:
        why = f"Anthropic takes one of at most {_LONGEST_USER_ID} characters"
        losses.leave_out("end_user", why)
    elif asked.end_user:
        body["metadata"] = {"user_id": asked.end_user}
    if asked.tier in _TIERS:
        body["service_tier"] = _TIERS[asked.tier]
    elif asked.tier:
        losses.leave_out("tier", "Anthropic sells no such tier")
    if asked.stream:
        body["stream"] = True
    _untold.note(asked, losses)


def _system(texts: list[Text]) -> object:
    if len(texts) == 1 and not texts[0].cache:
        return texts[0].text
    return [block_of_text(text) for text in texts]


def _allowed(asked: Conversation) -> tuple[Tool, ...]:
    """The tools that may be called; Anthropic knows no choice among those that it is told."""
    names = asked.tool_choice.names if asked.tool_choice is not None else ()
    return tuple(tool for tool in asked.tools if tool.name in names) if names else asked.tools


def _tool(tool: Tool, losses: Losses) -> dict[str, Any]:
    told: dict[str, Any] = {"name": tool.name}
    if tool.description:
        told["description"] = tool.description
    schema = tool.schema or _ANY_OBJECT
    if tool.strict:
        schema = binding(schema, losses, "tools")
    told["input_schema"] = msgspec.Raw(schema.encode())
    if tool.strict is not None:
        told["strict"] = tool.strict
    if tool.cache:
        told["cache_control"] = cache_control_of(tool.cache)
    return told


def _choose(body: dict[str, Any], asked: Conversation) -> None:
    """Which tool is called, and whether several are at once.

    https://docs.claude.com/en/docs/agents-and-tools/tool-use/implement-tool-use#controlling-claudes-output
    """
    choice = asked.tool_choice or ToolChoice("auto")
    told: dict[str, Any] = {"type": "tool" if choice.kind == "one" else choice.kind}
    if choice.kind == "one":
        told["name"] = choice.name
    if asked.parallel_tools is not None and choice.kind != "none":
        told["disable_parallel_tool_use"] = not asked.parallel_tools
    if asked.tool_choice is not None or len(told) > 1:
        body["tool_choice"] = told


def _think(body: dict[str, Any], asked: Conversation, losses: Losses) -> bool:
    """Whether thoughts are asked for."""
    wanted = asked.thinking
    if wanted is None:
        return False
    if wanted.is_on and asked.tool_choice is not None and asked.tool_choice.kind in {"any", "one"}:
        # https://docs.claude.com/en/docs/build-with-claude/extended-thinking#extended-thinking-with-tool-use
        losses.leave_out("thinking", "Anthropic's models do not think where a tool must be called")
        return False
    thinking, effort = thinking_of(wanted, asked.model, asked.max_output_tokens or 0, losses)
    if thinking:
        body["thinking"] = thinking
    if effort:
        body["output_config"] = {"effort": effort}
    return wanted.is_on and bool(thinking)


def _format(body: dict[str, Any], output: Output | None, losses: Losses) -> None:
    """What the answer keeps to: https://docs.claude.com/en/docs/build-with-claude/structured-outputs."""
    if output is None:
        return
    if not output.schema:
        raise Uncarried("output", "Anthropic's models keep to a schema; send one")
    schema = binding(with_description(output.schema, output.description), losses, "output")
    form = {"type": "json_schema", "schema": msgspec.Raw(schema.encode())}
    body.setdefault("output_config", {})["format"] = form
