"""The provider that tells the truth: `python -m tests.chaos.upstream PORT DIRECTORY`.

It does what a call's marker says, and writes to `truth-<token>.log` what it is about to report, or how far it came,
before the bytes are sent.
"""

import asyncio
import os
import re
import sys
from pathlib import Path

import uvloop

from tests.chaos.plan import UNBELIEVABLE, input_tokens
from tests.chaos.records import Arrival, arrival_line, now_us

_MARKER = re.compile(rb'"user":\s*"(\d+)/(\d+)/(\w+)/(\d+)/(\d+)"')
_MODEL = re.compile(rb'"model":\s*"(\w+)"')
_MAXIMUM = re.compile(rb'"max_(?:completion_)?tokens":\s*(\d+)')
_STREAM = re.compile(rb'"stream":\s*true')
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_STALL_S = 8.0
_DECLINES = {"declined_429": 429, "declined_500": 500, "declined_503": 503, "always_503": 503}
_BEYOND = 1100  # tokens: more than any maximum
_PIECES = 5
_USAGE = ',"usage":{"prompt_tokens":%(into)d,"completion_tokens":%(out)d}'
_USAGES = {
    "no_usage": "",
    "negative": ',"usage":{"prompt_tokens":-5,"completion_tokens":%(out)d}',
    "huge": ',"usage":{"prompt_tokens":%(into)d,"completion_tokens":2000000000000}',
    "float": ',"usage":{"prompt_tokens":%(into)d.5,"completion_tokens":1.25}',
    "string": ',"usage":{"prompt_tokens":"%(into)d","completion_tokens":"many"}',
    "null": ',"usage":null',
}


class Truth:
    """The log, a file for each token, and which calls were declined once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: dict[bytes, int] = {}
        self.declined: set[int] = set()

    def write(self, token: bytes, arrival: Arrival) -> None:
        """With the system before this returns."""
        file = self._files.get(token)
        if file is None:
            path = self._directory / f"truth-{token.decode()}.log"
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._files[token] = file
        os.write(file, arrival_line(arrival))


class Connection(asyncio.Protocol):
    """A connection of a gateway: one request after the other."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._held = b""
        self._transport: asyncio.Transport
        self._token = b""
        self._open: Arrival | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, blank, rest = self._held.partition(b"\r\n\r\n")
        if not blank:
            return
        length = _LENGTH.search(head)
        wanted = int(length[1]) if length else 0
        if len(rest) < wanted:
            return
        self._held = rest[wanted:]
        self._begin(rest[:wanted])

    def connection_lost(self, _error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._open is not None:
            self._end("aborted")

    def _begin(self, body: bytes) -> None:
        number, self._token, behaviour, output, pace = _MARKER.search(body).groups()
        maximum = _MAXIMUM.search(body)
        tokens = int(output) if maximum is None else min(int(output), int(maximum[1]))
        behaviour = behaviour.decode()
        if behaviour == "beyond_maximum":
            tokens = _BEYOND
        number = int(number)
        arrival = Arrival(
            number,
            now_us(),
            0,
            "open",
            _MODEL.search(body)[1].decode(),
            behaviour,
            input_tokens(number),
            tokens,
            produced=0,
            usage=False,
        )
        status = _DECLINES.get(behaviour)
        if status is not None and (behaviour == "always_503" or number not in self._truth.declined):
            self._truth.declined.add(number)
            self._note(arrival, "declined")
            self._transport.write(_whole(status, b'{"error":{"message":"busy"}}'))
        elif behaviour == "reset_unanswered" and number not in self._truth.declined:
            self._truth.declined.add(number)
            self._note(arrival, "unanswered")
            self._transport.abort()
        else:
            self._answer(arrival, int(pace) / 1000, stream=_STREAM.search(body) is not None)

    def _answer(self, arrival: Arrival, pace_s: float, *, stream: bool) -> None:
        """At once, or in pieces that come one after the other."""
        pieces = _events(arrival) if stream else [(_answer_of(arrival), arrival.output_tokens)]
        behaviour = arrival.behaviour
        usage = behaviour not in UNBELIEVABLE
        if behaviour == "reset_midway":
            pieces = pieces[: len(pieces) // 2] if stream else [(pieces[0][0][:-9], 0)]
        elif behaviour == "stall":
            pieces = pieces[:1]
        ending = {"reset_midway": "reset", "stall": "stall"}.get(behaviour, "whole")
        if ending != "whole":
            usage = False
        if not pace_s and ending == "whole":
            self._note(arrival, "whole", produced=arrival.output_tokens, usage=usage)
            self._transport.write(b"".join(piece for piece, _ in pieces))
            return
        self._open = arrival
        self._truth.write(self._token, arrival)
        if behaviour == "slow":
            pieces = [(b"", 0), (b"".join(p for p, _ in pieces), arrival.output_tokens)]
        self._send(pieces, pace_s, ending, usage=usage)

    def _send(
        self, pieces: list[tuple[bytes, int]], pace_s: float, ending: str, *, usage: bool
    ) -> None:
        (piece, produced), *rest = pieces or [(b"", 0)]
        assert self._open is not None
        self._open = self._open._replace(produced=self._open.produced + produced)
        loop = asyncio.get_running_loop()
        if rest:
            self._transport.write(piece)
            self._timer = loop.call_later(
                pace_s, lambda: self._send(rest, pace_s, ending, usage=usage)
            )
            return
        if ending == "stall":
            self._transport.write(piece)
            self._timer = loop.call_later(_STALL_S, self._transport.abort)
            return
        self._end(ending, usage=usage)
        self._transport.write(piece)
        if ending == "reset":
            self._transport.close()

    def _end(self, how: str, *, usage: bool = False) -> None:
        arrival, self._open = self._open, None
        assert arrival is not None
        self._note(arrival, how, produced=arrival.produced, usage=usage)

    def _note(self, arrival: Arrival, how: str, produced: int = 0, *, usage: bool = False) -> None:
        ended = arrival._replace(ended_us=now_us(), how=how, produced=produced, usage=usage)
        self._truth.write(self._token, ended)


def _usage(arrival: Arrival) -> bytes:
    """The member `usage` as the behaviour has it, with a comma before it; empty where there is none."""
    counts = {"into": arrival.input_tokens, "out": arrival.output_tokens}
    text = _USAGES.get(arrival.behaviour, _USAGE)
    return (text % counts).encode()


def _answer_of(arrival: Arrival) -> bytes:
    content = b"x" * min(arrival.output_tokens * 4, 4000)
    usage = _usage(arrival)
    if arrival.behaviour == "twice":
        usage = b',"usage":{"prompt_tokens":1,"completion_tokens":1}' + usage
    body = (
        b'{"id":"c%d","object":"chat.completion","choices":[{"index":0,"message":'
        b'{"role":"assistant","content":"%b"},"finish_reason":"stop"}]%b}'
        % (arrival.number, content, usage)
    )
    return _whole(200, body)


def _whole(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


def _events(arrival: Arrival) -> list[tuple[bytes, int]]:
    """The head with the first events, further events, and the end; each with the tokens in it."""
    event = (
        b'data: {"id":"c%d","object":"chat.completion.chunk","choices":[{"index":0,"delta":'
        b'{"content":"word "},"finish_reason":null}]}\n\n' % arrival.number
    )
    usage = _usage(arrival)
    told = b""
    if usage:
        told = b'data: {"id":"c%d","choices":[]%b}\n\n' % (arrival.number, usage)
    if arrival.behaviour == "twice":
        told = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n' + told
    done = b"data: [DONE]\n\n"
    end = done + told if arrival.behaviour == "after_done" else told + done
    tokens = arrival.output_tokens
    counts = [tokens // _PIECES + (i < tokens % _PIECES) for i in range(_PIECES)]
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    pieces = [(_chunk(event * count), count) for count in counts if count]
    pieces[0] = (head + pieces[0][0], pieces[0][1])
    return [*pieces, (_chunk(end) + b"0\r\n\r\n", 0)]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(port: int, directory: Path) -> None:
    """Until the process ends."""
    truth = Truth(directory)
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(truth), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
