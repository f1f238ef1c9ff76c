"""What is logged of calls, and in which lines: the truth of the upstream, what callers saw, rows of the ledger.

Times are microseconds since 1970, by the clock of the one machine that everything runs on.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Arrival(NamedTuple):
    """A request that reached the upstream.

    `how` it ended: "whole", "declined", "unanswered" (closed without a byte), "reset", "aborted" (the gateway closed),
    or "open". `usage`: whether a believable one was sent, of `input_tokens` and `output_tokens`. `produced` are the
    tokens of output that were sent.
    """

    number: int
    arrived_us: int
    ended_us: int
    how: str
    model: str
    behaviour: str
    input_tokens: int
    output_tokens: int
    produced: int
    usage: bool


class Answer(NamedTuple):
    """What the caller saw of a call.

    `outcome`: "whole", "cut" (a stream without its terminator), "refused" (an error, whoever told it), "left" (the
    caller went away), "broken" (the connection ended), "silent" (given up after a long time), "foreign" (another
    call's answer).
    """

    number: int
    replica: int
    sent_us: int
    ended_us: int
    status: int
    outcome: str
    code: str
    request_id: str
    model: str
    body_bytes: int
    max_output_tokens: int


class Row(NamedTuple):
    """A call in the ledger, its corrections added up. `number` is the call's, None where the row does not tell."""

    request_id: str
    number: int | None
    status: int
    amount: int
    unbilled: int
    estimated: bool
    anomaly: str
    input_tokens: int
    output_tokens: int
    upstream: str

    @property
    def started_us(self) -> int:
        """When the gateway made the id, to the millisecond: it is a uuidv7."""
        return int(self.request_id[:12], 16) * 1000


def now_us() -> int:
    """The time."""
    return time.time_ns() // 1000


def arrival_line(arrival: Arrival) -> bytes:
    """The line of the truth log; an arrival's last line counts."""
    return b"%d %d %d %b %b %b %d %d %d %d\n" % (
        *arrival[:3],
        *(word.encode() for word in arrival[3:6]),
        *arrival[6:],
    )


def answer_line(answer: Answer) -> bytes:
    """The line of the client log."""
    return b"%d %d %d %d %d %b %b %b %b %d %d\n" % (
        *answer[:5],
        *(word.encode() or b"-" for word in answer[5:9]),
        *answer[9:],
    )


def read_arrivals(file: Path) -> list[Arrival]:
    """A token's truth, in the order of arrival."""
    found: dict[tuple[int, int], Arrival] = {}
    for words in _lines(file):
        number, arrived_us, ended_us = (int(word) for word in words[:3])
        counts = [int(word) for word in words[6:]]
        found[number, arrived_us] = Arrival(
            number, arrived_us, ended_us, *words[3:6], *counts[:3], bool(counts[3])
        )
    return sorted(found.values(), key=lambda arrival: arrival.arrived_us)


def read_answers(file: Path) -> list[Answer]:
    """What a token's callers saw."""
    return [
        Answer(
            *(int(word) for word in words[:5]),
            *("" if word == "-" else word for word in words[5:9]),
            *(int(word) for word in words[9:]),
        )
        for words in _lines(file)
    ]


def _lines(file: Path) -> Iterator[list[str]]:
    """The words of each whole line."""
    if file.exists():
        with file.open(encoding="ascii") as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield line.split()
