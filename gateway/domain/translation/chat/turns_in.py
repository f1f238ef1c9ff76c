"""The messages of a chat, as callers send them → turns. Pure."""

from collections.abc import Iterator, Sequence

from gateway.domain.translation.caches import cache_of
from gateway.domain.translation.chat import wire
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Audio,
    Citation,
    Data,
    Declined,
    File,
    Image,
    Part,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from gateway.domain.translation.media import data_of_url
from gateway.domain.translation.reading import is_said

# https://platform.openai.com/docs/guides/audio
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def turns_of(messages: Sequence[wire.Message], first: int, losses: Losses) -> tuple[Turn, ...]:
    """The turns from message `first` on.

    Results of tools stand in one turn with what the user says right behind them. Raises `Invalid`, `Uncarried`.
    """
    turns: list[Turn] = []
    results: list[Part] = []
    names: dict[str, str] = {}
    for index in range(first, len(messages)):
        message, at = messages[index], f"messages[{index}]"
        if isinstance(message, wire.ToolMessage):
            results.append(_result(message, names, at, losses))
            continue
        if isinstance(message, wire.User):
            turns.append(Turn("user", (*results, *_user(message, at, losses))))
            results = []
            continue
        if results:
            turns.append(Turn("user", tuple(results)))
            results = []
        if isinstance(message, wire.Assistant):
            turns.append(Turn("assistant", tuple(_said(message, names, at, losses))))
        else:
            turns.append(Turn("system", tuple(text_of(message, at, losses))))
    if results:
        turns.append(Turn("user", tuple(results)))
    return tuple(turns)


def text_of(message: wire.System | wire.Developer, at: str, losses: Losses) -> list[Text]:
    """The texts of instructions."""
    _leave_out_name(message.name, at, losses)
    if isinstance(message.content, str):
        return [Text(message.content)]
    return [_text(part, at, losses) for part in message.content]


def _leave_out_name(name: str | None, at: str, losses: Losses) -> None:
    if name:
        losses.leave_out("name", "speakers have no names in other dialects", f"{at}.name")


def _cache(part: wire.TextPart | wire.ImagePart | wire.FilePart, at: str, losses: Losses) -> str:
    if is_said(part.prompt_cache_breakpoint):
        losses.leave_out("prompt_cache_breakpoint", "no other dialect has it", f"{at}.content")
    return cache_of(part.cache_control)


def _text(part: wire.TextPart, at: str, losses: Losses) -> Text:
    return Text(part.text, _cache(part, at, losses))


def _user(message: wire.User, at: str, losses: Losses) -> list[Part]:
    _leave_out_name(message.name, at, losses)
    if isinstance(message.content, str):
        return [Text(message.content)]
    return [
        _user_part(part, f"{at}.content[{index}]", losses)
        for index, part in enumerate(message.content)
    ]


def _user_part(part: wire.UserPart, at: str, losses: Losses) -> Text | Image | File | Audio:
    match part:
        case wire.TextPart():
            return _text(part, at, losses)
        case wire.ImagePart():
            shown = part.image_url
            data = data_of_url(shown.url, f"{at}.image_url.url")
            detail = "" if shown.detail == "auto" else shown.detail or ""
            return Image(data, detail, _cache(part, at, losses))
        case wire.FilePart():
            return _file(part, at, losses)
        case wire.AudioPart():
            heard = part.input_audio
            kind = _AUDIO_TYPES.get(heard.format)
            if kind is None:
                why = "only wav and mp3 can be carried over"
                raise Uncarried("audio", why, f"{at}.input_audio.format")
            return Audio(Data(kind, heard.data))


def _file(part: wire.FilePart, at: str, losses: Losses) -> File:
    told = part.file
    if told.file_data is None:
        data = Data(reference=told.file_id or "")
    else:
        data = data_of_url(told.file_data, f"{at}.file.file_data")
    return File(data, told.filename or "", _cache(part, at, losses))


def _result(
    message: wire.ToolMessage, names: dict[str, str], at: str, losses: Losses
) -> ToolResult:
    parts: list[Text | Image | File] = []
    if isinstance(message.content, str):
        parts.append(Text(message.content))
    else:
        for index, each in enumerate(message.content):
            part = _user_part(each, f"{at}.content[{index}]", losses)
            if not isinstance(part, Audio):
                parts.append(part)
    called = message.tool_call_id
    return ToolResult(called, names.get(called, message.name or ""), tuple(parts))


def _said(message: wire.Assistant, names: dict[str, str], at: str, losses: Losses) -> list[Part]:
    _leave_out_name(message.name, at, losses)
    for name, value in (("audio", message.audio), ("function_call", message.function_call)):
        if is_said(value):
            raise Uncarried(name, "no other dialect has it", f"{at}.{name}")
    parts: list[Part] = [*_thoughts(message)]
    if isinstance(message.content, str):
        if message.content:
            parts.append(Text(message.content, citations=_citations(message.annotations)))
    else:
        if message.annotations:
            losses.note("citations")  # of which part they speak is not said
        for each in message.content or ():
            if isinstance(each, wire.TextPart):
                parts.append(_text(each, at, losses))
            else:
                parts.append(Declined(each.refusal))
    parts += _pictures(message, at)
    if message.refusal:
        parts.append(Declined(message.refusal))
    parts += _calls(message, names, at)
    return parts


def _calls(message: wire.Assistant, names: dict[str, str], at: str) -> Iterator[ToolCall]:
    for index, call in enumerate(message.tool_calls or ()):
        if call.type != "function" or call.function is None:
            why = "only calls of functions can be carried over"
            raise Uncarried("tool", why, f"{at}.tool_calls[{index}].type")
        names[call.id] = call.function.name
        arguments = call.function.arguments or "{}"
        yield ToolCall(call.id, call.function.name, arguments, _signature(call))


def _pictures(message: wire.Assistant, at: str) -> Iterator[Image]:
    for index, each in enumerate(message.images or ()):
        data = data_of_url(each.image_url.url, f"{at}.images[{index}].image_url.url")
        yield Image(data, signature=_signature(each))


def _signature(given: wire.CallOfTool | wire.MadePicture) -> str:
    extra = given.extra_content
    return "" if extra is None or extra.google is None else extra.google.thought_signature or ""


def _thoughts(message: wire.Assistant) -> list[Thought]:
    """What was thought. The details have signatures, and the text too unless it stands beside them."""
    text = message.reasoning_content or message.reasoning or ""
    found = []
    for detail in message.reasoning_details or ():
        if detail.type == "reasoning.encrypted":
            found.append(Thought(redacted=detail.data or ""))
        else:
            told = detail.text or detail.summary or (text if detail.signature else "")
            found.append(Thought(told, detail.signature or ""))
    if not found and text:
        found.append(Thought(text))
    return found


def _citations(annotations: Sequence[wire.Annotation] | None) -> tuple[Citation, ...]:
    return tuple(
        Citation(cited.url, cited.title or "", "", cited.start_index, cited.end_index)
        for cited in (each.url_citation for each in annotations or ())
        if cited is not None
    )
