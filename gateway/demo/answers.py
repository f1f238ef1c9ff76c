"""What the demo upstream answers: the text, its honest count, and OpenAI's shapes around them.

Pure: no request, no socket. Shapes: https://platform.openai.com/docs/api-reference.

A *token* here is up to six characters of a word together with the white space before it; usage is
counted in these, exactly, and they are also the steps in which the demo streams.
"""

import base64
import hashlib
import math
import re
import struct
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

MODEL = "demo"
EMBEDDING_MODEL = "demo-embedding"
_EXCERPT_CHARACTERS = 60
_TOKEN = re.compile(r"\s*\S{1,6}|\s+")
Json = dict[str, Any]


def count_tokens(text: str) -> int:
    """How many tokens (see above) `text` has."""
    return len(_TOKEN.findall(text))


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered to one ask: the text in tokens, cut at the ask's maximum."""

    tokens: tuple[str, ...]
    input_tokens: int
    is_cut: bool

    @property
    def text(self) -> str:
        """The answer in one piece."""
        return "".join(self.tokens)

    @property
    def finish_reason(self) -> str:
        """Why it ends, in the words of the completion routes."""
        return "length" if self.is_cut else "stop"

    @property
    def status(self) -> str:
        """Why it ends, in the words of the responses route."""
        return "incomplete" if self.is_cut else "completed"

    def usage(self, input_name: str, output_name: str) -> Json:
        """The counts under a route's own names."""
        total = self.input_tokens + len(self.tokens)
        counts = {input_name: self.input_tokens, output_name: len(self.tokens)}
        return {**counts, "total_tokens": total}


def reply_to(prompt: str, max_tokens: int | None) -> Reply:
    """What the demo answers to `prompt`, in at most `max_tokens` tokens (None: as it likes)."""
    excerpt = " ".join(prompt.split())
    if len(excerpt) > _EXCERPT_CHARACTERS:
        excerpt = excerpt[: _EXCERPT_CHARACTERS - 1] + "…"
    text = (
        "This is Tollhouse's demo upstream: no model is behind it. To connect a real one, set "
        "OPENAI_API_KEY in the environment or add [[upstreams]] to config.toml, and start "
        f"Tollhouse again. You wrote: {excerpt}"
    )
    tokens = tuple(_TOKEN.findall(text))
    kept = tokens[:max_tokens]
    return Reply(kept, count_tokens(prompt), len(kept) < len(tokens))


def chat(reply: Reply) -> Json:
    """A whole chat completion."""
    message = {"role": "assistant", "content": reply.text, "refusal": None}
    return _whole(_identity("chatcmpl", "chat.completion"), reply, {"message": message})


def chat_events(reply: Reply, *, metered: bool) -> Iterator[Json]:
    """A chat completion's events; where `metered`, usage comes last and is null in all others."""
    identity = _identity("chatcmpl", "chat.completion.chunk")
    contents: list[Json] = [{"delta": {"role": "assistant", "content": ""}}]
    contents += [{"delta": {"content": token}} for token in reply.tokens]
    return _chunks(identity, reply, [*contents, {"delta": {}}], metered=metered)


def completion(reply: Reply) -> Json:
    """A whole completion of the older route."""
    return _whole(_identity("cmpl", "text_completion"), reply, {"text": reply.text})


def completion_events(reply: Reply, *, metered: bool) -> Iterator[Json]:
    """The older route's events; usage as with `chat_events`."""
    identity = _identity("cmpl", "text_completion")
    contents: list[Json] = [{"text": token} for token in (*reply.tokens, "")]
    return _chunks(identity, reply, contents, metered=metered)


def response(reply: Reply) -> Json:
    """A whole response of the responses route."""
    return _closed_response(reply, _open_response(), _message_id())


def response_events(reply: Reply) -> Iterator[Json]:
    """A response's typed events; the last carries the whole response, with usage."""
    events = _response_events(reply, _open_response(), _message_id())
    return ({**event, "sequence_number": number} for number, event in enumerate(events))


def embeddings(texts: list[str], dimensions: int, *, as_base64: bool) -> Json:
    """One unit vector for each text, as numbers or as base64 of little-endian 32-bit floats."""
    data: list[Json] = []
    for index, text in enumerate(texts):
        vector: list[float] | str = _vector(text, dimensions)
        if as_base64:
            vector = base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    tokens = sum(map(count_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": EMBEDDING_MODEL, "usage": usage}


def models() -> Json:
    """The list of models."""
    entry = {"object": "model", "created": 0, "owned_by": "tollhouse-demo"}
    data = [{"id": name, **entry} for name in (MODEL, EMBEDDING_MODEL)]
    return {"object": "list", "data": data}


def _identity(prefix: str, kind: str) -> Json:
    created = {"object": kind, "created": int(time.time())}
    return {"id": f"{prefix}-{uuid.uuid4().hex}", **created, "model": MODEL}


def _message_id() -> str:
    return f"msg_{uuid.uuid4().hex}"


def _choice(content: Json, finish_reason: str | None) -> Json:
    return {"index": 0, **content, "logprobs": None, "finish_reason": finish_reason}


def _whole(identity: Json, reply: Reply, content: Json) -> Json:
    choice = _choice(content, reply.finish_reason)
    usage = reply.usage("prompt_tokens", "completion_tokens")
    return {**identity, "choices": [choice], "usage": usage}


def _chunks(
    identity: Json, reply: Reply, contents: Iterable[Json], *, metered: bool
) -> Iterator[Json]:
    *deltas, last = contents
    null: Json = {"usage": None} if metered else {}
    for delta in deltas:
        yield {**identity, "choices": [_choice(delta, None)], **null}
    yield {**identity, "choices": [_choice(last, reply.finish_reason)], **null}
    if metered:
        usage = reply.usage("prompt_tokens", "completion_tokens")
        yield {**identity, "choices": [], "usage": usage}


def _open_response() -> Json:
    return {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "model": MODEL,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "usage": None,
    }


def _closed_response(reply: Reply, opened: Json, message_id: str) -> Json:
    usage = reply.usage("input_tokens", "output_tokens") | {
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    details = {"reason": "max_output_tokens"} if reply.is_cut else None
    return {
        **opened,
        "status": reply.status,
        "incomplete_details": details,
        "output": [_message(message_id, reply.status, [_part(reply.text)])],
        "usage": usage,
    }


def _message(message_id: str, status: str, content: list[Json]) -> Json:
    identity = {"type": "message", "id": message_id, "role": "assistant"}
    return {**identity, "status": status, "content": content}


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def _response_events(reply: Reply, opened: Json, message_id: str) -> Iterator[Json]:
    item = {"output_index": 0}
    part = {"item_id": message_id, "output_index": 0, "content_index": 0}
    item_opened = _message(message_id, "in_progress", [])
    item_closed = _message(message_id, reply.status, [_part(reply.text)])
    yield {"type": "response.created", "response": opened}
    yield {"type": "response.output_item.added", **item, "item": item_opened}
    yield {"type": "response.content_part.added", **part, "part": _part("")}
    for token in reply.tokens:
        yield {"type": "response.output_text.delta", **part, "delta": token}
    yield {"type": "response.output_text.done", **part, "text": reply.text}
    yield {"type": "response.content_part.done", **part, "part": _part(reply.text)}
    yield {"type": "response.output_item.done", **item, "item": item_closed}
    whole = _closed_response(reply, opened, message_id)
    yield {"type": f"response.{reply.status}", "response": whole}


def _vector(text: str, dimensions: int) -> list[float]:
    """A vector that depends on the text alone and means nothing."""
    raw = hashlib.shake_256(text.encode()).digest(dimensions)
    numbers = [byte - 127.5 for byte in raw]
    length = math.hypot(*numbers)
    return [number / length for number in numbers]
