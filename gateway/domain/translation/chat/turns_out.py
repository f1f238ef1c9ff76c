"""Turns → the messages of a chat. Pure.

Thoughts are given back where a provider may want them: what it thought since the user last spoke, while tools are
called (https://api-docs.deepseek.com/guides/thinking_mode#tool-calls). Those that bear a signature are another
provider's, and are passed over, as are earlier ones: no answer hangs on them.
"""

from typing import Any

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
    Turn,
)
from gateway.domain.translation.media import text_of_file, url_of_data

_Message = dict[str, Any]
_FORMATS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
_BEHIND = "The result stands in the user's next message."


def messages_of(asked: Conversation, losses: Losses) -> list[_Message]:
    """The messages. Raises `Uncarried`."""
    messages: list[_Message] = []
    if asked.system:
        messages.append(_system(asked.system))
    running = _first_of_running(asked.turns)
    for index, turn in enumerate(asked.turns):
        if turn.role == "user":
            messages += _user(turn.parts)
        elif turn.role == "assistant":
            messages.append(_assistant(turn.parts, losses, is_running=index >= running))
        else:
            texts = [part for part in turn.parts if isinstance(part, Text)]
            messages.append(_system(texts))
    return messages


def _first_of_running(turns: tuple[Turn, ...]) -> int:
    """The first turn since the user last said something but results of tools."""
    for index in range(len(turns) - 1, -1, -1):
        turn = turns[index]
        if turn.role == "user" and not all(isinstance(part, ToolResult) for part in turn.parts):
            return index
    return 0


def _system(texts: tuple[Text, ...] | list[Text]) -> _Message:
    return {"role": "system", "content": _content([_part(text) for text in texts])}


def _content(parts: list[_Message]) -> object:
    """A text alone needs no part."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return parts[0]["text"]
    return parts


def _user(parts: tuple[Part, ...]) -> list[_Message]:
    """Results of tools first, each a message of its own; pictures in them stand behind, for these may only be text."""
    messages: list[_Message] = []
    behind: list[_Message] = []
    said: list[_Message] = []
    for part in parts:
        if isinstance(part, ToolResult):
            messages.append(_result(part, behind))
        else:
            said.append(_part(part))
    if said or behind:
        messages.append({"role": "user", "content": _content(behind + said)})
    return messages


def _result(part: ToolResult, behind: list[_Message]) -> _Message:
    """What a tool answered. That it failed is said in words, for there is no member that says it."""
    told = [_part(each) for each in part.parts]
    texts = [each for each in told if each["type"] == "text"]
    others = [each for each in told if each["type"] != "text"]
    if others:
        behind += [{"type": "text", "text": f"The result of {part.name or part.id}:"}, *others]
        if not texts:
            texts = [{"type": "text", "text": _BEHIND}]
    if part.is_error:
        first = texts[0]["text"] if texts else ""
        texts = [{"type": "text", "text": f"Error: {first}".rstrip()}, *texts[1:]]
    content = _content(texts) if texts else ""
    return {"role": "tool", "tool_call_id": part.id, "content": content}


def _assistant(parts: tuple[Part, ...], losses: Losses, *, is_running: bool) -> _Message:
    for part in parts:
        if not isinstance(part, Text | Declined | ToolCall | Thought):
            raise Uncarried(type(part).__name__.lower(), "models say no such thing in a chat")
    said = "".join([part.text for part in parts if isinstance(part, Text)])
    declined = "".join([part.text for part in parts if isinstance(part, Declined)])
    calls = [_call(part) for part in parts if isinstance(part, ToolCall)]
    message: _Message = {"role": "assistant", "content": said or None}
    if declined:
        message["refusal"] = declined
    elif not said and not calls:
        message["content"] = ""
    if calls:
        message["tool_calls"] = calls
    thoughts = [part for part in parts if isinstance(part, Thought)]
    wanted = [thought for thought in thoughts if calls and is_running and _is_own(thought)]
    if wanted:
        message["reasoning_content"] = "".join([thought.text for thought in wanted])
    if len(wanted) < len(thoughts):
        losses.note("thoughts")
    return message


def _is_own(thought: Thought) -> bool:
    return bool(thought.text) and not (thought.signature or thought.redacted)


def _call(part: ToolCall) -> _Message:
    return {
        "id": part.id,
        "type": "function",
        "function": {"name": part.name, "arguments": part.arguments or "{}"},
    }


def _part(part: Part) -> _Message:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            return _image(part)
        case File():
            return _file(part)
        case Audio():
            return _audio(part)
        case _:
            raise Uncarried(type(part).__name__.lower(), "users say no such thing in a chat")


def _kept_nowhere_else(data: Data, what: str) -> None:
    if data.reference:
        raise Uncarried("file_reference", f"a {what} that one provider keeps is not at another")


def _image(part: Image) -> _Message:
    _kept_nowhere_else(part.data, "picture")
    shown = {"url": url_of_data(part.data)}
    if part.detail:
        shown["detail"] = part.detail
    return {"type": "image_url", "image_url": shown}


def _file(part: File) -> _Message:
    """A document. One of plain text is text with its name above it."""
    _kept_nowhere_else(part.data, "document")
    text = text_of_file(part)
    if text is not None:
        return {"type": "text", "text": f"{part.name}\n\n{text}" if part.name else text}
    if part.data.url:
        raise Uncarried("file", "OpenAI's chats take documents themselves, not where they are")
    told = {"filename": part.name or "document.pdf", "file_data": url_of_data(part.data)}
    return {"type": "file", "file": told}


def _audio(part: Audio) -> _Message:
    form = _FORMATS.get(part.data.media_type)
    if form is None or not part.data.base64:
        raise Uncarried("audio", "OpenAI's chats take wav and mp3, in the body")
    return {"type": "input_audio", "input_audio": {"data": part.data.base64, "format": form}}
