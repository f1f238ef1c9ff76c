"""The callers: `python -m tests.chaos.load FILE`, with the settings of `Load` in FILE.

Each caller makes one call after the other on a connection that is kept, and goes to the next replica when it is lost:
as a new call. What each saw stands in `client-<token>.log`, and how far all of them are in `progress.json`. SIGTERM: no
further call is begun, those which run are waited for.
"""

import asyncio
import json
import re
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.chaos.plan import Call, Draw, address_of, make_plan
from tests.chaos.records import Answer, answer_line, now_us

_ID = re.compile(rb"x-request-id: ([0-9a-f-]+)")
_LENGTH = re.compile(rb"content-length: (\d+)")
_CODE = re.compile(rb'"code":"(\w+)"')
_STATUS = slice(9, 12)
_SILENT_S = 25.0
_WAIT_S = 30.0
_TICK_S = 0.25
_END = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """`keys` by the tokens' numbers; `ports` of the replicas. `rate`: calls a second at most, 0 is any number."""

    directory: str
    calls: int
    seed: int
    callers: int
    ports: list[int]
    keys: list[str]
    rate: float = 0.0


class Callers:
    """All callers, and what they share."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.loop = asyncio.get_running_loop()
        self.running = 0
        self.stopping = False
        self.counts: Counter[str] = Counter()
        self._draw = Draw(make_plan(load.calls), load.seed)
        self._number = 0
        self._due = self.loop.time()
        self._lines: dict[int, list[bytes]] = {}
        self._directory = Path(load.directory)
        self._all = [Caller(self, place) for place in range(load.callers)]

    async def run(self) -> None:
        """Until SIGTERM."""
        self.loop.add_signal_handler(signal.SIGTERM, self._stop)
        for caller in self._all:
            caller.connect()
        waited_s = 0.0
        while not self.stopping or (self.running and waited_s < _WAIT_S):
            await asyncio.sleep(_TICK_S)
            waited_s += _TICK_S if self.stopping else 0
            silent_since = now_us() - int(_SILENT_S * 1e6)
            for caller in self._all:
                caller.give_up(silent_since)
            self._write()
        for caller in self._all:
            caller.give_up(now_us())
        self._write()

    def next(self) -> Call:
        """A further call."""
        self._number += 1
        return self._draw.call(self._number)

    def wait_s(self) -> float:
        """How long the next call has to wait for its turn."""
        if not self.load.rate:
            return 0.0
        now = self.loop.time()
        self._due = max(now - 0.1, self._due + 1 / self.load.rate)
        return self._due - now

    def note(self, call: Call, answer: Answer) -> None:
        """Log what a caller saw."""
        self.counts["calls"] += 1
        self.counts[answer.outcome] += 1
        if answer.code:
            self.counts[f"refused: {answer.code}"] += 1
        self._lines.setdefault(call.token, []).append(answer_line(answer))

    def _stop(self) -> None:
        self.stopping = True

    def _write(self) -> None:
        for token, lines in self._lines.items():
            with (self._directory / f"client-{token}.log").open("ab") as file:
                file.write(b"".join(lines))
        self._lines = {}
        draft = self._directory / "progress.tmp"
        draft.write_text(json.dumps({**self.counts, "running": self.running}))
        draft.rename(self._directory / "progress.json")


class Caller(asyncio.Protocol):
    """One caller, on one connection at a time."""

    def __init__(self, callers: Callers, place: int) -> None:
        self._callers = callers
        self._replica = place % len(callers.load.ports)
        self._transport: asyncio.Transport | None = None
        self._call: Call | None = None
        self._sent_us = 0
        self._held = bytearray()
        self._head_bytes = 0
        self._length: int | None = None
        self._request_id = ""
        self._timer: asyncio.TimerHandle | None = None

    def connect(self) -> None:
        """Try the replicas one after the other."""
        if not self._callers.stopping:
            self._task = self._callers.loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(2):
                await self._callers.loop.create_connection(
                    lambda: self, "127.0.0.1", self._callers.load.ports[self._replica]
                )
        except (OSError, TimeoutError):
            self._turn()

    def _turn(self) -> None:
        self._replica = (self._replica + 1) % len(self._callers.load.ports)
        self._callers.loop.call_later(0.05, self.connect)

    def give_up(self, silent_since_us: int) -> None:
        """End a call that was sent before `silent_since_us`."""
        if self._call is not None and self._sent_us < silent_since_us:
            self._leave("silent")

    def connection_made(self, transport) -> None:
        self._transport = transport
        self._go_on()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._call is not None:
            self._note("broken")
        self._transport = None
        self._turn()

    def data_received(self, data: bytes) -> None:
        call = self._call
        if call is None:
            return
        held = self._held
        held += data
        if not self._head_bytes:
            end = held.find(b"\r\n\r\n")
            if end < 0:
                return
            self._head_bytes = end + 4
            head = bytes(held[:end])
            length = _LENGTH.search(head)
            self._length = int(length[1]) if length else None
            found = _ID.search(head)
            self._request_id = found[1].decode().replace("-", "") if found else ""
        if self._length is not None:
            if len(held) >= self._head_bytes + self._length:
                self._answered(call)
        elif held.endswith(_END) and len(held) >= self._head_bytes + len(_END):
            self._answered(call)
        elif call.leave == "reading":
            self._leave("left")

    def _send(self) -> None:
        callers = self._callers
        if callers.stopping:
            self._transport.close()
            return
        call = self._call = callers.next()
        callers.running += 1
        self._held.clear()
        self._head_bytes, self._length, self._request_id = 0, None, ""
        self._sent_us = now_us()
        self._transport.write(request(call, callers.load.keys[call.token]))
        if call.leave == "waiting":
            self._timer = callers.loop.call_later(
                (call.number % 40) / 1000, self._leave_call, call.number
            )

    def _leave_call(self, number: int) -> None:
        if self._call is not None and self._call.number == number:
            self._leave("left")

    def _leave(self, outcome: str) -> None:
        self._note(outcome)
        self._transport.abort()

    def _answered(self, call: Call) -> None:
        held = self._held
        status = int(held[_STATUS])
        self._note(judge(call, status, held, self._head_bytes, chunked=self._length is None))
        if b"connection: close" in held[: self._head_bytes]:
            self._transport.close()
        elif status == 503:
            self._callers.loop.call_later(0.05 + call.number % 50 / 1000, self._send_if_idle)
        else:
            self._go_on()

    def _go_on(self) -> None:
        wait_s = self._callers.wait_s()
        if wait_s > 0:
            self._callers.loop.call_later(wait_s, self._send_if_idle)
        else:
            self._send()

    def _send_if_idle(self) -> None:
        if self._transport is not None and self._call is None:
            self._send()

    def _note(self, outcome: str) -> None:
        call, self._call = self._call, None
        assert call is not None
        self._callers.running -= 1
        status, code = 0, ""
        if self._head_bytes:
            status = int(self._held[_STATUS])
            if status >= 400:
                found = _CODE.search(self._held, self._head_bytes)
                code = found[1].decode() if found else "upstream"
        self._callers.note(
            call,
            Answer(
                call.number, self._replica, self._sent_us, now_us(), status, outcome, code,
                self._request_id, call.model, len(call.body), call.max_output_tokens,
            ),
        )  # fmt: skip


def request(call: Call, key: str) -> bytes:
    """A call's bytes."""
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: chaos\r\nauthorization: Bearer %b\r\n"
        b"x-forwarded-for: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (key.encode(), address_of(call.number).encode(), len(call.body), call.body)
    )


def judge(call: Call, status: int, held: bytearray, head_bytes: int, *, chunked: bool) -> str:
    """What a caller makes of an answer that ended in good order."""
    if status != 200:
        return "refused"
    if b'"id":"c%d"' % call.number not in held:
        return "foreign" if b'"id":"c' in held else "cut"
    if chunked and b"data: [DONE]" not in held[-600:]:
        return "cut"
    return "whole"


async def main(load: Load) -> None:
    """Run the callers."""
    await Callers(load).run()


if __name__ == "__main__":
    uvloop.run(main(Load(**json.loads(Path(sys.argv[1]).read_text()))))
