"""What Gemini's answers consist of, and what each piece of it means in the neutral form. Pure.

Read leniently: what is not known here is passed over, and null is as good as unsaid. https://ai.google.dev/api/generate-content#response-body
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec

from gateway.domain.ask import MOST_CHOICES
from gateway.domain.dialects.gemini import UsageMetadata
from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.answers import Finish, Logprob
from gateway.domain.translation.contents.faults import Error
from gateway.domain.translation.conversation import Citation, Data, Image
from gateway.domain.translation.proofs import standard_base64

_NO_ARGUMENTS = msgspec.Raw(b"{}")
_CANNOT_BE_READ = "sent what cannot be read as an answer of Gemini's"


class Call(msgspec.Struct):
    """A call of a function; models before Gemini 3 give it no id."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    id: str | None = None
    args: msgspec.Raw = _NO_ARGUMENTS


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str | None = None
    data: str | None = None


class Part(msgspec.Struct, rename="camel"):
    """A part of an answer."""

    text: str | None = None
    thought: bool | None = None
    function_call: Call | None = None
    thought_signature: str | None = None
    inline_data: _Blob | None = None


class _Content(msgspec.Struct):
    parts: list[Part] | None = None


class _Token(msgspec.Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class _Likeliest(msgspec.Struct):
    candidates: list[_Token] = []


class _Logprobs(msgspec.Struct, rename="camel"):
    chosen_candidates: list[_Token] | None = None
    top_candidates: list[_Likeliest] | None = None


class _Source(msgspec.Struct):
    uri: str | None = None
    title: str | None = None


class _Citations(msgspec.Struct, rename="camel"):
    citation_sources: list[_Source] | None = None
    citations: list[_Source] | None = None


class _Chunk(msgspec.Struct):
    web: _Source | None = None


class _Segment(msgspec.Struct):
    text: str | None = None


class _Support(msgspec.Struct, rename="camel"):
    segment: _Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class _Grounding(msgspec.Struct, rename="camel"):
    grounding_chunks: list[_Chunk] | None = None
    grounding_supports: list[_Support] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers, or what is new of it."""

    index: Annotated[int, msgspec.Meta(ge=0, lt=MOST_CHOICES)] | None = None
    content: _Content | None = None
    finish_reason: str | None = None
    logprobs_result: _Logprobs | None = None
    citation_metadata: _Citations | None = None
    grounding_metadata: _Grounding | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class Response(msgspec.Struct, rename="camel"):
    """A whole answer, or one event of a stream."""

    candidates: list[Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Error | None = None


_decode = msgspec.json.Decoder(Response).decode
# https://ai.google.dev/api/generate-content#FinishReason
_FINISHES = {
    "STOP": Finish.STOP,
    "FINISH_REASON_UNSPECIFIED": Finish.STOP,
    "MAX_TOKENS": Finish.LENGTH,
    "MALFORMED_FUNCTION_CALL": Finish.MALFORMED,
    "UNEXPECTED_TOOL_CALL": Finish.MALFORMED,
    "TOO_MANY_TOOL_CALLS": Finish.MALFORMED,
    "MISSING_THOUGHT_SIGNATURE": Finish.MALFORMED,
    "MALFORMED_RESPONSE": Finish.MALFORMED,
    "CONTINUATION": Finish.PAUSED,
}


def decoded(body: bytes) -> Response:
    """An answer or event. Raises `BadAnswer`."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadAnswer(_CANNOT_BE_READ) from None


def is_blocked(answer: Response) -> bool:
    """Whether the question itself was held back."""
    return answer.prompt_feedback is not None and bool(answer.prompt_feedback.block_reason)


def finish_of(reason: str | None, calls: int) -> Finish:
    """Why a choice ended; what is none of the known reasons is a filter's, for it is no good end."""
    finish = _FINISHES.get(reason or "STOP", Finish.CONTENT_FILTER)
    return Finish.TOOL_CALLS if calls and finish is Finish.STOP else finish


def parts_of(candidate: Candidate) -> Sequence[Part]:
    """The candidate's parts."""
    return (candidate.content and candidate.content.parts) or ()


def picture_of(part: Part) -> Image | None:
    """The picture that a part is; None of one that the model has thought in, which no other dialect has.

    Raises `BadAnswer` of other media. https://ai.google.dev/gemini-api/docs/image-generation
    """
    found = part.inline_data or _Blob()
    media_type = found.mime_type or ""
    if not media_type.startswith("image/"):
        raise BadAnswer("answered with media that only callers of Gemini's own API can take")
    if part.thought:
        return None
    data = Data(media_type, standard_base64(found.data or ""))
    return Image(data, signature=part.thought_signature or "")


def arguments_of(call: Call) -> str:
    """The JSON of the object that the function is called with. Raises `BadAnswer`."""
    raw = bytes(call.args)
    if raw == b"null":
        return "{}"
    try:
        if raw.startswith(b"{"):
            return raw.decode()
    except UnicodeDecodeError:
        pass
    raise BadAnswer(_CANNOT_BE_READ)


def call_id_of(call: Call, response_id: str, choice: int, number: int) -> str:
    """The call's id; models before Gemini 3 give none, and other dialects cannot do without."""
    return call.id or f"call_{response_id}_{choice}_{number}"


def logprobs_of(found: _Logprobs | None) -> tuple[Logprob, ...]:
    """Probabilities of a text's tokens."""
    if found is None:
        return ()
    tops = found.top_candidates or ()
    return tuple(
        Logprob(
            each.token,
            each.log_probability,
            tuple((top.token, top.log_probability) for top in tops[i].candidates)
            if i < len(tops)
            else (),
        )
        for i, each in enumerate(found.chosen_candidates or ())
    )


def citations_of(candidate: Candidate, text: str = "") -> Iterator[Citation]:
    """The sources; one whose words are found once in `text` has its place.

    Gemini itself counts in bytes of a part, and repeats the words.
    """
    if candidate.citation_metadata is not None:
        found = candidate.citation_metadata
        for source in (*(found.citation_sources or ()), *(found.citations or ())):
            yield Citation(source.uri or "", source.title or "")
    grounding = candidate.grounding_metadata
    if grounding is None:
        return
    supported: dict[int, str] = {}
    for support in grounding.grounding_supports or ():
        words = "" if support.segment is None else support.segment.text or ""
        for at in support.grounding_chunk_indices or ():
            supported.setdefault(at, words)
    for at, chunk in enumerate(grounding.grounding_chunks or ()):
        if chunk.web is not None:
            cited = Citation(chunk.web.uri or "", chunk.web.title or "")
            yield _placed(cited, supported.get(at, ""), text)


def _placed(citation: Citation, words: str, text: str) -> Citation:
    if not words or text.count(words) != 1:
        return citation
    start = text.index(words)
    return msgspec.structs.replace(citation, start=start, end=start + len(words))
