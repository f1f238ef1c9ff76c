"""A chat completion's request, as callers send it → the neutral form. Pure."""

from collections.abc import Mapping
from itertools import takewhile

from gateway.domain.translation.caches import cache_of
from gateway.domain.translation.chat import wire
from gateway.domain.translation.chat.turns_in import text_of, turns_of
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Conversation,
    Drawing,
    Output,
    Text,
    Thinking,
    Tool,
    ToolChoice,
)
from gateway.domain.translation.reading import UNKNOWN, is_said, json_asked, read_asked

PARAMS: Mapping[str, str] = {
    "turns": "messages",
    "system": "messages",
    "max_output_tokens": "max_completion_tokens",
    "choices": "n",
    "parallel_tools": "parallel_tool_calls",
    "output": "response_format",
    "drawing": "image_config",
    "thinking": "reasoning_effort",
    "tier": "service_tier",
    "end_user": "user",
    "image": "image_url",
    "file_reference": "file.file_id",
    "audio": "input_audio",
    "tool_call": "tool_calls",
    "cache": "cache_control",
    "citations": "messages.annotations",
    "detail": "image_url.detail",
    "file_name": "file.filename",
    "output_name": "response_format.json_schema.name",
    "thoughts": "messages.reasoning_content",
}
_NO_OTHER = "no other dialect has it"
# Pictures are asked for so at OpenRouter and LiteLLM: https://openrouter.ai/docs/features/multimodal/image-generation
_MODALITIES = frozenset({"text", "image"})
# What asks for nothing: https://platform.openai.com/docs/api-reference/chat/create
_USUAL_TIERS = frozenset({None, "auto", "default"})


def read_request(body: bytes, losses: Losses, *, model: str, stream: bool) -> Conversation:
    """What a caller asks. Raises `Invalid`, `Uncarried`.

    `stream_options` ask for nothing: the usage is told in any case, and hidden from whom it is not for.
    """
    asked = read_asked(wire.decode_request, wire.KNOWN, body, losses)
    _require_carried(asked)
    _leave_out(asked, losses)
    count = sum(1 for _ in takewhile(_is_system, asked.messages))
    limits = [most for most in (asked.max_completion_tokens, asked.max_tokens) if most is not None]
    return Conversation(
        model=model,
        turns=turns_of(asked.messages, count, losses),
        system=_system(asked.messages[:count], losses),
        tools=tuple(_tool(tool, f"tools[{i}]") for i, tool in enumerate(asked.tools or ())),
        tool_choice=_tool_choice(asked.tool_choice),
        parallel_tools=False if asked.parallel_tool_calls is False else None,
        output=_output(asked.response_format),
        thinking=_thinking(asked.reasoning_effort),
        max_output_tokens=max(limits, default=None),
        stop=(asked.stop,) if isinstance(asked.stop, str) else tuple(asked.stop or ()),
        temperature=asked.temperature,
        top_p=None if asked.top_p == 1 else asked.top_p,
        top_k=asked.top_k,
        presence_penalty=asked.presence_penalty or None,
        frequency_penalty=asked.frequency_penalty or None,
        seed=asked.seed,
        logit_bias=asked.logit_bias or None,
        logprobs=(asked.top_logprobs or 0) if asked.logprobs else None,
        choices=asked.n or 1,
        stream=stream,
        modalities=() if asked.modalities == ["text"] else tuple(asked.modalities or ()),
        drawing=_drawing(asked.image_config),
        verbosity="" if asked.verbosity == "medium" else asked.verbosity or "",
        tier="" if asked.service_tier in _USUAL_TIERS else asked.service_tier or "",
        metadata=asked.metadata or None,
        end_user=asked.user or asked.safety_identifier or "",
    )


def _require_carried(asked: wire.Request) -> None:
    """Refuse what is part of the conversation, and stands in no other dialect or in another way."""
    if not _MODALITIES.issuperset(asked.modalities or ()) or is_said(asked.audio):
        why = "only text and pictures are answered in another dialect"
        raise Uncarried("audio", why, "modalities")
    for name, value in (("functions", asked.functions), ("function_call", asked.function_call)):
        if is_said(value):
            raise Uncarried(name, "it has been replaced by tools; send those", name)
    if is_said(asked.web_search_options):
        why = "the provider's own search is not put in another provider's words"
        raise Uncarried("web_search", why, "web_search_options")


def _leave_out(asked: wire.Request, losses: Losses) -> None:
    """What steers an answer, or what is done with it, and has no place in the neutral form."""
    for name, is_there in (
        ("store", bool(asked.store)),
        ("prompt_cache_key", bool(asked.prompt_cache_key)),
        ("prompt_cache_options", is_said(asked.prompt_cache_options)),
        ("prompt_cache_retention", bool(asked.prompt_cache_retention)),
        ("prediction", is_said(asked.prediction)),
        ("moderation", is_said(asked.moderation)),
    ):
        if is_there:
            losses.leave_out(name, _NO_OTHER, name)
    if asked.user and asked.safety_identifier and asked.user != asked.safety_identifier:
        losses.leave_out("end_user", "there can be one, and 'user' is another", "safety_identifier")


def _is_system(message: wire.Message) -> bool:
    return isinstance(message, wire.System | wire.Developer)


def _system(messages: list[wire.Message], losses: Losses) -> tuple[Text, ...]:
    texts: list[Text] = []
    for index, message in enumerate(messages):
        if isinstance(message, wire.System | wire.Developer):
            texts += text_of(message, f"messages[{index}]", losses)
    return tuple(texts)


def _tool(tool: wire.DeclaredTool, at: str) -> Tool:
    if tool.type != "function" or tool.function is None:
        raise Uncarried("tool", "only functions can be carried over", f"{at}.type")
    told = tool.function
    return Tool(
        told.name,
        told.description or "",
        json_asked(told.parameters) if is_said(told.parameters) else "",
        told.strict,
        cache_of(tool.cache_control),
    )


def _tool_choice(choice: str | wire.ToolChoiceObject | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, wire.ToolChoiceObject):
        if choice.type == "function" and choice.function is not None:
            return ToolChoice("one", choice.function.name)
        if choice.type == "allowed_tools" and choice.allowed_tools is not None:
            return _allowed(choice.allowed_tools)
        raise Uncarried("tool_choice", UNKNOWN, "tool_choice.type")
    if choice == "none":
        return ToolChoice("none")
    return ToolChoice("auto" if choice == "auto" else "any")


def _allowed(allowed: wire.AllowedTools) -> ToolChoice:
    names = []
    for tool in allowed.tools:
        if tool.function is None:
            raise Uncarried(
                "tool", "only functions can be carried over", "tool_choice.allowed_tools"
            )
        names.append(tool.function.name)
    return ToolChoice("auto" if allowed.mode == "auto" else "any", names=tuple(names))


def _output(form: wire.TextFormat | wire.ObjectFormat | wire.SchemaFormat | None) -> Output | None:
    if isinstance(form, wire.ObjectFormat):
        return Output()
    if isinstance(form, wire.SchemaFormat):
        told = form.json_schema
        schema = json_asked(told.schema) if is_said(told.schema) else "{}"
        return Output(schema, told.name, told.description or "", told.strict)
    return None


def _drawing(asked: wire.ImageConfig | None) -> Drawing | None:
    if asked is None or not (asked.aspect_ratio or asked.image_size):
        return None
    return Drawing(asked.aspect_ratio, asked.image_size)


def _thinking(effort: str | None) -> Thinking | None:
    if effort is None:
        return None
    return Thinking(is_on=False) if effort == "none" else Thinking(effort=effort)
