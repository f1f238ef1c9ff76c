"""The input of a response, as callers send it → turns. Pure."""

from collections.abc import Iterator, Sequence

from gateway.domain.ask import Invalid
from gateway.domain.cases import Case
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.conversation import (
    Audio,
    Citation,
    Data,
    Declined,
    File,
    Image,
    Part,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from gateway.domain.translation.media import data_of_url
from gateway.domain.translation.proofs import read_thought
from gateway.domain.translation.reading import is_said
from gateway.domain.translation.responses import wire

_ROLES: dict[str | None, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}
# https://platform.openai.com/docs/guides/audio
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_ONLY_OPENAI = "only OpenAI knows what it stands for"


def turns_of(
    given: str | Sequence[wire.Item] | None, losses: Losses
) -> tuple[tuple[Text, ...], tuple[Turn, ...]]:
    """The instructions at the beginning, and the turns. Raises `Invalid` and `Uncarried`.

    Items of one side that follow each other are one turn: a thought, what is said, and calls of tools.
    """
    if isinstance(given, str):
        return (), (Turn("user", (Text(given),)),)
    reader = _Items(losses)
    system: list[Text] = []
    turns: list[tuple[Role, list[Part]]] = []
    for at, item in enumerate(given or ()):
        role, parts = reader.read(item, f"input[{at}]")
        if role == "system" and not turns:
            system += [part for part in parts if isinstance(part, Text)]
        elif turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        else:
            turns.append((role, parts))
    return tuple(system), tuple(Turn(role, tuple(parts)) for role, parts in turns)


class _Items:
    """Reads the items of one input; results of functions get the names of those that were called."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._names: dict[str, str] = {}

    def read(self, item: wire.Item, at: str) -> tuple[Role, list[Part]]:
        self._pass_over(item)
        match item.type:
            case "message":
                role = _ROLES.get(item.role)
                if role is None:
                    why = f"'{at}.role' is missing."
                    raise Invalid(Case.MEMBER_UNREADABLE, f"{at}.role", why=why)
                return role, self._content(item.content, role, f"{at}.content")
            case "reasoning":
                return "assistant", [_thought(item)]
            case "function_call":
                return "assistant", [self._call(item, at)]
            case "image_generation_call":
                return "assistant", [_picture(item, at)]
            case "function_call_output":
                return "user", [self._result(item, at)]
            case _:
                raise Uncarried("item", _ONLY_OPENAI, f"{at}.type")

    def _pass_over(self, item: wire.Item) -> None:
        """What only OpenAI's models and tools make of an item."""
        for name, is_there in (
            ("phase", item.phase is not None),
            ("namespace", item.namespace is not None),
            ("caller", is_said(item.caller)),
            ("async", bool(item.is_async)),
        ):
            if is_there:
                self._losses.note(f"input.{name}")

    def _content(
        self, content: str | Sequence[wire.Content] | None, role: Role, at: str
    ) -> list[Part]:
        if isinstance(content, str):
            return [Text(content)] if content else []
        parts = [self._part(each, f"{at}[{i}]") for i, each in enumerate(content or ())]
        if role == "system" and not all(isinstance(part, Text) for part in parts):
            raise Uncarried("system", "only text can instruct", at)
        return parts

    def _part(self, part: wire.Content, at: str) -> Part:  # noqa: PLR0911 -- each kind is read its own way
        match part:
            case wire.InputText():
                self._leave_out_breakpoint(part, at)
                return Text(part.text)
            case wire.OutputText():
                return Text(part.text, citations=tuple(_citations(part.annotations)))
            case wire.SummaryText() | wire.ReasoningText():
                return Text(part.text)
            case wire.Refusal():
                return Declined(part.refusal)
            case wire.InputImage():
                self._leave_out_breakpoint(part, at)
                detail = "" if part.detail == "auto" else part.detail or ""
                return Image(_data(part.image_url, part.file_id, at), detail)
            case wire.InputFile():
                self._leave_out_breakpoint(part, at)
                return File(_file(part, at), part.filename or "")
            case wire.InputAudio():
                kind = _AUDIO_TYPES.get(part.input_audio.format)
                if kind is None:
                    why = "only wav and mp3 can be carried over"
                    raise Uncarried("audio", why, f"{at}.input_audio.format")
                return Audio(Data(kind, part.input_audio.data))

    def _leave_out_breakpoint(
        self, part: wire.InputText | wire.InputImage | wire.InputFile, at: str
    ) -> None:
        if is_said(part.prompt_cache_breakpoint):
            where = f"{at}.prompt_cache_breakpoint"
            self._losses.leave_out("prompt_cache_breakpoint", "no other dialect has it", where)

    def _call(self, item: wire.Item, at: str) -> ToolCall:
        if item.call_id is None or item.name is None:
            name = "call_id" if item.call_id is None else "name"
            why = f"'{at}.{name}' is missing."
            raise Invalid(Case.MEMBER_UNREADABLE, f"{at}.{name}", why=why)
        self._names[item.call_id] = item.name
        return ToolCall(item.call_id, item.name, item.arguments or "{}", _signature(item))

    def _result(self, item: wire.Item, at: str) -> ToolResult:
        called = item.call_id or ""
        if not called:
            why = f"'{at}.call_id' is missing."
            raise Invalid(Case.MEMBER_UNREADABLE, f"{at}.call_id", why=why)
        parts = []
        for part in self._content(item.output, "user", f"{at}.output"):
            if not isinstance(part, Text | Image | File):
                raise Uncarried("tool_result", "no other dialect has it", f"{at}.output")
            parts.append(part)
        return ToolResult(called, self._names.get(called, item.name or ""), tuple(parts))


def _thought(item: wire.Item) -> Thought:
    """A thought; the text itself where it was told, or else its summary."""
    told = item.content if isinstance(item.content, list) else item.summary
    told = told or item.summary or []
    texts = [part.text for part in told if isinstance(part, wire.SummaryText | wire.ReasoningText)]
    return read_thought("\n\n".join(texts), item.encrypted_content or "")


def _picture(item: wire.Item, at: str) -> Image:
    """A picture that was made, and stands in the item; one that does not, OpenAI has kept."""
    if not item.result:
        raise Uncarried("item", "the picture is not in it; only OpenAI has kept it", f"{at}.result")
    data = Data(f"image/{item.output_format or 'png'}", item.result)
    return Image(data, signature=_signature(item))


def _signature(item: wire.Item) -> str:
    google = item.extra_content.google if item.extra_content is not None else None
    return (google.thought_signature or "") if google is not None else ""


def _data(url: str | None, file_id: str | None, at: str) -> Data:
    if file_id is not None:
        return Data(reference=file_id)
    return data_of_url(url or "", at)


def _file(part: wire.InputFile, at: str) -> Data:
    """The document; one in bare base64 is PDF, as OpenAI takes it."""
    packed = part.file_data
    if packed is not None and not packed.startswith("data:"):
        return Data("application/pdf", packed)
    return _data(packed or part.file_url, part.file_id, at)


def _citations(annotations: Sequence[wire.Annotation]) -> Iterator[Citation]:
    for each in annotations:
        yield Citation(each.url, each.title, "", each.start_index, each.end_index)
