"""Processes of a run: started in sessions of their own, ended with the run whatever happens, signalled by number."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_POLL_S = 0.02
_ERROR = re.compile(r"[ |]*[\w.]+(Error|Exception)\b(?!Group)")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PORTS = range(
    20_000, 29_000
)  # below those that the system gives to clients, so that a port stays free
_next_port = iter(_PORTS)


class Trouble(Exception):
    """The run cannot go on: a process does not start, or a store does not come back."""


class Process:
    """One process; `start` may be called again once it has ended."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environment = dict(environment)
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        return self.child.pid

    @property
    def child(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        assert self._child is not None
        return self._child

    def start(self, *, talking: bool = False) -> None:
        """Start it. `talking`: its input and output are ours."""
        pipe = subprocess.PIPE if talking else None
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with(os.getpid()),  # noqa: PLW1509 -- this process has no threads
            )

    def ask(self, line: str) -> str:
        """Write a line to a talking process, and wait for the line that it answers with."""
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()
        return self.hear()

    def hear(self) -> str:
        """The next line of a talking process."""
        line = self.child.stdout.readline()
        if not line:
            raise Trouble(f"{self.name} has ended; its log is {self._log}")
        return line.decode().strip()

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def last_error(self) -> str:
        """The last line of its log that names an exception."""
        lines = self._log.read_text(errors="replace").splitlines()
        return next(
            (line.strip(" |") for line in reversed(lines) if _ERROR.match(line)), "no error told"
        )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.runs:
            self.child.send_signal(number)

    def kill(self) -> None:
        """End it now, and wait for that."""
        if self._child is not None:
            self.signal(signal.SIGKILL)
            self._child.wait()

    def stop(self, within_s: float = 20.0) -> None:
        """Ask it to end, and after a while make it."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._child is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(within_s)
            self.kill()


def module(name: str, *arguments: object) -> list[str]:
    """The command of one of our modules."""
    return [sys.executable, "-m", name, *(str(argument) for argument in arguments)]


def plain_environment() -> dict[str, str]:
    """That of somebody who has set nothing up."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT)}


def free_port() -> int:
    """A port that nobody listens on now, another one each time."""
    start = os.getpid() * 31 % len(_PORTS)
    for step in _next_port:
        port = _PORTS[(start + step) % len(_PORTS)]
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise Trouble("no port is free")


def wait_until(condition: Callable[[], bool], within_s: float, what: str) -> float:
    """Poll, and answer how long it took. Raises `Trouble` when the time is up."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            raise Trouble(f"{what}: not within {within_s:g} s")
        time.sleep(_POLL_S)
    return time.monotonic() - began


def children_of(pid: int) -> list[int]:
    """The processes that `pid` started and that live."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            # The name, in parentheses, may hold anything: proc_pid_stat(5).
            if int(file.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(file.parent.name))
    return found


def end_with(parent: int) -> Callable[[], None]:
    """What a child does first: ask to be killed when we are gone (Linux). A stopped one would not hear SIGTERM."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec
