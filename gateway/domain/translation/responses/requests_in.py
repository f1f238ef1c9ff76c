"""A request of the Responses API, as callers send it → the neutral form. Pure."""

from collections.abc import Mapping

import msgspec

from gateway.domain.ask import Invalid
from gateway.domain.cases import Case
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Conversation,
    Output,
    Text,
    Thinking,
    Tool,
    ToolChoice,
)
from gateway.domain.translation.reading import is_said, read_asked
from gateway.domain.translation.responses import wire
from gateway.domain.translation.responses.turns_in import turns_of

PARAMS: Mapping[str, str] = {
    "turns": "input",
    "system": "instructions",
    "parallel_tools": "parallel_tool_calls",
    "output": "text.format",
    "verbosity": "text.verbosity",
    "thinking": "reasoning",
    "logprobs": "top_logprobs",
    "tier": "service_tier",
    "end_user": "user",
    "image": "input_image",
    "file": "input_file",
    "audio": "input_audio",
    "tool_call": "function_call",
    "tool_result": "function_call_output",
    "file_reference": "file_id",
    "citations": "input.annotations",
    "detail": "input_image.detail",
    "file_name": "input_file.filename",
    "output_name": "text.format.name",
    "shown": "reasoning.summary",
    "thoughts": "input.reasoning",
}
_NOTHING = (b"", b"null")
_NO_OTHER = "no other dialect has it"
_KEPT = "only OpenAI keeps what was said before; send all of it as 'input'"
_ONLY_FUNCTIONS = "only functions can be carried over; other tools are run by OpenAI"
_USUAL_TIERS = frozenset({None, "auto", "default"})
# Thoughts are always proved, and no tool of OpenAI's tells anything.
_ENCRYPTED, _LOGPROBS = "reasoning.encrypted_content", "message.output_text.logprobs"


def read_request(body: bytes, losses: Losses, *, model: str, stream: bool) -> Conversation:
    """What a caller asks. Raises `Invalid` and `Uncarried`.

    `store` counts as false unless it is true, though OpenAI stores what does not say so; `max_tool_calls` and
    `stream_options` have nothing to bound or to hide here.
    """
    asked = _read(body, losses)
    _require_carried(asked)
    _leave_out(asked, losses)
    system, turns = turns_of(asked.input, losses)
    instructions = (Text(asked.instructions),) if asked.instructions else ()
    text = asked.text or wire.TextConfig()
    wants_logprobs = bool(asked.top_logprobs) or _LOGPROBS in (asked.include or ())
    return Conversation(
        model=model,
        turns=turns,
        system=(*instructions, *system),
        tools=tuple(_tool(tool, f"tools[{i}]", losses) for i, tool in enumerate(asked.tools or ())),
        tool_choice=_tool_choice(asked.tool_choice),
        parallel_tools=False if asked.parallel_tool_calls is False else None,
        output=_output(text.format),
        thinking=_thinking(asked.reasoning),
        max_output_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=None if asked.top_p == 1 else asked.top_p,
        logprobs=(asked.top_logprobs or 0) if wants_logprobs else None,
        stream=stream,
        verbosity="" if text.verbosity == "medium" else text.verbosity or "",
        tier="" if asked.service_tier in _USUAL_TIERS else asked.service_tier or "",
        metadata=asked.metadata or None,
        end_user=asked.user or asked.safety_identifier or "",
    )


def _read(body: bytes, losses: Losses) -> wire.Request:
    try:
        return read_asked(wire.decode_request, wire.KNOWN, body, losses)
    except Uncarried as error:
        if error.param.startswith("tools["):
            raise Uncarried("tool", _ONLY_FUNCTIONS, error.param) from None
        raise


def _require_carried(asked: wire.Request) -> None:
    """Refuse what is part of the conversation, and stands in no other dialect."""
    for name, is_there, why in (
        ("previous_response_id", asked.previous_response_id is not None, _KEPT),
        ("conversation", is_said(asked.conversation), _KEPT),
        ("prompt", is_said(asked.prompt), "only OpenAI keeps it; send what it says"),
        ("background", bool(asked.background), "an answer is given while its call is open"),
    ):
        if is_there:
            raise Uncarried(name, why, name)


def _leave_out(asked: wire.Request, losses: Losses) -> None:
    """What steers an answer, or what is done with it, and has no place in the neutral form."""
    reasoning = asked.reasoning or wire.Reasoning()
    for name, is_there in (
        ("store", bool(asked.store)),
        ("truncation", asked.truncation not in {None, "disabled"}),
        ("prompt_cache_key", bool(asked.prompt_cache_key)),
        ("prompt_cache_retention", bool(asked.prompt_cache_retention)),
        ("prompt_cache_options", is_said(asked.prompt_cache_options)),
        ("context_management", is_said(asked.context_management)),
        ("moderation", is_said(asked.moderation)),
        ("background_options", is_said(asked.background_options)),
        ("reasoning.context", reasoning.context not in {None, "auto"}),
        ("reasoning.mode", reasoning.mode not in {None, "standard"}),
        ("include", any(each not in {_ENCRYPTED, _LOGPROBS} for each in asked.include or ())),
    ):
        if is_there:
            losses.leave_out(name, _NO_OTHER, name)
    if asked.user and asked.safety_identifier and asked.user != asked.safety_identifier:
        losses.leave_out("end_user", "there can be one, and 'user' is another", "safety_identifier")


def _tool(tool: wire.FunctionTool | wire.CustomTool, at: str, losses: Losses) -> Tool:
    if isinstance(tool, wire.CustomTool):
        raise Uncarried("tool", "only functions can be carried over", f"{at}.type")
    for name, is_there in (
        ("defer_loading", bool(tool.defer_loading)),
        ("allowed_callers", is_said(tool.allowed_callers)),
        ("output_schema", is_said(tool.output_schema)),
    ):
        if is_there:
            losses.leave_out(name, _NO_OTHER, f"{at}.{name}")
    schema = _schema(tool.parameters, f"{at}.parameters")
    return Tool(tool.name, tool.description or "", schema, tool.strict)


def _tool_choice(choice: str | wire.ToolChoice | None) -> ToolChoice | None:
    match choice:
        case None:
            return None
        case "none":
            return ToolChoice("none")
        case "auto":
            return ToolChoice("auto")
        case "required":
            return ToolChoice("any")
        case wire.ToolChoice(type="function", name=name):
            return ToolChoice("one", name)
        case wire.ToolChoice(type="allowed_tools", mode=mode, tools=tools):
            for at, tool in enumerate(tools):
                if tool.type != "function":
                    raise Uncarried("tool", _ONLY_FUNCTIONS, f"tool_choice.tools[{at}].type")
            names = tuple(tool.name for tool in tools)
            return ToolChoice("any" if mode == "required" else "auto", names=names)
        case _:
            raise Uncarried("tool_choice", _ONLY_FUNCTIONS, "tool_choice")


def _output(form: wire.TextFormat | wire.ObjectFormat | wire.SchemaFormat | None) -> Output | None:
    match form:
        case wire.ObjectFormat():
            return Output()
        case wire.SchemaFormat():
            schema = _schema(form.schema, "text.format.schema") or "{}"
            return Output(schema, form.name, form.description or "", form.strict)
        case _:
            return None


def _schema(raw: msgspec.Raw, where: str) -> str:
    """A schema's own JSON; empty where there is none. Raises `Invalid`."""
    try:
        return "" if bytes(raw) in _NOTHING else bytes(raw).decode()
    except UnicodeDecodeError:
        raise Invalid(Case.MEMBER_UNREADABLE, where, why=f"'{where}' is not UTF-8.") from None


def _thinking(asked: wire.Reasoning | None) -> Thinking | None:
    """https://platform.openai.com/docs/guides/reasoning."""
    if asked is None:
        return None
    shown = True if asked.summary or asked.generate_summary else None
    if asked.effort == "none":
        return Thinking(is_on=False, shown=shown)
    if asked.effort or shown:
        return Thinking(effort=asked.effort or "", shown=shown)
    return None
