"""Calls for the next turn of a conversation, whole or as a stream. Pure."""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.domain.ask import decode_members
from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.answers import Counted, Delta
from gateway.domain.translation.codec import Losses
from gateway.domain.translation.efforts import leave_out_effort
from gateway.domain.translation.one_call import Translation
from gateway.domain.translation.paths import path_of
from gateway.domain.translation.wire import EventCutter

_MAX_FIELD: Final = "max_tokens"
_LISTS: Final = "stream_generate_content"


class Talk(Translation):
    """A turn that is asked for, and answered."""

    def _write(self, losses: Losses) -> bytes:
        asked = self.asked
        told = self.caller.read_request(asked.body, losses, model=asked.model, stream=asked.stream)
        thinking = told.thinking
        if thinking is not None and not thinking.is_on and not asked.thinks:
            leave_out_effort(thinking, losses)
            thinking = None  # OpenAI's models that do not think refuse to be told not to
        conversation = msgspec.structs.replace(
            told,
            model=asked.model_name,
            thinking=thinking,
            max_output_tokens=told.max_output_tokens or asked.max_output_tokens,
        )
        self.path = path_of(asked.dialect, asked.form, asked.model_name, stream=asked.stream)
        body = self.upstream.write_request(conversation, losses)
        is_chat = asked.dialect == "openai" and asked.form == "chats"
        return _renamed(body, asked.max_field) if is_chat else body

    def whole(self, body: bytes) -> bytes:
        """A whole answer in the caller's dialect. Raises `BadAnswer`."""
        asked = self.asked
        answer = self.upstream.read_answer(body)
        self.is_counted = answer.usage is not None
        written = self.caller.write_answer(answer, model=asked.model, now=asked.now)
        # A stream of Gemini's that is no stream of events is a list of answers.
        is_list = asked.route.name == _LISTS and not asked.stream
        return b"[%b]" % written if is_list else written

    def events(self, most_bytes: int) -> "TalkEvents":
        """What becomes of a stream of events, of which none may have more bytes."""
        return TalkEvents(self, most_bytes)


class TalkEvents:
    """What `Events` says."""

    def __init__(self, talk: Talk, most_bytes: int) -> None:
        asked = talk.asked
        self._cutter = EventCutter(most_bytes)
        self._reader = talk.upstream.reader()
        self._writer = talk.caller.writer(model=asked.model, now=asked.now)
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
