"""What `tollhouse run` leaves in its state directory for people and programs: secrets, credentials, `ready.json`.

It knows their names and forms; it must not know processes or stores.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from gateway.config import ConfigError, is_given, read_secret
from gateway.embedded.state import StateDirectory
from gateway.store.bootstrap import Credentials


def provide_secrets(state: StateDirectory, environment: dict[str, str], *, embedded: bool) -> None:
    """See that the environment names pepper and encryption key; made here only where the database is ours too.

    There, one that is being changed lies beside the new one as `pepper_previous`, `kek_previous`.

    Raises `ConfigError` for those that are missing or no secrets, and `StateError`.
    """
    problems = []
    for name in ("PEPPER_PREVIOUS", "KEK_PREVIOUS", "PEPPER", "KEK"):
        if is_given(environment, name):
            try:
                read_secret(environment, name)
            except ConfigError as error:
                problems += error.problems
        elif name.endswith("_PREVIOUS"):
            # Whoever changes one renames its file, and a new one is made below.
            if embedded and (file := state.secret_path(name.lower())).exists():
                environment[f"TOLLHOUSE_{name}_FILE"] = str(file)
        elif embedded:
            state.secret(name.lower())
            environment[f"TOLLHOUSE_{name}_FILE"] = str(state.secret_path(name.lower()))
        else:
            problems.append(
                f"with a database of your own, TOLLHOUSE_{name} or TOLLHOUSE_{name}_FILE must be given: 64 hexadecimal "
                f"digits, the same on every replica, kept as safe as the database (`openssl rand -hex 32` makes one)"
            )
    if problems:
        raise ConfigError(problems)


def keep_credentials(
    state: StateDirectory, made: Credentials | None, *, embedded: bool
) -> Mapping[str, object]:
    """The first administrator's key and access token: kept beside an embedded database, never beside another.

    `made` is what the first start made, None on later ones. Empty where they are not known (any more).
    """
    file = state.path / "credentials.json"
    if made is not None:
        known = {
            "user_id": made.user_id,
            "username": made.username,
            "access_token": made.access_token,
            "key": made.key,
        }
        if embedded:
            _write_private(file, known)
        return known
    if embedded and file.exists():
        kept: Mapping[str, object] = orjson.loads(file.read_bytes())
        return kept
    return {}


class ReadyFile:
    """`ready.json`: there while everything answers, and only then."""

    def __init__(self, state: StateDirectory) -> None:
        self._path = state.path / "ready.json"

    def remove(self) -> None:
        """Say that nothing answers; harmless when it was said before."""
        self._path.unlink(missing_ok=True)

    def write(
        self,
        *,
        gateway_url: str,
        admin_url: str,
        credentials: Mapping[str, object],
        database_url: str,
        redis_url: str,
        pids: Mapping[str, object],
    ) -> None:
        """Say where everything is. Raises `OSError`."""
        members = {
            "gateway_url": gateway_url,
            "admin_url": admin_url,
            "user_id": credentials.get("user_id"),
            "access_token": credentials.get("access_token"),
            "key": credentials.get("key"),
            "database_url": database_url,
            "redis_url": redis_url,
            "pids": pids,
        }
        _write_private(self._path, members)


def _write_private(file: Path, members: Mapping[str, object]) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    draft = file.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(orjson.dumps(members, option=orjson.OPT_INDENT_2))
        stream.flush()
        os.fsync(descriptor)
    draft.replace(file)
