"""Embeddings: those of Gemini's way asked of an upstream of OpenAI's, and the other way round. Pure.

https://ai.google.dev/api/embeddings and https://platform.openai.com/docs/api-reference/embeddings
"""

import base64
import struct
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from gateway.domain.dialects.gemini import UsageMetadata
from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.contents.bodies import BodyReader, Content
from gateway.domain.translation.contents.turns_in import parts_of
from gateway.domain.translation.contents.usage import read_usage
from gateway.domain.translation.reading import read_answered, read_asked


class _Embed(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """The body of `embedContent`, and each of a batch."""

    content: Content
    model: str = ""
    task_type: str = ""
    title: str = ""
    output_dimensionality: int | None = None


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `batchEmbedContents`."""

    requests: list[_Embed]


class _Values(msgspec.Struct):
    values: list[float]


class _Embedded(msgspec.Struct, rename="camel"):
    embedding: _Values | None = None
    embeddings: list[_Values] | None = None
    usage_metadata: UsageMetadata | None = None


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of OpenAI's `embeddings`."""

    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Counts(msgspec.Struct):
    prompt_tokens: int | None = None


class _Listed(msgspec.Struct):
    data: list[_Vector]
    usage: _Counts | None = None


_embed_reader, _batch_reader = BodyReader(_Embed), BodyReader(_Batch)
_decode_embedded = msgspec.json.Decoder(_Embedded).decode
_decode_asked = msgspec.json.Decoder(_Asked).decode
_decode_listed = msgspec.json.Decoder(_Listed).decode
_NO_OTHER = "no other provider knows it"


def asked_of_openai(body: bytes, losses: Losses, *, model: str, is_batch: bool) -> bytes:
    """What a caller of `embedContent` or `batchEmbedContents` asks, in OpenAI's way.

    Raises `Invalid` and `Uncarried`.
    """
    requests = (
        _batch_reader.read(body, losses).requests
        if is_batch
        else [_embed_reader.read(body, losses)]
    )
    texts = []
    for at, each in enumerate(requests):
        where = f"requests[{at}]." if is_batch else ""
        if each.task_type not in {"", "TASK_TYPE_UNSPECIFIED"}:
            losses.leave_out("task_type", _NO_OTHER, f"{where}taskType")
        if each.title:
            losses.leave_out("title", _NO_OTHER, f"{where}title")
        texts.append(_text(each.content, f"{where}content"))
    asked: dict[str, object] = {"model": model, "input": texts, "encoding_format": "float"}
    dimensions = {each.output_dimensionality for each in requests} or {None}
    if len(dimensions) > 1:
        why = "all of a list have as many dimensions elsewhere"
        raise Uncarried("dimensions", why, "requests.outputDimensionality")
    (each_has,) = dimensions
    if each_has is not None:
        asked["dimensions"] = each_has
    return msgspec.json.encode(asked)


def _text(content: Content, where: str) -> str:
    texts = [part.text for part in parts_of(content)]
    if len(texts) != 1 or texts[0] is None:
        raise Uncarried("content", "elsewhere one text is embedded, and nothing else", where)
    return texts[0]


def answered_by_openai(body: bytes, *, is_batch: bool) -> bytes:
    """What an upstream of OpenAI's has answered, in Gemini's way. Raises `BadAnswer`."""
    found = read_answered(_decode_listed, body)
    vectors = [{"values": each.embedding} for each in sorted(found.data, key=lambda v: v.index)]
    if not vectors:
        raise BadAnswer("answered without an embedding")
    told: dict[str, object] = {"embeddings": vectors} if is_batch else {"embedding": vectors[0]}
    count = None if found.usage is None else found.usage.prompt_tokens
    if count is not None:
        told["usageMetadata"] = {"promptTokenCount": count, "totalTokenCount": count}
    return msgspec.json.encode(told)


class ForGemini(NamedTuple):
    """The body of `batchEmbedContents`, and whether the caller wants the vectors in base64."""

    body: bytes
    in_base64: bool


def asked_of_gemini(body: bytes, losses: Losses, *, model: str) -> ForGemini:
    """What a caller of OpenAI's `embeddings` asks, in Gemini's way. Raises `Invalid` and `Uncarried`."""
    known = frozenset(_Asked.__struct_encode_fields__)
    asked = read_asked(_decode_asked, known, body, losses)
    if asked.user:
        losses.leave_out("end_user", _NO_OTHER, "user")
    given = [asked.input] if isinstance(asked.input, str) else asked.input
    texts = [each for each in given if isinstance(each, str)]
    if len(texts) < len(given):
        raise Uncarried("input", "numbers of tokens mean another text to each model", "input")
    named = model if model.startswith("models/") else f"models/{model}"
    bound = {} if asked.dimensions is None else {"outputDimensionality": asked.dimensions}
    requests = [{"model": named, "content": {"parts": [{"text": text}]}, **bound} for text in texts]
    told = msgspec.json.encode({"requests": requests})
    return ForGemini(told, asked.encoding_format == "base64")


def answered_by_gemini(body: bytes, *, model: str, in_base64: bool) -> bytes:
    """What an upstream of Gemini's has answered, in OpenAI's way. Raises `BadAnswer`.

    Without usage it tells none, rather than that nothing was used.
    """
    found = read_answered(_decode_embedded, body)
    vectors = found.embeddings or ([] if found.embedding is None else [found.embedding])
    if not vectors:
        raise BadAnswer("answered without an embedding")
    data = [
        {
            "object": "embedding",
            "index": at,
            "embedding": _packed(each.values) if in_base64 else each.values,
        }
        for at, each in enumerate(vectors)
    ]
    told: dict[str, object] = {"object": "list", "data": data, "model": model}
    usage = read_usage(found.usage_metadata)
    if usage is not None:
        count = usage.input_tokens
        told["usage"] = {"prompt_tokens": count, "total_tokens": count}
    return msgspec.json.encode(told)


def _packed(vector: Sequence[float]) -> str:
    """A vector as OpenAI packs it: 32 bits each, little-endian. Raises `BadAnswer`."""
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except OverflowError:
        raise BadAnswer("answered with an embedding that is out of range") from None
