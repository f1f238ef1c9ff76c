"""Bodies of registration, links and invites."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictInt, StrictStr

from admin_api.bodies import Body, IsNumber
from admin_api.people.fields import USERNAME_PATTERN
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.emails import MAX_CHARACTERS, PATTERN, is_email
from gateway.domain.limits import MAX_EXACT
from gateway.domain.rejection import BrokenRule
from gateway.domain.rules import Rule

_MAX_DAYS = 365
_MAX_USES = 10_000
_MAX_SECRET = 128


def _username(value: str) -> str:
    if not re.fullmatch(USERNAME_PATTERN, value):
        raise BrokenRule(Rule.NO_USERNAME)
    return value


def _email(value: str) -> str:
    if not is_email(value):
        raise BrokenRule(Rule.NO_EMAIL, given=value)
    return value


Username = Annotated[
    StrictStr, AfterValidator(_username), Field(json_schema_extra={"pattern": USERNAME_PATTERN})
]
Email = Annotated[
    StrictStr,
    AfterValidator(_email),
    Field(json_schema_extra={"pattern": PATTERN, "maxLength": MAX_CHARACTERS}),
]
Secret = Annotated[StrictStr, Field(min_length=1, max_length=_MAX_SECRET)]
Password = Annotated[StrictStr, Field(max_length=1024)]


class RegisterBody(Body):
    """Who wants to be a user."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"username": "ada", "email": "ada@example.com", "password": "three plain words"}
            ]
        }
    )

    username: Username
    """What you log in with; case does not matter."""
    email: Email
    """Where links are sent to."""
    password: Password
    """12 to 256 characters; a few words will do."""
    invite: Secret | None = None
    """What stands behind `invite=` in the link that you were given."""


class AskResetBody(Body):
    """Whose password is to be reset."""

    email: Email
    """The address that the user has here."""


class ResetBody(Body):
    """A new password."""

    token: Secret
    """What stands behind `reset=` in the link."""
    password: Password
    """12 to 256 characters; a few words will do."""


class VerifyBody(Body):
    """An address that is yours."""

    token: Secret
    """What stands behind `verify=` in the link."""


class InviteBody(Body):
    """An invite to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"role": "user", "uses": 5, "expires_in_days": 14, "grant_usd": 5}]
        }
    )

    role: Literal["owner", "admin", "operator", "viewer", "user"] = "user"
    """What people become by it; below your own."""
    group: Annotated[StrictStr, Field(min_length=1, max_length=100)] = "default"
    """The group of their tokens."""
    account_id: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)] | None = None
    """The wallet that they join; left out, each gets their own."""
    grant_usd: (
        Annotated[Decimal, Field(ge=0, le=Decimal(MAX_EXACT - 1) / NUSD_PER_USD), IsNumber] | None
    ) = None
    """Dollars on the wallet of their own, each time; left out, what the operator gives to whoever registers."""
    uses: Annotated[StrictInt, Field(ge=1, le=_MAX_USES)] = 1
    """How many people may use it."""
    expires_in_days: Annotated[StrictInt, Field(ge=1, le=_MAX_DAYS)] = 7
    """Counted from the call."""
    email: Email | None = None
    """Whom it is sent to; left out, nobody: the answer has the link."""
