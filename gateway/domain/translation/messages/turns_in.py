"""The messages of Anthropic's dialect, as callers send them → turns. Pure."""

from collections.abc import Sequence

from gateway.domain.translation.caches import cache_of
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Citation,
    Data,
    File,
    Image,
    Part,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from gateway.domain.translation.media import file_of_text
from gateway.domain.translation.messages import wire
from gateway.domain.translation.reading import is_said, json_asked

_Kept = Text | Image | File


def turns_of(messages: Sequence[wire.Message], losses: Losses) -> tuple[Turn, ...]:
    """The turns. Raises `Uncarried`."""
    names: dict[str, str] = {}
    turns = []
    for index, message in enumerate(messages):
        content = message.content
        if isinstance(content, str):
            parts: tuple[Part, ...] = (Text(content),)
        else:
            at = f"messages[{index}].content"
            parts = tuple(
                part
                for number, block in enumerate(content)
                for part in _parts(block, names, f"{at}[{number}]", losses)
            )
        turns.append(Turn(message.role, parts))
    return tuple(turns)


def text_of(block: wire.TextBlock) -> Text:
    """A block of text."""
    cited = tuple(
        Citation(
            each.url or each.source or "",
            each.title or each.document_title or "",
            each.cited_text or "",
        )
        for each in block.citations or ()
    )
    return Text(block.text, cache_of(block.cache_control), cited)


def _parts(block: wire.Block, names: dict[str, str], at: str, losses: Losses) -> Sequence[Part]:
    match block:
        case wire.ToolUseBlock():
            if block.caller is not None and block.caller.type != "direct":
                raise Uncarried("tool", "only Anthropic's models call tools from code", at)
            if block.toolset_name:
                raise Uncarried("tool", "only Anthropic's models know this tool", at)
            names[block.id] = block.name
            arguments, cache = json_asked(block.input), cache_of(block.cache_control)
            return (ToolCall(block.id, block.name, arguments, cache=cache),)
        case wire.ToolResultBlock():
            return (_result(block, names, at, losses),)
        case wire.ThinkingBlock():
            return (Thought(block.thinking, block.signature),)
        case wire.RedactedBlock():
            return (Thought(redacted=block.data),)
        case _:
            return _kept(block, at, losses)


def _kept(block: wire.ResultBlock, at: str, losses: Losses) -> Sequence[_Kept]:
    """What stands in messages and in results of tools alike."""
    match block:
        case wire.TextBlock():
            return (text_of(block),)
        case wire.ImageBlock():
            if is_said(block.transformations):
                losses.leave_out("transformations", "no other dialect has it", at)
            return (Image(_data(block.source), cache=cache_of(block.cache_control)),)
        case wire.DocumentBlock():
            return _document(block, at, losses)
        case wire.SearchResultBlock():
            _leave_out_citations(block.citations, at, losses)
            told = [block.title, block.source, *(each.text for each in block.content)]
            return (Text("\n".join(told), cache_of(block.cache_control)),)


def _document(block: wire.DocumentBlock, at: str, losses: Losses) -> list[_Kept]:
    """A document; what is said about it stands before it."""
    _leave_out_citations(block.citations, at, losses)
    source, title, cache = block.source, block.title or "", cache_of(block.cache_control)
    parts: list[_Kept] = [Text(block.context)] if block.context else []
    match source:
        case wire.TextSource():
            parts.append(file_of_text(source.data, title, cache))
        case wire.BlocksSource():
            if title:
                parts.append(Text(title))
            if isinstance(source.content, str):
                parts.append(Text(source.content, cache))
            else:
                for each in source.content:
                    parts += _kept(each, at, losses)
        case _:
            parts.append(File(_data(source), title, cache))
    return parts


def _leave_out_citations(told: wire.CitationsOption | None, at: str, losses: Losses) -> None:
    if told is not None and told.enabled:
        losses.leave_out("citations", "other models do not cite documents", f"{at}.citations")


def _data(source: wire.Base64Source | wire.UrlSource | wire.FileSource) -> Data:
    match source:
        case wire.Base64Source():
            return Data(source.media_type, source.data)
        case wire.UrlSource():
            return Data(url=source.url)
        case wire.FileSource():
            return Data(reference=source.file_id)


def _result(
    block: wire.ToolResultBlock, names: dict[str, str], at: str, losses: Losses
) -> ToolResult:
    content = block.content
    parts: list[_Kept] = []
    if isinstance(content, str):
        parts.append(Text(content))
    else:
        for number, each in enumerate(content or ()):
            parts += _kept(each, f"{at}.content[{number}]", losses)
    called = block.tool_use_id
    return ToolResult(
        called,
        names.get(called, ""),
        tuple(parts),
        bool(block.is_error),
        cache_of(block.cache_control),
    )
