"""A child process of the supervisor: started, waited for until it is ready, kept alive, stopped."""

import asyncio
import contextlib
import ctypes
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TextIO

from gateway.giving_way import lower

READY_DESCRIPTOR = "TOLLHOUSE_READY_FD"
_READY_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 30.0
_FIRST_BACKOFF_S = 0.2
_LAST_BACKOFF_S = 10.0
_LIVED_S = 30.0
_PR_SET_PDEATHSIG = 1
# glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MOST_DESCRIPTORS = 1 << 20  # Linux's own bound, fs.nr_open


class ChildError(Exception):
    """A child did not start. The message holds the end of what it wrote."""


def say(text: str) -> None:
    """Tell whoever started us, on standard error."""
    show(f"  {text}", sys.stderr)


def show(text: str, stream: TextIO) -> None:
    """Print where a person reads. A terminal or pipe that is gone must not end, or keep, what runs."""
    try:
        print(text, file=stream, flush=True)
    except OSError:
        # What the stream still holds would fail again at exit: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def tell_ready(text: str = "ready") -> None:
    """Called by a child once it serves: one line to the descriptor that the supervisor waits on, if there is one."""
    descriptor = os.environ.pop(READY_DESCRIPTOR, None)
    if descriptor is not None:
        os.write(int(descriptor), text.encode() + b"\n")
        os.close(int(descriptor))


def spare_the_collector() -> None:
    """Called by a child once it is whole: what exists now lives as long as it does, and is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def map_large_blocks() -> None:
    """Called by a child first: memory for large bodies comes from the system, and goes back to it at once.

    A block that is mapped grows where it is; glibc would begin to keep such blocks among the small ones, and to copy
    them as they grow: 25 ms for 30 MB. Elsewhere than with glibc nothing changes.
    """
    with contextlib.suppress(AttributeError, OSError):
        set_option = ctypes.CDLL(None).mallopt
        set_option(_M_MMAP_THRESHOLD, 1 << 20)
        set_option(_M_TRIM_THRESHOLD, 4 << 20)


def allow_descriptors() -> None:
    """Called by a child first: have as many descriptors as the system lets it, not the 1,024 of most shells."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def heed_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Called by a child in its loop: what is set when it is to end, and whenever it is to read its file anew."""
    stopping, hangups = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, hangups.set)
    return stopping, hangups


class Child:
    """One process. Its output goes to `log`; it lives in a session of its own and dies with the supervisor.

    `drain_s`: how long it may go on after it was asked to end, beside what ending takes. `gives_way`: once it is ready,
    whoever else wants the processor comes first.
    """

    living: ClassVar[set["Child"]] = set()

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        *,
        drain_s: float = 0.0,
        gives_way: bool = False,
    ) -> None:
        self.name = name
        self.command = list(command)
        self._environment = environment
        self._log = log
        self._gives_way = gives_way
        self.drain_s = drain_s
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The id of the process that was started last."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> str:
        """Start and wait until it tells that it is ready; answers what it told. Raises `ChildError`."""
        read_end, write_end = os.pipe()
        environment = {**self._environment, READY_DESCRIPTOR: str(write_end)}
        try:
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *self.command,
                    env=environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=(write_end,),
                    start_new_session=True,
                    preexec_fn=_die_with(os.getpid()),
                )
        except OSError as error:
            os.close(read_end)
            raise ChildError(f"{self.name} cannot be started: {error}") from error
        finally:
            os.close(write_end)
        Child.living.add(self)
        told = await _read_line(read_end)
        if not told:
            status = await self._end()
            raise ChildError(
                f"{self.name} did not start (exit status {status}). The end of {self._log}:\n{self._tail()}"
            )
        if self._gives_way:
            await lower(self._process.pid)
        return told

    async def keep_alive(self, restarted: Callable[[], None]) -> None:
        """Start the process again whenever it ends, with backoff, until `stop`; `restarted` is called each time."""
        backoff_s = _FIRST_BACKOFF_S
        clock = asyncio.get_running_loop().time
        while True:
            assert self._process is not None
            began = clock()
            status = await self._process.wait()
            Child.living.discard(self)
            if self._stopping:
                return
            backoff_s = _FIRST_BACKOFF_S if clock() - began > _LIVED_S else backoff_s
            say(f"{self.name} ended with status {status}; starting it again in {backoff_s:g} s")
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, _LAST_BACKOFF_S)
            try:
                await self.start()
                restarted()
            except ChildError as error:
                say(str(error))

    async def stop(self) -> None:
        """Ask the process to end (SIGTERM), and after its drain time make it."""
        self._stopping = True
        if self._process is None or self._process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.drain_s + _STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()
        Child.living.discard(self)

    def hang_up(self) -> None:
        """Have the process read its configuration again."""
        self._signal(signal.SIGHUP)

    def kill(self) -> None:
        """End the process at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    async def _end(self) -> int:
        assert self._process is not None
        self.kill()
        status = await self._process.wait()
        Child.living.discard(self)
        return status

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])


async def _read_line(descriptor: int) -> str:
    """The line that a child writes when it is ready; empty when it ends or dawdles."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    pipe = os.fdopen(descriptor, "rb")
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            return (await reader.readline()).decode().strip()
    except TimeoutError:
        return ""
    finally:
        transport.close()


def _die_with(parent: int) -> Callable[[], None]:
    """What the child does before it becomes the program: ask for SIGTERM when the supervisor dies (Linux)."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec
