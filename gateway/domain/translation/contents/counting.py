"""How many tokens a conversation has, asked and answered in Gemini's way. Pure.

https://ai.google.dev/api/tokens#method:-models.counttokens
"""

import msgspec

from gateway.domain.ask import Invalid
from gateway.domain.cases import Case
from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.codec import Losses
from gateway.domain.translation.contents.bodies import BodyReader, Content, Request
from gateway.domain.translation.contents.requests_in import conversation_of
from gateway.domain.translation.contents.requests_out import request_of
from gateway.domain.translation.conversation import Conversation


class _Question(Request):
    """Either contents, with what may stand beside them, or a whole request."""

    generate_content_request: Request | None = None


class _Count(msgspec.Struct, rename="camel"):
    total_tokens: int = 0  # proto JSON may leave out what is nothing


_reader = BodyReader(_Question)
_decode_count = msgspec.json.Decoder(_Count).decode


def read_count_request(body: bytes, losses: Losses, *, model: str) -> Conversation:
    """The conversation whose tokens a caller asks for. Raises `Invalid` and `Uncarried`."""
    question = _reader.read(body, losses)
    whole = question.generate_content_request
    if whole is None:
        return conversation_of(question, losses, model=model, stream=False)
    if isinstance(question.contents, Content) or question.contents:
        names = ("contents", "generateContentRequest")
        raise Invalid(Case.SAME_MEMBERS, names[1], member=names[0], other=names[1])
    return conversation_of(whole, losses, model=model, stream=False)


def write_count_request(conversation: Conversation, losses: Losses) -> bytes:
    """The body that asks Gemini for a conversation's tokens. Raises `Uncarried`."""
    model = conversation.model
    named = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    return msgspec.json.encode(
        {"generateContentRequest": {"model": named, **request_of(conversation, losses)}}
    )


def read_count(body: bytes) -> int:
    """The tokens that Gemini has counted. Raises `BadAnswer`."""
    try:
        total = _decode_count(body).total_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadAnswer("sent what cannot be read as Gemini's count of tokens") from None
    if total < 0:
        raise BadAnswer("counted fewer tokens than none")
    return total


def write_count(total: int) -> bytes:
    """A count for a caller."""
    return b'{"totalTokens":%d}' % total
