"""A changed configuration file in a running process: taken over whole, or not at all.

Where anything changed that needs a restart, nothing is taken over: what runs is always what one file says.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from gateway.config import ConfigError, Loaded
from gateway.domain.errors import StoreUnavailable
from gateway.settings import Config

_log = logging.getLogger(__name__)

CATALOG_SECTIONS: Final = frozenset({"groups", "models", "routes", "upstreams"})
RELOADABLE: Final = frozenset(
    {
        "gateway.client_header",
        "gateway.cors",
        "gateway.drain_s",
        "gateway.heartbeat_s",
        "gateway.keepalive_timeout_s",
        "gateway.lame_duck_s",
        "gateway.max_body_bytes",
        "gateway.max_connections_per_address",
        "gateway.max_upload_bytes",
        "gateway.trusted_proxies",
    }
)
"""Beside the catalog's sections."""

ADMIN_ONLY: Final = frozenset({"admin", "console", "mail", "oidc", "webhooks", "warnings"})
GATEWAY_ONLY: Final = frozenset({"metrics", "traces"})
"""Sections that only the one or the other application reads."""

Tell = Callable[[int, str], None]
"""Takes a level of `logging`, and what a person should know."""


def changed_settings(before: Config, after: Config) -> list[str]:
    """The names of what differs: `section.setting`, or a section of the catalog as a whole."""
    names: list[str] = []
    for section in Config.model_fields:
        old, new = getattr(before, section), getattr(after, section)
        if old == new:
            continue
        if section in CATALOG_SECTIONS:
            names.append(section)
            continue
        names += [
            f"{section}.{setting}"
            for setting in type(old).model_fields
            if getattr(old, setting) != getattr(new, setting)
        ]
    return names


def needing_restart(changed: Iterable[str], unread: frozenset[str] = frozenset()) -> list[str]:
    """Those that cannot be taken over. `unread` are sections that the process does not read."""
    return [
        name
        for name in changed
        if name not in CATALOG_SECTIONS | RELOADABLE and name.partition(".")[0] not in unread
    ]


async def take_over(
    loaded: Loaded,
    read: Callable[[], Loaded],
    adopt: Callable[[Loaded], Awaitable[None]],
    *,
    unread: frozenset[str] = frozenset(),
    tell: Tell = _log.log,
) -> Loaded:
    """Have the process go by what `read` gives instead of by `loaded`; answers what it goes by now.

    `adopt` makes it so, or raises `ConfigError` or `StoreUnavailable` before it has changed anything. These are told.
    """
    try:
        now = await asyncio.to_thread(read)
        changed = changed_settings(loaded.config, now.config)
        _require_no_restart(changed, unread)
        await adopt(now)
    except ConfigError as error:
        for problem in error.problems:
            tell(logging.ERROR, f"{_NOT_TAKEN}: {problem}")
        return loaded
    except StoreUnavailable as error:
        tell(logging.ERROR, f"{_NOT_TAKEN}: {error}")
        return loaded
    for notice in now.notices:
        tell(logging.WARNING, notice)
    tell(
        logging.INFO,
        f"the configuration was taken over; changed: {', '.join(changed) or 'nothing'}",
    )
    return now


async def follow(
    hangups: asyncio.Event, take: Callable[[Loaded], Awaitable[Loaded]], loaded: Loaded
) -> None:
    """Take the file over whenever a SIGHUP has set the event, until cancelled; of several at once, once."""
    while True:
        await hangups.wait()
        hangups.clear()
        try:
            loaded = await take(loaded)
        except Exception:  # noqa: BLE001 -- a bug in here must not end a process that serves
            _log.exception("the configuration could not be taken over")


_NOT_TAKEN = "the configuration was not taken over, nothing is changed"


def _require_no_restart(changed: Iterable[str], unread: frozenset[str]) -> None:
    if stuck := needing_restart(changed, unread):
        raise ConfigError([f"{name}: takes a restart; put it back, or restart" for name in stuck])
