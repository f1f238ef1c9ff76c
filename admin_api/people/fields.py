"""How the fields of users and their access tokens are read (pure). All raise `Rejected` naming the field."""

import re
from collections.abc import Collection, Iterable
from datetime import datetime

from admin_api.fields import parse_expired_time, parse_expires_in_days
from admin_api.mistakes import Mistakes
from gateway.domain.emails import is_email
from gateway.domain.rejection import invalid, mistake
from gateway.domain.roles import Permission
from gateway.domain.rules import Rule

_MAX_NAME_CHARACTERS = 100
# No letters that look like others, nothing that a shell, a page or a log would take for its own.
USERNAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"


def parse_username(text: str) -> str:
    """A name to log in with."""
    username = text.strip()
    if not re.fullmatch(USERNAME_PATTERN, username):
        raise invalid("username", Rule.NO_USERNAME)
    return username


def parse_display_name(text: str) -> str:
    """How somebody is shown; it may be empty."""
    name = text.strip()
    if len(name) > _MAX_NAME_CHARACTERS:
        raise invalid("display_name", Rule.TOO_LONG, most=_MAX_NAME_CHARACTERS, given=len(name))
    if not name.isprintable():
        raise invalid("display_name", Rule.CONTROL_CHARACTERS)
    return name


def parse_email(text: str) -> str | None:
    """An address; None where it is empty."""
    address = text.strip()
    if not address:
        return None
    if not is_email(address):
        raise invalid("email", Rule.NO_EMAIL, given=address)
    return address


def parse_scopes(given: Iterable[str], permissions: Collection[Permission]) -> tuple[str, ...]:
    """What an access token may do: permissions, none beyond those of who makes it."""
    scopes = tuple(sorted(set(given)))
    found = Mistakes()
    yours = [str(each) for each in sorted(permissions)]
    for scope in scopes:
        if scope not in permissions:
            found.add(mistake("scopes", Rule.SCOPE_NOT_YOURS, given=scope, choices=yours))
    found.raise_any()
    return scopes


def parse_end(
    expired_time: int | None, expires_in_days: int | None, now: datetime
) -> datetime | None:
    """When an access token ends; None for never."""
    at = None if expired_time is None else parse_expired_time(expired_time, now)
    if expires_in_days is None:
        return at
    by_days = parse_expires_in_days(expires_in_days, now)
    if expired_time is not None and at != by_days:
        raise invalid("expires_in_days", Rule.EXPIRIES_DISAGREE)
    return by_days
