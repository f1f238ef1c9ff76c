"""Gemini's `generateContent` and `streamGenerateContent`. Pure. https://ai.google.dev/api/generate-content."""

from collections.abc import Mapping

from gateway.domain.translation.answers import Answer, Fault
from gateway.domain.translation.codec import Codec, EventReader, EventWriter, Losses
from gateway.domain.translation.contents.answers_in import read_answer
from gateway.domain.translation.contents.answers_out import write_answer
from gateway.domain.translation.contents.events_in import ContentsReader
from gateway.domain.translation.contents.events_out import ContentsWriter
from gateway.domain.translation.contents.faults import read_fault
from gateway.domain.translation.contents.requests_in import read_request
from gateway.domain.translation.contents.requests_out import write_request
from gateway.domain.translation.conversation import Conversation

_CONFIG = "generationConfig"


class ContentsCodec:
    """The wire form of contents."""

    PARAMS: Mapping[str, str] = {
        "turns": "contents",
        "system": "systemInstruction",
        "tool_choice": "toolConfig.functionCallingConfig",
        "output": f"{_CONFIG}.responseMimeType",
        "thinking": f"{_CONFIG}.thinkingConfig",
        "max_output_tokens": f"{_CONFIG}.maxOutputTokens",
        "stop": f"{_CONFIG}.stopSequences",
        "temperature": f"{_CONFIG}.temperature",
        "top_p": f"{_CONFIG}.topP",
        "top_k": f"{_CONFIG}.topK",
        "presence_penalty": f"{_CONFIG}.presencePenalty",
        "frequency_penalty": f"{_CONFIG}.frequencyPenalty",
        "seed": f"{_CONFIG}.seed",
        "logprobs": f"{_CONFIG}.responseLogprobs",
        "choices": f"{_CONFIG}.candidateCount",
        "modalities": f"{_CONFIG}.responseModalities",
        "tier": "serviceTier",
        "safety": "safetySettings",
        "metadata": "labels",
        "image": "inlineData",
        "file": "inlineData",
        "audio": "inlineData",
        "file_reference": "fileData",
        "tool_call": "functionCall",
        "tool_result": "functionResponse",
    }

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
        return ContentsReader()

    def writer(
        self,
        conversation: Conversation,  # noqa: ARG002 -- all callers want it alike
        *,
        model: str,
        now: int,  # noqa: ARG002 -- Gemini tells no time
    ) -> EventWriter:
        """For a stream to a caller, who called the model `model`."""
        return ContentsWriter(model)


codec: Codec = ContentsCodec()
