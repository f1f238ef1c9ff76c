"""An embedded PostgreSQL: its data directory, its command line, its address.

It must not know what is stored in it: it offers the database `postgres` and the superuser
`gateway`, on a unix socket only.
"""

import os
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path
from urllib.parse import quote

from gateway.embedded import binaries, identity
from gateway.embedded.binaries import Runnable
from gateway.embedded.errors import EmbeddedError, ServerFailed, VersionMismatch, told_as
from gateway.embedded.identity import Identity
from gateway.embedded.locks import PidLock
from gateway.embedded.server import ChildServer, Readiness
from gateway.embedded.state import StateDirectory

_USER = "gateway"
_SECRET = "postgres"  # noqa: S105 - the name of one
_BUILTIN_LOCALES = 17  # the major that brought --locale-provider=builtin
_IO_METHODS = 18  # the major that brought io_method
_INITDB_TIMEOUT_S = 120
_PROBE_TIMEOUT_S = 2.0
_PROTOCOL_3_0 = 196608  # https://www.postgresql.org/docs/current/protocol-message-formats.html
_FAST_SHUTDOWN, _IMMEDIATE_SHUTDOWN = signal.SIGINT, signal.SIGQUIT


class EmbeddedPostgres:
    """One PostgreSQL with its data in `state`.

    `bin_dir` is the setting `postgres.bin_dir`. With `durable=False` (tests) nothing is waited for
    on disk, and a power cut may destroy the data. `run_as` is its user when the caller is root.
    """

    def __init__(
        self,
        state: StateDirectory,
        bin_dir: Path | None = None,
        *,
        durable: bool = True,
        max_connections: int = 60,
        run_as: str = "nobody",
    ) -> None:
        self._state = state
        self._bin_dir = bin_dir
        self._durable = durable
        self._max_connections = max_connections
        self._run_as = run_as
        self._data = state.path / "pg"
        # SIGTERM would have it wait for its clients to leave.
        self._server = ChildServer(
            "PostgreSQL", state.path, "pg", (_FAST_SHUTDOWN, _IMMEDIATE_SHUTDOWN)
        )

    @property
    def pid(self) -> int | None:
        """The postmaster's process number, None before the first start."""
        return self._server.pid

    def poll(self) -> int | None:
        """Return the exit status once the server has ended, None while it runs."""
        return self._server.poll()

    def start(self) -> str:
        """Start the server, making its data at the first time, and return its DSN.

        From the main thread only. May be called again once the server has ended. Raises an
        `EmbeddedError`: `BinariesMissing`, `IdentityUnavailable`, `VersionMismatch`,
        `ServerFailed`.
        """
        user = identity.choose(self._state.path, self._run_as)
        found = binaries.find_postgres(self._bin_dir)
        program = binaries.make_runnable(found, user, self._state.path)
        problem = f"the data of PostgreSQL in {self._state.path} cannot be set up"
        with told_as(ServerFailed, problem), self._server.claim() as claim:
            if (self._data / "PG_VERSION").exists():
                self._require_usable(program)
                user.give(self._data)
                _drop_stale_pid_file(self._data)
            else:
                self._make_data(claim, user, program)
            user.give(self._state.run_dir)
            self._server.launch(claim, user, self._command(program), self._probe)
        return self._dsn(_USER, self._state.secret(_SECRET))

    def password(self, role: str) -> str:
        """What another role than the superuser may be let in with; made at the first call."""
        return self._state.secret(f"{_SECRET}_{role}")

    def dsn(self, role: str) -> str:
        """The DSN with which such a role connects."""
        return self._dsn(role, self.password(role))

    def _dsn(self, user: str, password: str) -> str:
        return f"postgresql://{user}:{password}@/postgres?host={quote(str(self._state.run_dir))}"

    def stop(self) -> None:
        """Shut down cleanly, ending the clients' sessions; harmless when it does not run."""
        self._server.stop()

    def _require_usable(self, program: Runnable) -> None:
        made_by = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        if made_by != str(program.major):
            raise VersionMismatch(
                f"{self._data} was made by PostgreSQL {made_by}, but {program.program} is"
                f" {program.version}: name the programs of PostgreSQL {made_by} in postgres.bin_dir"
                f" (to dump the data, or to stay with it), or name another state directory"
            )
        secret = self._state.secret_path(_SECRET)
        if not secret.exists():
            raise EmbeddedError(
                f"{self._data} has data, but its password, {secret}, is missing: put it back"
            )

    def _make_data(self, claim: PidLock, user: Identity, program: Runnable) -> None:
        """Make the data directory under another name first, so that it is whole or not there."""
        unfinished = self._state.path / "pg.tmp"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        user.give(unfinished)
        password_file = self._write_password_file(user)
        try:
            self._initdb(claim, user, program, unfinished, password_file)
        finally:
            password_file.unlink()
        unfinished.rename(self._data)
        if self._durable:
            _sync(self._state.path)

    def _write_password_file(self, user: Identity) -> Path:
        # A file, since initdb opens it by name, and another user may not open our pipe.
        path = self._state.path / "pg.password"
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(self._state.secret(_SECRET) + "\n")
        user.give(path)
        return path

    def _initdb(
        self, claim: PidLock, user: Identity, program: Runnable, data: Path, password_file: Path
    ) -> None:
        builtin = program.major >= _BUILTIN_LOCALES
        try:
            done = subprocess.run(  # noqa: S603 - the program is ours or the operator's
                [
                    program.program.with_name("initdb"),
                    *("-D", data, "-U", _USER, f"--pwfile={password_file}", "-E", "UTF8"),
                    *("--auth-local=scram-sha-256", "--auth-host=scram-sha-256"),
                    *(["--locale-provider=builtin"] if builtin else []),
                    "--locale=C.UTF-8",
                    *([] if self._durable else ["--no-sync"]),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_INITDB_TIMEOUT_S,
                check=False,
                pass_fds=(claim.fd,),
                **user.child(signal.SIGKILL),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerFailed(f"initdb cannot be run: {error}") from error
        if done.returncode != 0:
            raise ServerFailed(f"initdb ended with {done.returncode}:\n{done.stdout}")

    def _command(self, program: Runnable) -> list[str | Path]:
        settings = {
            "listen_addresses": "",
            "unix_socket_permissions": "0700",
            "shared_buffers": "64MB",
            "max_connections": str(self._max_connections),
            "wal_level": "minimal",
            "max_wal_senders": "0",
        }
        if program.major >= _IO_METHODS:
            settings["io_method"] = "sync"  # three processes fewer
        if not self._durable:
            settings |= dict.fromkeys(("fsync", "full_page_writes", "synchronous_commit"), "off")
        return [
            program.program,
            *("-D", self._data, "-k", self._state.run_dir),
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
        ]

    def _probe(self) -> Readiness:
        """Begin a session as far as the question for the password; `pg_isready` does no more."""
        words = b"user\0%b\0database\0postgres\0\0" % _USER.encode()
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(_PROBE_TIMEOUT_S)
                client.connect(str(self._state.run_dir / ".s.PGSQL.5432"))
                client.sendall(struct.pack("!II", len(words) + 8, _PROTOCOL_3_0) + words)
                answer = client.recv(4096)
        except OSError:
            return Readiness.SILENT
        if answer[:1] == b"R":
            return Readiness.READY
        # 57P03 is cannot_connect_now: starting up, recovering or shutting down.
        return Readiness.RECOVERING if b"C57P03\0" in answer else Readiness.SILENT


def _drop_stale_pid_file(data: Path) -> None:
    """Remove a pid file whose number belongs to some other program by now.

    PostgreSQL itself refuses to start when that program is of the same user, as it is in a
    container restarted after a kill: the numbers are few there.
    """
    file = data / "postmaster.pid"
    try:
        pid = int(file.read_text(encoding="ascii").split("\n", 1)[0])
        name = Path(f"/proc/{pid}/comm").read_text(encoding="ascii", errors="replace").strip()
    except (OSError, ValueError):
        return  # no such file, or no such process: PostgreSQL sees to it
    if name != "postgres":
        file.unlink()


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
