"""OpenAI's Responses API. Pure. https://platform.openai.com/docs/api-reference/responses."""

from collections.abc import Mapping

from gateway.domain.translation.answers import Answer, Fault
from gateway.domain.translation.codec import Codec, EventReader, EventWriter, Losses
from gateway.domain.translation.conversation import Conversation
from gateway.domain.translation.responses.answers_in import read_answer
from gateway.domain.translation.responses.answers_out import write_answer
from gateway.domain.translation.responses.events_in import ResponseReader
from gateway.domain.translation.responses.events_out import ResponseWriter
from gateway.domain.translation.responses.faults import read_fault
from gateway.domain.translation.responses.requests_in import PARAMS, read_request
from gateway.domain.translation.responses.requests_out import write_request


class ResponsesCodec:
    """The wire form of responses."""

    PARAMS: Mapping[str, str] = PARAMS

    def read_request(
        self, body: bytes, losses: Losses, *, model: str, stream: bool
    ) -> Conversation:
        """What a caller asks. Raises `Invalid` and `Uncarried`."""
        return read_request(body, losses, model=model, stream=stream)

    def write_request(self, conversation: Conversation, losses: Losses) -> bytes:
        """The body for an upstream. Raises `Uncarried`."""
        return write_request(conversation, losses)

    def read_answer(self, body: bytes) -> Answer:
        """A whole answer of an upstream. Raises `BadAnswer`."""
        return read_answer(body)

    def write_answer(self, answer: Answer, *, model: str, now: int) -> bytes:
        """A whole answer for a caller, who called the model `model`."""
        return write_answer(answer, model=model, now=now)

    def read_fault(self, status: int, body: bytes) -> Fault:
        """An error of an upstream."""
        return read_fault(status, body)

    def reader(self) -> EventReader:
        """For a stream of an upstream."""
        return ResponseReader()

    def writer(
        self,
        conversation: Conversation,  # noqa: ARG002 -- all callers want it alike
        *,
        model: str,
        now: int,
    ) -> EventWriter:
        """For a stream to a caller, who called the model `model`."""
        return ResponseWriter(model=model, now=now)


codec: Codec = ResponsesCodec()
