"""A request for Anthropic's Messages, as callers send it → the neutral form. Pure.

One for the counting of tokens has the same members, and fewer: https://docs.claude.com/en/api/messages-count-tokens.
"""

from collections.abc import Mapping

from gateway.domain.translation.caches import cache_of
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Conversation,
    Output,
    Text,
    Thinking,
    Tool,
    ToolChoice,
)
from gateway.domain.translation.messages import wire
from gateway.domain.translation.messages.turns_in import text_of, turns_of
from gateway.domain.translation.reading import is_said, json_asked, read_asked

PARAMS: Mapping[str, str] = {
    "turns": "messages",
    "max_output_tokens": "max_tokens",
    "parallel_tools": "tool_choice.disable_parallel_tool_use",
    "output": "output_config.format",
    "stop": "stop_sequences",
    "tier": "service_tier",
    "end_user": "metadata.user_id",
    "file": "document",
    "file_reference": "source.file_id",
    "tool_call": "tool_use",
    "cache": "cache_control",
    "citations": "messages.citations",
    "effort": "output_config.effort",
    "file_name": "document.title",
    "shown": "thinking.display",
    "thoughts": "messages.thinking",
}
_NO_OTHER = "no other dialect has it"
# What asks for nothing: https://docs.claude.com/en/docs/build-with-claude/fast-mode and .../about-claude/pricing
_USUAL = {"speed": ("", "standard"), "inference_geo": ("", "global")}
_TIERS = {"": "", "auto": "", "standard_only": "default"}
# It takes out thoughts, which other providers are not given: https://docs.claude.com/en/docs/build-with-claude/context-editing
_CLEARS_THOUGHTS = "clear_thinking_"
_BETWEEN_TOOLS = "between_tools"


def read_request(body: bytes, losses: Losses, *, model: str, stream: bool) -> Conversation:
    """What a caller asks. Raises `Invalid`, `Uncarried`."""
    asked = read_asked(wire.decode_request, wire.KNOWN, body, losses)
    _require_carried(asked)
    _leave_out(asked, losses)
    choice = asked.tool_choice
    parallel = None if choice is None else choice.disable_parallel_tool_use
    return Conversation(
        model=model,
        turns=turns_of(asked.messages, losses),
        system=_system(asked.system),
        tools=tuple(_tool(tool, f"tools[{i}]", losses) for i, tool in enumerate(asked.tools or ())),
        tool_choice=_tool_choice(choice),
        parallel_tools=False if parallel else None,
        output=_output(asked),
        thinking=_thinking(asked),
        max_output_tokens=asked.max_tokens,
        stop=tuple(asked.stop_sequences or ()),
        temperature=asked.temperature,
        top_p=None if asked.top_p == 1 else asked.top_p,
        top_k=asked.top_k,
        stream=stream,
        tier=_tier(asked.service_tier or "", losses),
        end_user="" if asked.metadata is None else asked.metadata.user_id or "",
    )


def _require_carried(asked: wire.Request) -> None:
    """Refuse what brings in what only Anthropic has."""
    for name, value in (("container", asked.container), ("mcp_servers", asked.mcp_servers)):
        if is_said(value):
            raise Uncarried(name, "what it names is reached by Anthropic alone", name)


def _leave_out(asked: wire.Request, losses: Losses) -> None:
    """What steers an answer and has no place in the neutral form."""
    for name, usual in _USUAL.items():
        if (getattr(asked, name) or "") not in usual:
            losses.leave_out(name, _NO_OTHER, name)
    if asked.cache_control is not None:
        losses.note("cache")
    if asked.thinking is not None and asked.thinking.type == _BETWEEN_TOOLS:
        losses.leave_out("thinking", _NO_OTHER, "thinking.type")
    if is_said(asked.diagnostics):
        losses.leave_out("diagnostics", _NO_OTHER, "diagnostics")
    if asked.output_config is not None and is_said(asked.output_config.task_budget):
        losses.leave_out("task_budget", _NO_OTHER, "output_config.task_budget")
    managed = asked.context_management
    edits = () if managed is None else managed.edits or ()
    if not all(edit.type.startswith(_CLEARS_THOUGHTS) for edit in edits):
        losses.leave_out("context_management", _NO_OTHER, "context_management")


def _system(told: str | list[wire.TextBlock] | None) -> tuple[Text, ...]:
    if isinstance(told, str):
        return (Text(told),) if told else ()
    return tuple(text_of(block) for block in told or ())


def _tool(tool: wire.DeclaredTool, at: str, losses: Losses) -> Tool:
    if tool.type not in (None, "custom"):
        raise Uncarried("tool", "only Anthropic's models know this tool", f"{at}.type")
    if tool.allowed_callers not in (None, [], ["direct"]):
        why = "only Anthropic's models call tools from code"
        raise Uncarried("tool", why, f"{at}.allowed_callers")
    if is_said(tool.input_examples):
        losses.leave_out("input_examples", _NO_OTHER, f"{at}.input_examples")
    if tool.defer_loading:
        losses.leave_out("defer_loading", _NO_OTHER, f"{at}.defer_loading")
    schema = json_asked(tool.input_schema)
    return Tool(
        tool.name, tool.description or "", schema, tool.strict, cache_of(tool.cache_control)
    )


def _tool_choice(choice: wire.ToolChoice | None) -> ToolChoice | None:
    if choice is None or (choice.type == "auto" and choice.disable_parallel_tool_use is not None):
        return None
    if choice.type == "tool":
        return ToolChoice("one", choice.name or "")
    return ToolChoice(choice.type)


def _output(asked: wire.Request) -> Output | None:
    """What the answer keeps to, always: https://docs.claude.com/en/docs/build-with-claude/structured-outputs."""
    form = asked.output_format
    if asked.output_config is not None and asked.output_config.format is not None:
        form = asked.output_config.format
    return None if form is None else Output(json_asked(form.schema), strict=True)


def _thinking(asked: wire.Request) -> Thinking | None:
    effort = "" if asked.output_config is None else asked.output_config.effort or ""
    told = asked.thinking
    if told is None or told.type == _BETWEEN_TOOLS:
        return Thinking(effort=effort) if effort else None
    is_on = told.type in {"enabled", "adaptive"}
    shown = None if told.display is None else told.display == "summarized"
    return Thinking(is_on, told.budget_tokens, effort, shown)


def _tier(told: str, losses: Losses) -> str:
    if told not in _TIERS:
        losses.leave_out("tier", _NO_OTHER, "service_tier")
    return _TIERS.get(told, "")
