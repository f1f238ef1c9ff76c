"""Which calls can be translated for which upstreams, and how one is. Pure."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from gateway.domain.ask import Invalid, decode_members
from gateway.domain.cases import Case, refusal
from gateway.domain.catalog import Dialect
from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.errors import Refusal
from gateway.domain.translation import chat, contents, messages, responses
from gateway.domain.translation.answers import Counted, Delta, Fault
from gateway.domain.translation.codec import Codec, Losses, Uncarried
from gateway.domain.translation.conversation import Conversation
from gateway.domain.translation.wire import EventCutter

_CALLERS: Final[dict[str, Codec]] = {
    "chat_completions": chat.codec,
    "responses": responses.codec,
    "messages": messages.codec,
    "generate_content": contents.codec,
    "stream_generate_content": contents.codec,
}
_UPSTREAMS: Final[dict[Dialect, Codec]] = {
    "openai": chat.codec,
    "anthropic": messages.codec,
    "gemini": contents.codec,
}
_MAX_FIELD: Final = "max_tokens"


class Untranslatable(Exception):
    """A call that its upstream's dialect has no way to say; `refusal` names the member."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Translation:
    """One call on its way to one upstream of another dialect, and the answer on its way back.

    `model` is what the caller calls the model, `model_name` what the upstream does; `max_output_tokens` is what the
    answer may have where the caller does not say, `max_field` where that stands in OpenAI's dialect, `leave_out` what
    the upstream need not be told. `now` is in Unix seconds. `path` is below the upstream's base URL, `dropped` what was
    left out. `is_counted`: the whole answer told what was used. Raises `Untranslatable`.
    """

    def __init__(
        self,
        route: str,
        dialect: Dialect,
        body: bytes,
        *,
        model: str,
        model_name: str,
        stream: bool,
        max_output_tokens: int,
        max_field: str,
        leave_out: frozenset[str],
        now: int,
    ) -> None:
        self._caller, self._upstream = _CALLERS[route], _UPSTREAMS[dialect]
        self._model, self._now, self._stream = model, now, stream
        # A stream of Gemini's that is no stream of events is a list of answers.
        self._is_list = route == "stream_generate_content" and not stream
        losses = Losses(leave_out)
        try:
            asked = self._caller.read_request(body, losses, model=model, stream=stream)
            self._asked = msgspec.structs.replace(
                asked,
                model=model_name,
                wants_usage=True,  # what the caller is not to see is hidden behind the meter
                max_output_tokens=asked.max_output_tokens or max_output_tokens,
            )
            self.body = self._upstream.write_request(self._asked, losses)
            if dialect == "openai":
                self.body = _renamed(self.body, max_field)
        except Invalid as error:
            raise Untranslatable(error.refusal) from None
        except Uncarried as error:
            raise Untranslatable(self._refusal_of(error, dialect)) from None
        self.dropped = tuple(losses.dropped)
        self.is_counted = False
        self.path = _path(dialect, model_name, stream=stream)

    def whole(self, body: bytes) -> bytes:
        """A whole answer in the caller's dialect. Raises `BadAnswer`."""
        answer = self._upstream.read_answer(body)
        self.is_counted = answer.usage is not None
        written = self._caller.write_answer(answer, model=self._model, now=self._now)
        return b"[%b]" % written if self._is_list else written

    def fault(self, status: int, body: bytes) -> Fault:
        """An error of the upstream's."""
        return self._upstream.read_fault(status, body)

    def events(self, most_bytes: int) -> "Events":
        """What becomes of a stream of events, of which none may have more bytes."""
        return Events(self._upstream, self._caller, self._asked, self._model, self._now, most_bytes)

    def _refusal_of(self, error: Uncarried, dialect: Dialect) -> Refusal:
        param = error.param or self._caller.PARAMS.get(error.member, error.member)
        told = {"member": param, "model": self._model, "dialect": dialect, "why": error.why}
        return refusal(Case.UNCARRIED, told, param=param)


class Events:
    """A stream of an upstream, translated as it comes. `is_counted`: it has told what was used."""

    def __init__(
        self,
        upstream: Codec,
        caller: Codec,
        asked: Conversation,
        model: str,
        now: int,
        most_bytes: int,
    ) -> None:
        self._cutter = EventCutter(most_bytes)
        self._reader = upstream.reader()
        self._writer = caller.writer(asked, model=model, now=now)
        self.is_counted = False

    def feed(self, data: bytes) -> bytes:
        """The caller's events of what came. Raises `BadAnswer`, which has those before what is bad."""
        return self._translated(self._cutter.feed(data))

    def end(self) -> bytes:
        """The same, of an upstream that has sent all."""
        written = self._translated(self._cutter.rest())
        try:
            return written + self._written(self._reader.end())
        except BadAnswer as bad:
            raise BadAnswer(bad.problem, written) from None

    def _translated(self, events: list[tuple[bytes, bytes]]) -> bytes:
        written: list[bytes] = []
        for name, data in events:
            try:
                written.append(self._written(self._reader.event(name, data)))
            except BadAnswer as bad:
                raise BadAnswer(bad.problem, b"".join(written)) from None
        return b"".join(written)

    def _written(self, deltas: Sequence[Delta]) -> bytes:
        for delta in deltas:
            if isinstance(delta, Counted):
                self.is_counted = True
        return self._writer.write(deltas)


def _renamed(body: bytes, max_field: str) -> bytes:
    """A chat whose maximum stands in this member."""
    if max_field == _MAX_FIELD:
        return body
    members = decode_members(body)
    members[max_field] = members.pop(_MAX_FIELD)
    return msgspec.json.encode(members)


def _path(dialect: Dialect, model_name: str, *, stream: bool) -> str:
    if dialect == "openai":
        return "/chat/completions"
    if dialect == "anthropic":
        return "/messages"
    # https://ai.google.dev/api/generate-content
    action = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/models/{quote(model_name, safe='')}:{action}"
