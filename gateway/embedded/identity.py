"""Who an embedded server runs as, and what is set up between fork and exec.

PostgreSQL refuses to run as root and wants its user in the passwd file. So, first that works:
the caller itself; another user, when the caller is root; a user namespace in which the caller
appears as that user. It must not know which server is started.
"""

import ctypes
import os
import pwd
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from gateway.embedded.errors import EmbeddedError, IdentityUnavailable

_LINUX = sys.platform == "linux"
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CLONE_NEWUSER = 0x10000000  # linux/sched.h


class ChildSettings(TypedDict):
    """Keyword arguments of `subprocess.Popen` for a child of an identity."""

    preexec_fn: Callable[[], None]
    start_new_session: bool
    cwd: str
    env: dict[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """A user for servers: `owner` (uid, gid) is to whom their files belong, seen from here."""

    description: str
    owner: tuple[int, int]
    enter: Callable[[], None]  # runs in the child, raises OSError when it is refused

    def child(self, death_signal: signal.Signals) -> ChildSettings:
        """Settings for a child that gets `death_signal` when the forking thread ends.

        The session is its own, so that Ctrl-C reaches only the caller, who stops things in order.
        """
        return {
            "preexec_fn": self._before_exec(death_signal),
            "start_new_session": True,
            "cwd": "/",
            "env": _environment(),
        }

    def give(self, path: Path) -> None:
        """Make `path`, and when it had another owner all below it, belong to the server's user."""
        found = path.stat()
        if (found.st_uid, found.st_gid) == self.owner:
            return
        try:
            for parent, directories, files in os.walk(path):
                for name in (*directories, *files):
                    os.chown(Path(parent, name), *self.owner, follow_symlinks=False)
            os.chown(path, *self.owner)  # last: until then an interrupted call is done again
        except PermissionError as error:
            raise EmbeddedError(
                f"{path} belongs to uid {found.st_uid} and cannot be given to {self.description}:"
                " run as that user, or name another directory in TOLLHOUSE_STATE"
            ) from error

    def trial(self, reach: Path) -> str | None:
        """Become this user in a short-lived child and walk to `reach`; say what was refused."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            problem = "no answer"
            try:
                self.enter()
                problem = "" if os.access(reach, os.X_OK) else f"cannot enter {_closed(reach)}"
            except BaseException as error:  # noqa: BLE001 - nothing may return from the child
                problem = str(error)
            finally:
                os.write(writer, b"=" + problem.encode(errors="replace"))
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            answer = answers.read()
        os.waitpid(pid, 0)
        if not answer:
            return "the trial process was killed"
        return answer[1:].decode() or None

    def _before_exec(self, death_signal: signal.Signals) -> Callable[[], None]:
        parent = os.getpid()

        def prepare() -> None:
            self.enter()
            if not _LINUX:
                return
            # After the change of user, which would clear it: prctl(2), PR_SET_PDEATHSIG.
            if _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
                raise OSError(ctypes.get_errno(), "prctl")
            if os.getppid() != parent:  # it ended before the signal was asked for
                os._exit(1)

        return prepare


def choose(reach: Path, run_as: str) -> Identity:
    """Return the identity that can be taken here and can walk to the directory `reach`.

    `run_as` is the user for servers when the caller is root. Raises `IdentityUnavailable`.
    """
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0 and _has_account(uid):
        return Identity("this user", (uid, gid), _stay)
    account = _account(run_as)
    candidates = [_other_user(account)] if uid == 0 else []
    if _LINUX:
        candidates.append(_namespace(account, uid, gid))
    refusals = []
    for candidate in candidates:
        problem = candidate.trial(reach)
        if problem is None:
            return candidate
        refusals.append(f"{candidate.description}: {problem}")
    raise IdentityUnavailable(
        f"no user to run the embedded servers as ({'; '.join(refusals) or 'nothing to try'});"
        f" name in TOLLHOUSE_STATE a directory that the user {run_as!r} can walk to (every directory above it"
        " needs chmod o+x), set postgres.dsn and redis.url, or run as an ordinary user of the passwd file"
    )


def _closed(reach: Path) -> Path:
    """The topmost directory on the way to `reach` that this process may not enter."""
    return next(
        (each for each in (*reversed(reach.parents), reach) if not os.access(each, os.X_OK)), reach
    )


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _account(name: str) -> pwd.struct_passwd:
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        account = None
    if account is None or account.pw_uid == 0:
        raise IdentityUnavailable(
            f"the embedded servers cannot run as {name!r}: it must be a user of the passwd file"
            " and not root; set postgres.dsn and redis.url, or run as an ordinary user"
        )
    return account


def _stay() -> None:
    """Remain who the caller is."""


def _other_user(account: pwd.struct_passwd) -> Identity:
    uid, gid = account.pw_uid, account.pw_gid

    def enter() -> None:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)

    return Identity(f"user {account.pw_name}", (uid, gid), enter)


def _namespace(account: pwd.struct_passwd, uid: int, gid: int) -> Identity:
    """The caller itself, seen by the server as `account`: user_namespaces(7).

    Container runtimes often forbid it, hence last. Files stay the caller's.
    """

    def enter() -> None:
        if _LIBC.unshare(_CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER) refused")
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{account.pw_uid} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{account.pw_gid} {gid} 1", encoding="ascii")

    return Identity("a user namespace", (uid, gid), enter)


def _environment() -> dict[str, str]:
    # Names that are let through, not PG* taken out: other processes of the server's user can read
    # its environment, and ours holds provider keys.
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
