"""Which admin API a command calls, and with which access token.

1. The one that TOLLHOUSE_ADMIN_URL and TOLLHOUSE_ACCESS_TOKEN name.
2. That of the `tollhouse run` which is up, by its `ready.json`.
3. Else one that is started for this command, on the configured stores (`gateway/commands/own_admin.py`).

Whatever a command does, it does by that API: one code path. The third way could have called the store's operations
instead, but they are only the end of a call: what fields mean, who may do what and how running gateways are told is
the admin app's, which the gateway never imports. Written a second time it would drift; a process of a second cannot.
"""

import contextlib
import ipaddress
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import orjson

from gateway.commands.errors import WrongUse

ADMIN_URL: Final = "TOLLHOUSE_ADMIN_URL"
ACCESS_TOKEN: Final = "TOLLHOUSE_ACCESS_TOKEN"  # noqa: S105 -- the variable's name


@dataclass(frozen=True, slots=True)
class Reach:
    """An admin API. `told`: how messages call it; `remedy`: what to do when it does not know the access token."""

    url: str
    access_token: str = field(repr=False)
    told: str
    remedy: str


@contextlib.asynccontextmanager
async def reaching(
    environment: Mapping[str, str] = os.environ, *, config: str | None, insecure: bool
) -> AsyncIterator[Reach]:
    """The admin API to call.

    Raises `WrongUse`, `ConfigError`, `CommandFailed`, `SchemaError` and `StoreUnavailable`.
    """
    if (named := by_environment(environment, insecure=insecure)) is not None:
        yield named
        return
    from gateway.config import load  # noqa: PLC0415 -- slow, and for commands on this machine alone
    from gateway.stores_in_use import state_path  # noqa: PLC0415 -- likewise

    loaded = load(environment, config)
    ready, dsn = state_path(environment) / "ready.json", loaded.config.postgres.dsn
    if (running := beside_run(ready, dsn.get_secret_value())) is not None:
        yield running
        return
    from gateway.commands.own_admin import own_admin  # noqa: PLC0415 -- drivers of the stores

    async with own_admin(environment, loaded, config) as reach:
        yield reach


def by_environment(environment: Mapping[str, str], *, insecure: bool) -> Reach | None:
    """The admin API that the environment names; None where it names none. Raises `WrongUse`."""
    url, token = environment.get(ADMIN_URL, "").strip(), environment.get(ACCESS_TOKEN, "").strip()
    if not url and not token:
        return None
    if not url or not token:
        missing, other = (ADMIN_URL, ACCESS_TOKEN) if not url else (ACCESS_TOKEN, ADMIN_URL)
        raise WrongUse(
            f"{other} is set and {missing} is not: set both, or neither to work on this machine's Tollhouse"
        )
    if token.startswith("sk-"):
        raise WrongUse(f"{ACCESS_TOKEN} is a model key; give an access token (tht_…)")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise WrongUse(f"{ACCESS_TOKEN} holds what no access token holds; was it pasted whole?")
    check_url(url, insecure=insecure)
    return Reach(url.rstrip("/"), token, f"{ADMIN_URL} ({url})", f"it is that of {ACCESS_TOKEN}")


def check_url(url: str, *, insecure: bool) -> None:
    """Raises `WrongUse` unless an access token may be sent there."""
    form = f"{ADMIN_URL} must be an address such as https://admin.example.com"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise WrongUse(f"{form}: {error}") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise WrongUse(form)
    if parts.username is not None or parts.password is not None:
        raise WrongUse(f"{ADMIN_URL} may hold no user and password: {ACCESS_TOKEN} says who calls")
    if parts.query or parts.fragment:
        raise WrongUse(f"{form}, without ? and #")
    if parts.scheme == "http" and not insecure and not _is_loopback(host):
        raise WrongUse(
            f"the access token is not sent over plain http to {host}, where others can read it: use https, "
            "or --insecure if only you can be on the way"
        )


def beside_run(ready: Path, configured_dsn: str) -> Reach | None:
    """That of the running `tollhouse run`.

    None where the configuration names another database, or no access token is known any more.
    """
    try:
        members = orjson.loads(ready.read_bytes())
        url, token = str(members["admin_url"]), members["access_token"]
        database = members["database_url"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if not token or (configured_dsn and configured_dsn != database):
        return None
    return Reach(url, str(token), f"{url} (of {ready})", f"it is that of {ready}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
