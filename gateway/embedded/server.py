"""The life of one child server: start, be ready, be watched, stop.

It must not know which server it is. All of it is synchronous and belongs to the main thread: on
Linux a child is told of our end by the parent-death signal, which follows the *thread* that forked
it, so a child of a short-lived worker thread would be stopped with that thread. On macOS there is
no such signal: a server outlives a killed parent there, and the next start stops it first.

A child inherits a lock on a file beside its data, so that the lock is held for exactly as long as
any process of that server lives. No second server ever gets at the data, however the first ended.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path

from gateway.embedded.errors import EmbeddedError, ServerFailed
from gateway.embedded.identity import Identity
from gateway.embedded.locks import PidLock, holder

_POLL_S = 0.01
_ANSWER_LIMIT_S = 20.0  # without any answer
_RECOVERY_LIMIT_S = 600.0  # while it answers that it is reading its data
_LEFTOVER_LIMIT_S = 20.0
_ESCALATE_AFTER_S = 10.0
_LOG_LINES = 20
_LOG_KEPT_BYTES = 16 * 1024 * 1024


class Readiness(Enum):
    """What a server answers to a probe."""

    SILENT = auto()
    RECOVERING = auto()
    READY = auto()


class ChildServer:
    """One server of the name `name`, with its log and lock files in `directory`.

    `stop_signals` are tried in turn, politest first; the first is also what the server gets when
    this process dies. SIGKILL is always the last resort.
    """

    def __init__(
        self, name: str, directory: Path, log: str, stop_signals: Sequence[signal.Signals]
    ) -> None:
        self.name = name
        self._log = directory / f"{log}.log"
        self._lock = directory / f"{log}.lock"
        self._stop_signals = (*stop_signals, signal.SIGKILL)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process number of the server started last, None before the first start."""
        return None if self._process is None else self._process.pid

    def poll(self) -> int | None:
        """Return the exit status of the server started last; None while it runs or before."""
        return None if self._process is None else self._process.poll()

    @contextmanager
    def claim(self) -> Iterator[PidLock]:
        """Wait until nothing of an earlier server is left, and keep others out meanwhile.

        Raises `EmbeddedError` when this server runs already or a leftover one does not end.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("embedded servers are started from the main thread")
        if self._process is not None and self._process.poll() is None:
            raise EmbeddedError(f"{self.name} is running already")
        lock = self._wait_for_lock()
        try:
            yield lock
        finally:
            lock.close()

    def launch(
        self,
        claim: PidLock,
        identity: Identity,
        command: Sequence[str | Path],
        probe: Callable[[], Readiness],
        stdin: bytes = b"",
    ) -> None:
        """Start `command` with `stdin` (at most a pipe's buffer) and wait until `probe` is READY.

        Raises `ServerFailed` with the last lines of the log; the child is gone then.
        """
        self._process = self._spawn(claim, identity, command, stdin)
        try:
            claim.name_holder(self._process.pid)
            self._wait_until_ready(self._process, probe)
        except BaseException:  # also Ctrl-C: nothing half-started stays behind
            self._process.kill()
            self._process.wait()
            raise

    def stop(self) -> None:
        """Stop the server cleanly and wait for it; harmless when it does not run."""
        if self._process is None:
            return
        for number in self._stop_signals:
            if self._process.poll() is not None:
                return
            self._process.send_signal(number)
            try:
                self._process.wait(_ESCALATE_AFTER_S)
            except subprocess.TimeoutExpired:
                continue

    def _wait_for_lock(self) -> PidLock:
        deadline = time.monotonic() + _LEFTOVER_LIMIT_S
        asked = False
        while (lock := PidLock.try_acquire(self._lock)) is None:
            left = holder(self._lock)
            if sys.platform != "linux" and left is not None and not asked:
                asked = True
                os.kill(left, self._stop_signals[0])
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"an earlier {self.name} (process {left}) still uses {self._lock.parent};"
                    " stop it first"
                )
            time.sleep(_POLL_S)
        return lock

    def _spawn(
        self, claim: PidLock, identity: Identity, command: Sequence[str | Path], stdin: bytes
    ) -> subprocess.Popen[bytes]:
        log = self._open_log()
        reader, writer = os.pipe()
        try:
            os.write(writer, stdin)
            os.close(writer)
            return subprocess.Popen(  # noqa: S603 - the program is ours or the operator's
                command,
                stdin=reader,
                stdout=log,
                stderr=log,
                pass_fds=(claim.fd,),
                **identity.child(self._stop_signals[0]),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerFailed(f"{self.name} ({command[0]}) cannot be started: {error}") from error
        finally:
            os.close(reader)
            os.close(log)

    def _open_log(self) -> int:
        # A file, never a pipe: a full pipe would block the server.
        if self._log.exists() and self._log.stat().st_size > _LOG_KEPT_BYTES:
            self._log.replace(self._log.with_name(self._log.name + ".1"))
        log = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._log_start = os.fstat(log).st_size
        return log

    def _wait_until_ready(
        self, process: subprocess.Popen[bytes], probe: Callable[[], Readiness]
    ) -> None:
        began = heard = time.monotonic()
        while (answer := probe()) is not Readiness.READY:
            now = time.monotonic()
            if answer is Readiness.RECOVERING:
                heard = now
            if process.poll() is not None:
                raise ServerFailed(
                    f"{self.name} ended with {process.returncode} while starting"
                    f"{self._last_words()}"
                )
            if now - heard > _ANSWER_LIMIT_S or now - began > _RECOVERY_LIMIT_S:
                raise ServerFailed(
                    f"{self.name} is not ready after {now - began:.0f} s{self._last_words()}"
                )
            time.sleep(_POLL_S)

    def _last_words(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
        return "; the last lines of " + "\n  ".join([f"{self._log}:", *lines])
