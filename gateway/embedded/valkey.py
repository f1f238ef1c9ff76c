"""An embedded Valkey (or Redis): its configuration and its address.

It must not know what is stored in it. It listens on a unix socket only and keeps an append-only
file.
"""

import hashlib
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from gateway.embedded import binaries, identity
from gateway.embedded.errors import ServerFailed, told_as
from gateway.embedded.server import ChildServer, Readiness
from gateway.embedded.state import StateDirectory

_SECRET = "valkey"  # noqa: S105 - the name of one
_PROBE_TIMEOUT_S = 2.0
# The end of a rewrite keeps every call waiting for 15-20 ms. At Valkey's own 64 MB that is each 13 s at 3,500 calls/s;
# the file is read in 2 s at this size when the server starts.
_REWRITE_BYTES = "256mb"


class EmbeddedValkey:
    """One Valkey with its data in `state`.

    `bin_dir` is the setting `redis.bin_dir`; `max_memory` is in Valkey's own form, such as
    `256mb`. With `durable=False` (tests) the append-only file is kept but never waited for.
    `run_as` is its user when the caller is root. `users` are rights by name, as an ACL says them, of
    those who may log in besides the one who may do everything.
    """

    def __init__(
        self,
        state: StateDirectory,
        bin_dir: Path | None = None,
        *,
        durable: bool = True,
        max_memory: str = "256mb",
        run_as: str = "nobody",
        users: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._state = state
        self._users = users
        self._bin_dir = bin_dir
        self._durable = durable
        self._max_memory = max_memory
        self._run_as = run_as
        self._socket = state.run_dir / "valkey.sock"
        self._server = ChildServer("Valkey", state.path, "vk", (signal.SIGTERM,))

    @property
    def pid(self) -> int | None:
        """The server's process number, None before the first start."""
        return self._server.pid

    def poll(self) -> int | None:
        """Return the exit status once the server has ended, None while it runs."""
        return self._server.poll()

    def start(self) -> str:
        """Start the server and return its URL.

        From the main thread only. May be called again once the server has ended. Raises an
        `EmbeddedError`: `BinariesMissing`, `IdentityUnavailable`, `ServerFailed`.
        """
        user = identity.choose(self._state.path, self._run_as)
        found = binaries.find_valkey(self._bin_dir)
        program = binaries.make_runnable(found, user, self._state.path)
        password = self._state.secret(_SECRET)
        data = self._state.path / "vk"
        problem = f"the data of Valkey in {self._state.path} cannot be set up"
        # Valkey itself would let a second server write the same files; the claim does not.
        with told_as(ServerFailed, problem), self._server.claim() as claim:
            data.mkdir(mode=0o700, exist_ok=True)
            user.give(data)
            user.give(self._state.run_dir)
            self._server.launch(
                claim,
                user,
                [program.program, "-"],
                lambda: self._probe(password),
                stdin=self._configuration(data, password),
            )
        return f"unix://:{password}@{self._socket}?db=0"

    def url(self, user: str) -> str:
        """The URL with which one of `users` connects."""
        return f"unix://{user}:{self._password(user)}@{self._socket}?db=0"

    def stop(self) -> None:
        """Stop the server, its file written out; harmless when it does not run."""
        self._server.stop()

    def _configuration(self, data: Path, password: str) -> bytes:
        # Given on standard input, so that no password shows in the list of processes.
        settings = {
            "port": "0",
            "unixsocket": _quoted(str(self._socket)),
            "unixsocketperm": "700",
            "dir": _quoted(str(data)),
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "everysec" if self._durable else "no",
            "auto-aof-rewrite-min-size": _REWRITE_BYTES,
            "daemonize": "no",
            "logfile": '""',
            "requirepass": password,
            "maxmemory": self._max_memory,
            "maxmemory-policy": "noeviction",
        }
        lines = [f"{name} {value}" for name, value in settings.items()]
        lines += [
            f"user {user} on #{hashlib.sha256(self._password(user).encode()).hexdigest()} {rights}"
            for user, rights in self._users.items()
        ]
        return "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")

    def _password(self, user: str) -> str:
        return self._state.secret(f"{_SECRET}_{user}")

    def _probe(self, password: str) -> Readiness:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_PROBE_TIMEOUT_S)
                client.connect(str(self._socket))
                client.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (more := client.recv(4096)):  # noqa: PLR2004 - one line each
                    answer += more
        except OSError:
            return Readiness.SILENT
        if answer.endswith(b"+PONG\r\n"):
            return Readiness.READY
        return Readiness.RECOVERING if b"-LOADING" in answer else Readiness.SILENT


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
