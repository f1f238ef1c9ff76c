"""Which stores a command works on: those that are configured, else those of the `tollhouse run` that is up."""

import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from gateway.config import ConfigError, Loaded, is_given, read_pepper
from gateway.domain.pepper import Pepper
from gateway.embedded.state import default_path


def state_path(environment: Mapping[str, str] = os.environ) -> Path:
    """The state directory of `tollhouse run`."""
    given = environment.get("TOLLHOUSE_STATE")
    return Path(given).resolve() if given else default_path()


def database_in_use(loaded: Loaded) -> str:
    """The DSN of Postgres. Raises `ConfigError`."""
    configured = loaded.config.postgres.dsn.get_secret_value()
    return configured or _of_running("postgres.dsn", "database_url")


def quota_store_in_use(loaded: Loaded) -> str:
    """The URL of Valkey. Raises `ConfigError`."""
    return loaded.config.redis.url.get_secret_value() or _of_running("redis.url", "redis_url")


def environment_in_use(
    loaded: Loaded, environment: Mapping[str, str] = os.environ
) -> Mapping[str, str]:
    """The environment, which names the state directory's secrets where its database is in use and none are given."""
    if loaded.config.postgres.dsn.get_secret_value():
        return environment
    secrets = state_path(environment) / "secrets"
    kept = {}
    for name in ("PEPPER", "PEPPER_PREVIOUS", "KEK", "KEK_PREVIOUS"):
        file = secrets / name.lower()
        # A previous one lies there only while it is changed.
        if not is_given(environment, name) and (file.exists() or not name.endswith("_PREVIOUS")):
            kept[f"TOLLHOUSE_{name}_FILE"] = str(file)
    return dict(environment) | kept


def pepper_in_use(loaded: Loaded) -> Pepper:
    """The pepper of the database in use. Raises `ConfigError`."""
    return read_pepper(environment_in_use(loaded))


def _of_running(setting: str, member: str) -> str:
    ready = state_path() / "ready.json"
    try:
        return str(orjson.loads(ready.read_bytes())[member])
    except (OSError, ValueError, LookupError, TypeError):
        raise ConfigError(
            [f"{setting} is not set and no `tollhouse run` is up ({ready} cannot be read)"]
        ) from None
