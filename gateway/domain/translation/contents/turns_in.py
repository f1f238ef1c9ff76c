"""A caller's `contents` as turns. Pure. https://ai.google.dev/api/caching#Content."""

from collections import defaultdict, deque
from collections.abc import Sequence

import msgspec

from gateway.domain.ask import Invalid
from gateway.domain.cases import Case
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.contents.bodies import (
    Blob,
    Content,
    FileData,
    FunctionCall,
    FunctionResponse,
    Part,
)
from gateway.domain.translation.conversation import (
    Audio,
    Data,
    File,
    Image,
    Role,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Turn,
)
from gateway.domain.translation.conversation import Part as NeutralPart
from gateway.domain.translation.proofs import read_thought, standard_base64
from gateway.domain.translation.reading import is_said

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_NOTHING = (b"", b"null")
_ROLES: dict[str, Role] = {"": "user", "user": "user", "function": "user", "model": "assistant"}
# Files of Google's, by their ids or where they are stored: nobody else can read them.
_KEPT_BY_GOOGLE = ("https://generativelanguage.googleapis.com/", "files/", "gs://")
_VIDEO = "no other provider takes films"


class TurnsReader:
    """Reads the turns of one body, in order.

    Calls and results may have no ids, which other dialects want: a call gets one of its place, a result that of the
    first call of its function that has no result yet.
    """

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._open: dict[str, deque[str]] = defaultdict(deque)

    def read(self, contents: Sequence[Content]) -> tuple[Turn, ...]:
        """The turns. Raises `Invalid` and `Uncarried`."""
        return tuple(self._turn(content, f"contents[{at}]") for at, content in enumerate(contents))

    def _turn(self, content: Content, where: str) -> Turn:
        role = _ROLES.get(content.role)
        if role is None:
            why = f"'{where}.role' must be 'user' or 'model'."
            raise Invalid(Case.MEMBER_UNREADABLE, f"{where}.role", why=why)
        parts: list[NeutralPart] = []
        for at, given in enumerate(parts_of(content)):
            part = self._part(given, f"{where}.parts[{at}]")
            before = parts[-1] if parts else None
            if isinstance(part, Thought) and isinstance(before, Thought) and not before.signature:
                # A stream's thought comes in pieces, and its proof behind them.
                parts[-1] = Thought(before.text + part.text, part.signature, part.redacted)
            elif part is not None:
                parts.append(part)
        return Turn(role, tuple(parts))

    def _part(self, part: Part, where: str) -> NeutralPart | None:  # noqa: PLR0911 -- each kind is read its own way
        if is_said(part.media_resolution):
            self._losses.leave_out(
                "media_resolution", "no other provider knows it", f"{where}.mediaResolution"
            )
        if part.text is not None:
            if part.thought:
                return read_thought(part.text, part.thought_signature)
            if part.thought_signature:
                self._losses.note("thoughts")
            return Text(part.text) if part.text else None
        if part.function_call is not None:
            return self._call(part.function_call, part.thought_signature, where)
        if part.function_response is not None:
            return self._result(part.function_response, where)
        if part.inline_data is not None:
            found = self._inline(part.inline_data, f"{where}.inlineData")
            if isinstance(found, Image) and part.thought_signature:
                return msgspec.structs.replace(found, signature=part.thought_signature)
            return found
        if part.file_data is not None:
            return self._at_address(part.file_data, f"{where}.fileData")
        return None

    def _call(self, call: FunctionCall, signature: str, where: str) -> ToolCall:
        call_id = call.id or f"call_{where.translate(_PLACE)}"
        self._open[call.name].append(call_id)
        raw = bytes(call.args)
        arguments = "{}" if raw in _NOTHING else _object(raw, f"{where}.functionCall.args")
        return ToolCall(call_id, call.name, arguments, signature)

    def _result(self, result: FunctionResponse, where: str) -> ToolResult:
        where = f"{where}.functionResponse"
        if result.will_continue:
            raise Uncarried("tool_result", "elsewhere a function answers once", where)
        calls = self._open[result.name]
        call_id = result.id or (calls[0] if calls else "")
        if not call_id:
            why = f"'{where}' answers no call of {result.name!r} that stands before it."
            raise Invalid(Case.MEMBER_UNREADABLE, where, why=why)
        if call_id in calls:
            calls.remove(call_id)
        text, is_error = _response(bytes(result.response), f"{where}.response")
        parts: list[Text | Image | File] = [Text(text)]
        for at, part in enumerate(result.parts):
            place = f"{where}.parts[{at}]"
            found = None
            if part.inline_data is not None:
                found = self._inline(part.inline_data, place)
            elif part.file_data is not None:
                found = self._at_address(part.file_data, place)
            if isinstance(found, Audio):
                raise Uncarried("tool_result", "elsewhere no function answers with sound", place)
            if found is not None:
                parts.append(found)
        return ToolResult(call_id, result.name, tuple(parts), is_error)

    def _inline(self, blob: Blob, where: str) -> Image | File | Audio:
        data = Data(media_type=blob.mime_type, base64=standard_base64(blob.data))
        return self._named(data, blob.display_name, where)

    def _at_address(self, file: FileData, where: str) -> Image | File | Audio:
        is_kept = file.file_uri.startswith(_KEPT_BY_GOOGLE)
        data = Data(
            media_type=file.mime_type,
            url="" if is_kept else file.file_uri,
            reference=file.file_uri if is_kept else "",
        )
        return self._named(data, file.display_name, where)

    def _named(self, data: Data, name: str, where: str) -> Image | File | Audio:
        found = _of_type(data, name, where)
        if name and not isinstance(found, File):
            self._losses.note("file_name")
        return found


_PLACE = str.maketrans({"[": "_", "]": "", ".": "_"})


def parts_of(content: Content) -> Sequence[Part]:
    """The parts; one alone may stand without a list."""
    return [content.parts] if isinstance(content.parts, Part) else content.parts


def _of_type(data: Data, name: str, where: str) -> Image | File | Audio:
    kind = data.media_type.partition("/")[0].lower()
    match kind:
        case "image":
            return Image(data)
        case "audio":
            return Audio(data)
        case "video":
            raise Uncarried("video", _VIDEO, where)
        case "application" | "text":
            return File(data, name)
        case _:
            raise Invalid(Case.MEMBER_UNREADABLE, where, why=f"'{where}' lacks a 'mimeType'.")


def _object(raw: bytes, where: str) -> str:
    """The JSON of an object. Raises `Invalid`."""
    try:
        _decode_object(raw)
        return raw.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid(Case.NO_OBJECT, where, member=where) from None


def _response(raw: bytes, where: str) -> tuple[str, bool]:
    """What a function answered, as text, and whether that is an error.

    `output` or `error` alone are what it says; of any other object all of it: https://ai.google.dev/api/caching#FunctionResponse
    """
    if raw in _NOTHING:
        return "", False
    whole = _object(raw, where)
    members = _decode_object(raw)
    if len(members) == 1:
        (name, value), *_ = members.items()
        if name in {"output", "error"}:
            try:
                return _decode_text(value), name == "error"
            except msgspec.ValidationError:
                return bytes(value).decode(), name == "error"  # of `whole`, which is UTF-8
    return whole, False
