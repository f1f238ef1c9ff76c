"""What translation adds to a call and to an event, in processor time: `python -m bench.translation`.

Translation is pure, so it is measured where it is: a body is translated, and an answer back, again and again in this
process. A relayed call does none of that, so all of it is added. The least of the repetitions counts: whatever else the
machine does makes it only more.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from bench import report
from bench.figures import Figure, show
from bench.servers import EVENTS, REQUEST_BYTES
from gateway.domain.catalog import Dialect
from gateway.domain.routes import Route, find_route
from gateway.domain.translation.one_call import Asked
from gateway.domain.translation.talks import Talk
from gateway.domain.translation.translators import translate

Json = dict[str, Any]
_ROUNDS = 2_000
_STREAM_ROUNDS = 100
_MOST_CALL_US, _MOST_EVENT_US = 40, 5
_WORDS = "Tell me about toll houses on old roads. "
_TEXT = (_WORDS * 100)[: REQUEST_BYTES - 150]
_ANSWER = (_WORDS * 100)[:400]
_PIECE = "toll "


class Pair(NamedTuple):
    """A caller's path and body, and the dialect of the upstream that it goes to."""

    path: str
    dialect: Dialect
    body: Json


def pairs() -> Iterator[Pair]:
    """All that are translated."""
    turn = {"role": "user", "content": _TEXT}
    bodies: dict[tuple[str, Dialect], Json] = {
        ("/v1/chat/completions", "openai"): {"model": "m", "max_tokens": 64, "messages": [turn]},
        ("/v1/responses", "openai"): {
            "model": "m",
            "max_output_tokens": 64,
            "input": [turn],
            "store": False,
        },
        ("/v1/messages", "anthropic"): {"model": "m", "max_tokens": 64, "messages": [turn]},
        ("/v1beta/models/m:generateContent", "gemini"): {
            "contents": [{"role": "user", "parts": [{"text": _TEXT}]}],
            "generationConfig": {"maxOutputTokens": 64},
        },
    }
    dialects: tuple[Dialect, ...] = ("openai", "anthropic", "gemini")
    for (path, own), body in bodies.items():
        for dialect in dialects:
            if dialect != own:
                yield Pair(path, dialect, body)


def answer_of(dialect: Dialect) -> bytes:
    """A whole answer."""
    if dialect == "openai":
        message = {"role": "assistant", "content": _ANSWER}
        return orjson.dumps(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1_700_000_000,
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30},
            }
        )
    if dialect == "anthropic":
        return orjson.dumps(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [{"type": "text", "text": _ANSWER}],
                "stop_reason": "end_turn",
                "stop_sequence": None,
                "usage": {"input_tokens": 20, "output_tokens": 10},
            }
        )
    content = {"role": "model", "parts": [{"text": _ANSWER}]}
    usage = {"promptTokenCount": 20, "candidatesTokenCount": 10, "totalTokenCount": 30}
    candidate = {"content": content, "index": 0, "finishReason": "STOP"}
    return orjson.dumps({"candidates": [candidate], "usageMetadata": usage, "responseId": "r"})


def events_of(dialect: Dialect) -> list[bytes]:
    """EVENTS events of text, without the stream's beginning and end: what streams consist of."""
    if dialect == "openai":
        choice = {"index": 0, "delta": {"content": _PIECE}, "finish_reason": None}
        kind = {"object": "chat.completion.chunk", "created": 1_700_000_000, "model": "m"}
        one = b"data: %b\n\n" % orjson.dumps({"id": "chatcmpl-1", **kind, "choices": [choice]})
    elif dialect == "anthropic":
        delta = {"type": "text_delta", "text": _PIECE}
        told = {"type": "content_block_delta", "index": 0, "delta": delta}
        one = b"event: content_block_delta\ndata: %b\n\n" % orjson.dumps(told)
    else:
        content = {"role": "model", "parts": [{"text": _PIECE}]}
        told = {"candidates": [{"content": content, "index": 0}], "responseId": "r"}
        one = b"data: %b\n\n" % orjson.dumps(told)
    return [one] * EVENTS


def beginning_of(dialect: Dialect) -> bytes:
    """What stands before the text's events."""
    if dialect != "anthropic":
        return b""
    usage = {"input_tokens": 20, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    block = {"type": "text", "text": ""}
    told: list[Json] = [
        {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": block},
    ]
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (each["type"].encode(), orjson.dumps(each)) for each in told
    )


def translation(pair: Pair, *, stream: bool) -> Talk:
    """A call's."""
    body = {**pair.body, "stream": True} if stream and "contents" not in pair.body else pair.body
    found = find_route("POST", pair.path, str)
    assert isinstance(found, Route)
    translated = translate(
        Asked(
            route=found,
            dialect=pair.dialect,
            form="chats",
            body=json.dumps(body, separators=(",", ":")).encode(),
            model="m",
            model_name="real",
            stream=stream,
            max_output_tokens=64,
            max_field="max_tokens",
            leave_out=frozenset(),
            thinks=False,
            now=1_700_000_000,
        )
    )
    assert isinstance(translated, Talk)
    return translated


def call_us(pair: Pair, repetitions: int) -> float:
    """Of a call with a whole answer."""
    answer = answer_of(pair.dialect)

    def once() -> None:
        for _ in range(_ROUNDS):
            translation(pair, stream=False).whole(answer)

    # What `translation` itself does to write the caller's body is not translation.
    def body_alone() -> None:
        for _ in range(_ROUNDS):
            json.dumps(pair.body, separators=(",", ":")).encode()

    return (_least_s(once, repetitions) - _least_s(body_alone, repetitions)) / _ROUNDS * 1e6


def event_us(pair: Pair, repetitions: int) -> float:
    """Of an event of a stream that is under way, each of which comes alone."""
    events, beginning = events_of(pair.dialect), beginning_of(pair.dialect)
    streams = [translation(pair, stream=True).events(1 << 20) for _ in range(_STREAM_ROUNDS)]
    for stream in streams:
        stream.feed(beginning + events[0])

    def once() -> None:
        for stream in streams:
            for event in events:
                stream.feed(event)

    return _least_s(once, repetitions) / _STREAM_ROUNDS / EVENTS * 1e6


def _least_s(run: Callable[[], None], repetitions: int) -> float:
    found = []
    for _ in range(repetitions):
        begun = time.process_time()
        run()
        found.append(time.process_time() - begun)
    return min(found)


def main() -> int:
    """Measure all pairs; the exit status is always 0, the table says what was to be reached."""
    parser = argparse.ArgumentParser(prog="python -m bench.translation", description=__doc__)
    parser.add_argument("--reps", type=int, default=7, help="repetitions of each (default 7)")
    given = parser.parse_args()
    figures = []
    for pair in pairs():
        name = f"{pair.path} to {pair.dialect}"
        figures += [
            Figure(f"{name}, a call", call_us(pair, given.reps), "µs", _MOST_CALL_US),
            Figure(f"{name}, an event", event_us(pair, given.reps), "µs", _MOST_EVENT_US),
        ]
    show(figures)
    found = {figure.name: round(figure.value, 2) for figure in figures}
    print(f"\nwritten: {report.save({'added_us': found}, 'translation-')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
