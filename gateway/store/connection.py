"""One connection in RESP to the quota store: its two queues, its reader, its timer.

Knows neither keys nor what commands mean; that it is made again after a loss is `Node`'s.

Why it looks the way it does: one redis-py call costs several times everything else on the path. So
there is no task, future or timer per command, only two queues that replies are taken from in order,
and one coarse timer. A reply that is late is nobody's any more; a store whose replies are late again
and again, or stay away, loses the connection.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import hiredis

from gateway.domain.errors import StoreUnavailable

Done = Callable[[object], None]
"""Gets the reply, an error reply as `hiredis.ReplyError`, or a `StoreUnavailable`; exactly once."""

_TICKS_PER_TIMEOUT: Final = 4
_FAILURES: Final = 5
"""In a row: then the connection is dropped."""
_SILENCE_S: Final = 1.0
"""Without any reply to what waits for one: likewise."""
_WINDOW: Final = 128
"""So many commands are with the store at once. A thousand first calls of keys take it longer than a reply may: what
waits its turn here is not late, what the store has and does not answer is."""


class Connection(asyncio.Protocol):
    """The two queues, the reader and the timer of one transport."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        texts: list[bytes],
        timeout_s: float,
        forget: Callable[["Connection"], None],
        redirect: Callable[[Exception, bytes, Done | None], object] | None = None,
    ) -> None:
        self._loop = loop
        self._forget = forget
        self._redirect = redirect
        self._load = [encode("SCRIPT", "LOAD", text) for text in texts]
        self._reader = hiredis.Reader()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._flushes = False  # whether that is going to be written in this tick
        self._holds = False  # whether some of that waits for replies
        # Two queues in step instead of one of pairs: no tuple per command. Commands are kept for
        # NOSCRIPT.
        self._commands: deque[bytes] = deque()
        self._dones: deque[Done | None] = deque()
        self._reloading = False
        self.lost: asyncio.Future[str] = loop.create_future()
        # The timer, which runs while something waits: how many commands had been sent at each of the last ticks,
        # how many were given up, and how many of those since a reply came in time.
        self._sent = 0
        self._tick_s = timeout_s / _TICKS_PER_TIMEOUT
        self._sent_at: deque[int] = deque(maxlen=_TICKS_PER_TIMEOUT)
        self._given_up = 0
        self._failures = 0
        self._answered = 0
        self._silent_ticks = 0
        self._patience_ticks = max(_SILENCE_S, timeout_s) / self._tick_s
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many commands have no reply yet."""
        return len(self._dones)

    def send(self, command: bytes, done: Done | None) -> None:
        """Leave a command for the write at the end of this tick."""
        if not self._flushes:
            self._flushes = True
            self._loop.call_soon(self._flush)
        self._out.append(command)
        self._commands.append(command)
        self._dones.append(done)

    async def ask(self, *args: bytes | str | int) -> object:
        """One command of the greeting, before anybody else sends. Raises `StoreUnavailable`."""
        return accept(await self._reply_to(encode(*args)))

    async def load_scripts(self) -> None:
        """Part of the greeting, too. Raises `StoreUnavailable`."""
        for reply in [self._reply_to(command) for command in self._load]:
            accept(await reply)

    def _reply_to(self, command: bytes) -> asyncio.Future[object]:
        future: asyncio.Future[object] = self._loop.create_future()

        def settle(reply: object) -> None:
            if not future.done():  # whoever greets may have been cancelled
                future.set_result(reply)

        self.send(command, settle)
        return future

    def abort(self, reason: str) -> None:
        """Drop the transport now. Everything that waits is told before this returns."""
        if self._transport is not None:
            self._transport.abort()
        self._end(reason)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write to."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def connection_lost(self, error: Exception | None) -> None:
        """Tell whoever waits."""
        self._end(repr(error) if error is not None else "closed by the store")

    def data_received(self, data: bytes) -> None:
        """Hand each whole reply to whoever asked."""
        reader, commands, dones = self._reader, self._commands, self._dones
        try:
            reader.feed(data)
            # False means "no whole reply yet": RESP2 has no other value that reads as False.
            while (reply := reader.gets()) is not False:
                command, done = commands.popleft(), dones.popleft()
                told: object = reply
                if reply.__class__ is hiredis.ReplyError:
                    told = self._judged(reply, command, done)
                    if told is None:
                        continue  # it was sent once more
                if done is not None:
                    self._tell(done, told)
            if self._holds:
                self._flush()
            if self._failures and self._sent - len(dones) + len(self._out) > self._given_up:
                self._failures = 0  # the last of these replies came in time
        except (hiredis.ProtocolError, IndexError) as error:
            # Replies no longer match commands: nothing on this connection can be believed.
            self.abort(f"protocol violated: {error!r}")

    def _tell(self, done: Done, reply: object) -> None:
        """One caller's mistake must not cost the others their replies."""
        try:
            done(reply)
        except Exception as error:  # noqa: BLE001 -- handed to the loop's handler, which logs it
            self._loop.call_exception_handler(
                {"message": "a callback of the quota store failed", "exception": error}
            )

    def _judged(self, reply: Exception, command: bytes, done: Done | None) -> object:
        """What an error means to the caller; None where the command was sent once more.

        That is so where the store had lost its scripts, which are all loaded before, or sends the command elsewhere.
        """
        if not str(reply).startswith("NOSCRIPT"):
            return reply if self._redirect is None else self._redirect(reply, command, done)
        if is_final(done):
            return reply
        if not self._reloading:
            self._reloading = True
            for load in self._load[:-1]:
                self.send(load, None)
            self.send(self._load[-1], self._reloaded)
        self.send(command, Repeat(done))
        return None

    def _reloaded(self, _reply: object) -> None:
        self._reloading = False

    def _flush(self) -> None:
        self._flushes = self._holds = False
        if self._transport is None or self._transport.is_closing():
            self._out = []
            return
        out = self._out
        room = _WINDOW - (len(self._dones) - len(out))
        if room < len(out):
            self._holds = True
            if room <= 0:
                return
        self._out = out[room:]
        self._sent += len(out) - len(self._out)
        self._transport.write(b"".join(out[:room]))
        if self._timer is None:
            self._wait()

    def _wait(self) -> None:
        self._due = self._loop.time() + self._tick_s
        self._timer = self._loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        waiting = len(self._dones) - len(self._out)
        answered = self._sent - waiting
        if not waiting:
            self._rest(answered)
            return
        late = self._loop.time() - self._due > self._tick_s
        if late or answered > self._answered:
            self._silent_ticks = 0
        else:
            self._silent_ticks += 1
        self._answered = answered
        if late:
            # We were stopped, not the store: its replies may lie unread in the socket.
            self._sent_at.clear()
        elif len(self._sent_at) == _TICKS_PER_TIMEOUT:
            self._give_up(self._sent_at[0], answered)
        if self._failures >= _FAILURES:
            self.abort(f"{self._failures} operations in a row were not answered in time")
        elif self._silent_ticks >= self._patience_ticks:
            self.abort("no reply in time")
        else:
            self._sent_at.append(self._sent)
            self._wait()

    def _rest(self, answered: int) -> None:
        """Watch the clock no longer, until something is written: an idle process does not wake for nothing."""
        self._timer = None
        self._sent_at.clear()
        self._silent_ticks = 0
        self._answered = answered

    def _give_up(self, due: int, answered: int) -> None:
        """Tell the callers of all commands up to number `due` that there was no reply in time."""
        first = max(answered, self._given_up)
        if due <= first:
            return
        self._given_up = due
        self._failures += due - first
        dones = self._dones
        late = [dones.popleft() for _ in range(due - answered)]
        dones.extendleft(None if done is None else _late for done in reversed(late))
        error = StoreUnavailable("the quota store gave no reply in time")
        for done in late[first - answered :]:
            if done is not None:
                self._tell(done, error)

    def _end(self, reason: str) -> None:
        if self.lost.done():
            return
        self.lost.set_result(reason)
        self._forget(self)
        if self._timer is not None:
            self._timer.cancel()
        self._out = []
        dones, self._dones, self._commands = self._dones, deque(), deque()
        error = StoreUnavailable(f"the quota store was lost: {reason}")
        for done in dones:
            if done is not None:
                self._tell(done, error)


def _late(_reply: object) -> None:
    """The callback of a command that was given up: its caller has been told."""


class Repeat:
    """The callback of a command that was sent a second time: what it is answered then is the answer."""

    __slots__ = ("_done",)

    def __init__(self, done: Done | None) -> None:
        self._done = done

    def __call__(self, reply: object) -> None:
        """Hand it on."""
        if self._done is not None:
            self._done(reply)


def is_final(done: Done | None) -> bool:
    """Whether a command is not sent again, as its callback tells: it was already, or was given up.

    What was given up must not be done after all, behind whatever undoes it.
    """
    return done is _late or isinstance(done, Repeat)


def encode(*args: bytes | str | int) -> bytes:
    """A command in RESP."""
    # Its stub says: a tuple of one.
    return bytes(hiredis.pack_command(args))  # type: ignore[arg-type]


def accept(reply: object) -> object:
    """The reply, or the exception that it is. Raises `StoreUnavailable`."""
    if isinstance(reply, StoreUnavailable | hiredis.ReplyError):
        raise StoreUnavailable(str(reply)) from reply
    return reply
