"""Anthropic's Messages as a wire form. Pure."""

from collections.abc import Mapping

from gateway.domain.translation.answers import Answer, Fault
from gateway.domain.translation.codec import Codec, EventReader, EventWriter, Losses
from gateway.domain.translation.conversation import Conversation
from gateway.domain.translation.messages import (
    answers_in,
    answers_out,
    events_in,
    events_out,
    requests_in,
    requests_out,
)


class MessagesCodec:
    """What `Codec` says, of Messages. A request for the counting of tokens is read as any other."""

    PARAMS: Mapping[str, str] = requests_in.PARAMS

    def read_request(
        self, body: bytes, losses: Losses, *, model: str, stream: bool
    ) -> Conversation:
        """What a caller asks. Raises `Invalid`, `Uncarried`."""
        return requests_in.read_request(body, losses, model=model, stream=stream)

    def write_request(self, conversation: Conversation, losses: Losses) -> bytes:
        """The body for an upstream. Raises `Uncarried`."""
        return requests_out.write_request(conversation, losses)

    def read_answer(self, body: bytes) -> Answer:
        """A whole answer of an upstream. Raises `BadAnswer`."""
        return answers_in.read_answer(body)

    def write_answer(self, answer: Answer, *, model: str, now: int) -> bytes:  # noqa: ARG002 -- it tells no time
        """A whole answer for a caller, who called the model `model`."""
        return answers_out.write_answer(answer, model=model)

    def read_fault(self, status: int, body: bytes) -> Fault:
        """An error of an upstream."""
        return answers_in.read_fault(status, body)

    def reader(self) -> EventReader:
        """For a stream of an upstream."""
        return events_in.MessageReader()

    def writer(self, conversation: Conversation, *, model: str, now: int) -> EventWriter:  # noqa: ARG002 -- likewise
        """For a stream to a caller, who called the model `model`."""
        return events_out.MessageWriter(model=model)


codec: Codec = MessagesCodec()
