"""What a scripted upstream does with a call: small frozen values that are put together.

A script is an `Answer` (exact bytes), an `Echo` (the honest answer, with the ways in which it may
misbehave) or `Turns` (one script after the other). Pieces of an answer are bytes, or something to
do between them: wait at a `Gate`, `CUT`, `RESET`. Knows no HTTP beyond framing, and no dialect.
"""

import asyncio
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from http import HTTPStatus
from typing import Literal, Self

import orjson

Headers = tuple[tuple[str, str], ...]
_PHRASES = {int(status): status.phrase for status in HTTPStatus}
# "close": neither length nor chunks, the end of the connection ends the body. "raw": no head at
# all, the pieces are everything that is sent.
Framing = Literal["length", "chunked", "close", "raw"]


class Gate:
    """Where answers wait until `release`; never released it is a stall.

    A waiting answer ends when its peer goes, or with the upstream itself.
    """

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._arrival = asyncio.Condition()
        self._waiting = 0

    async def waiting(self, count: int = 1) -> None:
        """Return once `count` answers wait here at the same time."""
        async with self._arrival:
            await self._arrival.wait_for(lambda: self._waiting >= count)

    def release(self) -> None:
        """Let through all that wait and all that come later."""
        self._open.set()

    async def passed(self) -> None:
        """Wait here, as an answer."""
        self._waiting += 1
        try:
            async with self._arrival:
                self._arrival.notify_all()
            await self._open.wait()
        finally:
            self._waiting -= 1


class End(Enum):
    """How an answer breaks off."""

    CUT = auto()  # what was written arrives, then FIN
    RESET = auto()  # RST at once (SO_LINGER 0)


CUT = End.CUT
RESET = End.RESET
Step = Gate | End
Piece = bytes | Step


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to the byte. Each bytes piece is its own write, and its own chunk where chunked.

    `missing_bytes` more than are sent are promised by Content-Length, then the connection is cut.
    `bytewise` sends head, framing and body one byte at a time.
    """

    body: tuple[Piece, ...] = ()
    status: int = 200
    headers: Headers = ()
    content_type: str = "application/json"
    framing: Framing = "length"
    missing_bytes: int = 0
    bytewise: bool = False
    steps_before: tuple[Step, ...] = ()

    def first(self, *steps: Step) -> Self:
        """The same answer, which does `steps` before its first byte."""
        return replace(self, steps_before=self.steps_before + steps)

    def wire(self) -> list[Piece]:
        """What is sent and done, in order."""
        if self.framing == "raw":
            return [*self.steps_before, *self.body]
        body: list[Piece] = list(self.body)
        if self.framing == "chunked":
            body = [_chunk(piece) if isinstance(piece, bytes) else piece for piece in body if piece]
            body.append(b"0\r\n\r\n")
        head = self._head()
        if self.framing == "length" and body and isinstance(first := body[0], bytes):
            head, body = head + first, body[1:]  # one write, as servers do
        return [*self.steps_before, head, *body, *([CUT] if self._ends_by_closing() else [])]

    def _head(self) -> bytes:
        lines = [
            f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, '')}",
            f"content-type: {self.content_type}",
        ]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.framing == "length":
            sent = sum(len(piece) for piece in self.body if isinstance(piece, bytes))
            lines.append(f"content-length: {sent + self.missing_bytes}")
        elif self.framing == "chunked":
            lines.append("transfer-encoding: chunked")
        else:
            lines.append("connection: close")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _ends_by_closing(self) -> bool:
        return self.framing == "close" or self.missing_bytes > 0


@dataclass(frozen=True, slots=True)
class Echo:
    """The honest answer of the call's dialect, with the sha256 of the request's body as its text.

    Streamed where the call asks for it, in events that are the pieces: `after(0, …)` acts after the
    head and before the first event. A whole answer is sent in `slices` slices where something
    happens between them.

    `usage` is HONEST, None (none at all) or any JSON value to lie with. `usage_after_done` moves
    the usage event of a stream behind its terminator.
    """

    HONEST = object()  # also marks "not a lie" where None and any JSON value are lies

    completion_tokens: int = 7
    usage: object = HONEST
    usage_after_done: bool = False
    text_events: int = 4
    slices: int = 4
    headers: Headers = ()
    content_type: str | None = None
    framing: Framing | None = None
    missing_bytes: int = 0
    bytewise: bool = False
    steps_before: tuple[Step, ...] = ()
    inserted: tuple[tuple[int, Piece], ...] = field(default=())

    def first(self, *steps: Step) -> Self:
        """The same echo, which does `steps` before its first byte."""
        return replace(self, steps_before=self.steps_before + steps)

    def after(self, count: int, *pieces: Piece) -> Self:
        """The same echo, with `pieces` sent or done after its first `count` events or slices."""
        return replace(self, inserted=(*self.inserted, *((count, piece) for piece in pieces)))

    def with_inserted(self, pieces: list[bytes]) -> tuple[Piece, ...]:
        """`pieces` with what `after` asked for between them.

        Raises ValueError where a place lies behind the last piece: it would never be reached.
        """
        if any(count > len(pieces) for count, _ in self.inserted):
            raise ValueError(f"the answer has only {len(pieces)} pieces")
        body: list[Piece] = []
        for count in range(len(pieces) + 1):
            body += [piece for place, piece in self.inserted if place == count]
            body += pieces[count : count + 1]
        return tuple(body)


@dataclass(frozen=True, slots=True)
class Turns:
    """The n-th call that it answers gets the n-th script; later ones get the last."""

    scripts: tuple["Answer | Echo", ...]


Script = Answer | Echo | Turns

# For `Echo.after`: an event whose JSON never ends.
MALFORMED_EVENT = b'data: {"id": "chatcmpl-\n\n'
# Takes the call and closes the connection without a byte.
NO_ANSWER = Answer(framing="raw", steps_before=(CUT,))


def refuse(
    status: int,
    message: str = "refused by the script",
    *,
    code: str = "scripted",
    headers: Headers = (),
) -> Answer:
    """An error in OpenAI's shape, `headers` such as Retry-After beside it."""
    error = {"message": message, "type": "scripted_error", "param": None, "code": code}
    return Answer((orjson.dumps({"error": error}),), status=status, headers=headers)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
