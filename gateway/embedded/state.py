"""The directory where an embedded installation lives: its lock, secrets, sockets and data.

It knows names, modes and the one owner; it must not know what the servers write into it.
"""

import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.embedded.errors import StateError, StateLocked, told_as
from gateway.embedded.locks import PidLock, holder

# sun_path holds 108 bytes on Linux and 104 on macOS, one of them the final NUL: unix(7), unix(4).
_SOCKET_PATH_MAX_BYTES = 103
_LONGEST_SOCKET_NAME = "/.s.PGSQL.5432"
# The directory's name becomes part of two URLs and of a list-valued PostgreSQL setting, and drivers
# disagree on quoting in all three.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._-]+")
_SECRET_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_SECRET_TEXT = re.compile(r"[0-9a-f]{64}")


class StateDirectory:
    """An opened, locked state directory; make one with `open`."""

    def __init__(self, path: Path, lock: PidLock) -> None:
        self.path = path
        self._lock: PidLock | None = lock
        self.run_dir = _make_run_dir(path)

    @classmethod
    def open(cls, path: Path | None = None) -> Self:
        """Create the directory where it is missing and become its only owner.

        `None` is the user's own place: `/var/lib/tollhouse` for root, otherwise
        `${XDG_STATE_HOME:-~/.local/state}/tollhouse`. Raises `StateLocked` when another process
        owns it, `StateError` when it cannot be made or written.
        """
        path = (default_path() if path is None else path).absolute()
        problem = f"the state directory {path} cannot be used (TOLLHOUSE_STATE names another)"
        with told_as(StateError, problem):
            _make(path)
            lock = PidLock.try_acquire(path / "lock")
            if lock is None:
                raise StateLocked(path, holder(path / "lock"))
            try:
                lock.name_holder(os.getpid())
                return cls(path, lock)
            except BaseException:
                lock.close()
                raise

    def secret_path(self, name: str) -> Path:
        """Where the secret `name` is kept, made or not; letters a-z, digits, `-` and `_`."""
        if not _SECRET_NAME.fullmatch(name):
            raise ValueError(f"not a name for a secret: {name!r}")
        return self.path / "secrets" / name

    def secret(self, name: str) -> str:
        """Return the secret `name`, 64 hex digits (32 random bytes), made at the first call."""
        path = self.secret_path(name)
        with told_as(StateError, f"the secret {path} cannot be read or made"):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if not path.exists():
                _write_whole(path, secrets.token_hex(32))
            text = path.read_text(encoding="ascii", errors="replace").strip()
        if not _SECRET_TEXT.fullmatch(text):
            raise StateError(f"{path} is damaged: put its 64 hex digits back from a copy")
        return text

    def close(self) -> None:
        """Give the directory up; the servers in it must have been stopped. May be called again."""
        if self._lock is None:
            return
        if self.run_dir.parent != self.path:
            shutil.rmtree(self.run_dir, ignore_errors=True)
            _run_record(self.path).unlink(missing_ok=True)
        self._lock.close()
        self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def default_path() -> Path:
    """Return the state directory of this user where nothing else is said."""
    if os.geteuid() == 0:
        return Path("/var/lib/tollhouse")
    home = os.environ.get("XDG_STATE_HOME", "")
    # The XDG base directory specification has relative values ignored.
    base = Path(home) if home.startswith("/") else Path("~/.local/state").expanduser()
    return base / "tollhouse"


def _make(path: Path) -> None:
    if path.is_dir():
        return
    path.mkdir(parents=True)
    # Root's servers run as another user, who must walk through but not look around. Explicit,
    # because a umask would take the bits away again.
    path.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _make_run_dir(state: Path) -> Path:
    """Make the 0700 directory of the sockets: below `state`, or below /tmp where that is too deep.

    The latter's name is recorded, so that the next owner removes what a killed one left there.
    """
    record = _run_record(state)
    if record.exists():
        left = Path(record.read_text(encoding="utf-8"))
        if left.parent == Path("/tmp"):  # noqa: S108 - made by mkdtemp below
            shutil.rmtree(left, ignore_errors=True)
        record.unlink()
    run = state / "run"
    longest = len(os.fsencode(run)) + len(_LONGEST_SOCKET_NAME)
    if longest <= _SOCKET_PATH_MAX_BYTES and _PLAIN_PATH.fullmatch(str(run)):
        run.mkdir(mode=0o700, exist_ok=True)
        run.chmod(0o700)
        return run
    run = Path(tempfile.mkdtemp(prefix="tollhouse-", dir="/tmp"))
    _write_whole(record, str(run))
    return run


def _run_record(state: Path) -> Path:
    return state / "run.path"


def _write_whole(path: Path, text: str) -> None:
    """Write a 0600 file that is either absent or complete, whatever happens in between."""
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.unlink(missing_ok=True)
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    unfinished.rename(path)
