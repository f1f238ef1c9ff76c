"""How the fields of users and their access tokens are read (pure). All raise `Rejected` naming the field."""

import re
from collections.abc import Collection, Iterable
from datetime import datetime

from admin_api.fields import parse_expired_time, parse_expires_in_days
from gateway.domain.rejection import invalid
from gateway.domain.roles import Permission

_MAX_NAME_CHARACTERS = 100
# No letters that look like others, nothing that a shell, a page or a log would take for its own.
USERNAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"
# One @ with something on both sides: whether it is anybody's only a message to it can tell.
EMAIL_PATTERN = r"^[^\s@<>\"'(),;:\\\[\]\x00-\x1f\x7f-\x9f]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,187}[A-Za-z0-9])?$"


def parse_username(text: str) -> str:
    """A name to log in with."""
    username = text.strip()
    if not re.fullmatch(USERNAME_PATTERN, username):
        raise invalid(
            "username",
            "must have 1 to 64 characters, all of them letters from A to Z, digits or one of . _ @ + -, "
            "and begin with a letter or a digit; display_name takes any text.",
        )
    return username


def parse_display_name(text: str) -> str:
    """How somebody is shown; it may be empty."""
    name = text.strip()
    if len(name) > _MAX_NAME_CHARACTERS:
        raise invalid("display_name", f"may have {_MAX_NAME_CHARACTERS} characters at most.")
    if not name.isprintable():
        raise invalid("display_name", "may hold no control characters.")
    return name


def parse_email(text: str) -> str | None:
    """An address; None where it is empty."""
    address = text.strip()
    if not address:
        return None
    if not address.isprintable() or not re.fullmatch(EMAIL_PATTERN, address):
        raise invalid("email", f"{address[:40]!a} is no e-mail address such as ada@example.com.")
    return address


def parse_scopes(given: Iterable[str], permissions: Collection[Permission]) -> tuple[str, ...]:
    """What an access token may do: permissions, none beyond those of who makes it."""
    scopes = sorted(set(given))
    for scope in scopes:
        if scope not in permissions:
            raise invalid(
                "scopes",
                f"{scope[:40]!a} is not yours to give; yours are {', '.join(sorted(permissions))}.",
            )
    return tuple(scopes)


def parse_end(
    expired_time: int | None, expires_in_days: int | None, now: datetime
) -> datetime | None:
    """When an access token ends; None for never."""
    at = None if expired_time is None else parse_expired_time(expired_time, now)
    if expires_in_days is None:
        return at
    by_days = parse_expires_in_days(expires_in_days, now)
    if expired_time is not None and at != by_days:
        raise invalid("expires_in_days", "disagrees with expired_time; send one of them.")
    return by_days
