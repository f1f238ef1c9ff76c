"""What can go wrong with an embedded server, each with a message a person can act on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class EmbeddedError(Exception):
    """An embedded server cannot be had; the message says why and what to do."""


class StateError(EmbeddedError):
    """The state directory cannot be used."""


class StateLocked(StateError):
    """Another process owns the state directory; `pid` is None where it has not said its number."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.path = path
        self.pid = pid
        owner = "another process" if pid is None else f"process {pid}"
        super().__init__(
            f"the state directory {path} is in use by {owner}; stop it, or name another directory"
            " in TOLLHOUSE_STATE"
        )


class BinariesMissing(EmbeddedError):
    """No provider has the programs of a server."""


class IdentityUnavailable(EmbeddedError):
    """There is no user that the servers could run as."""


class VersionMismatch(EmbeddedError):
    """The data directory was made by another major version than the programs at hand."""


class ServerFailed(EmbeddedError):
    """A server did not start, or died while starting; the message ends with its last log lines."""


@contextmanager
def told_as(kind: type[EmbeddedError], problem: str) -> Iterator[None]:
    """Turn an `OSError` of the block into a `kind` that begins with `problem`."""
    try:
        yield
    except OSError as error:
        raise kind(f"{problem}: {error}") from error
