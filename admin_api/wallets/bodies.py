"""The bodies of accounts, members, subscriptions, grants and codes.

Here an amount of 0 is nothing, and `null` is no cap: an account that is empty has to stop what it pays for.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, JsonValue, StrictInt, StrictStr

from admin_api.bodies import Amount, Body, IsNumber, LimitBody, Name
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.limits import MAX_EXACT

MAX_CODES = 1000
_MOST_USD = Decimal(MAX_EXACT - 1) / NUSD_PER_USD
Usd = Annotated[Decimal, Field(ge=0, le=_MOST_USD), IsNumber]
Id = Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]
Seconds = Annotated[StrictInt, Field(ge=0)]
Note = Annotated[StrictStr, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Role = Literal["owner", "admin", "member"]


class GrantFields(Body):
    """What becomes of a grant: one of the three at most."""

    quota_usd: Usd | None = None
    """All that is granted, in dollars, with what is used already; `null` is no cap, 0 is nothing."""
    add_quota_usd: Amount | None = None
    """Dollars to add to the grant; negative takes back."""
    remain_usd: Usd | None = None
    """Dollars that are to be left from now on."""


class AccountBody(Body):
    """An account to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "search team", "owner_id": 1, "quota_usd": 20}]}
    )

    name: Name
    """May repeat."""
    owner_id: Id | None = None
    """The user who is its first owner; without it, it has none yet."""
    quota_usd: Usd | None = Decimal(0)
    """The first grant in dollars; `null` is no cap."""


class AccountUpdate(GrantFields):
    """What is to change: absent fields stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "search"}]})

    name: Name | None = None
    """May repeat."""
    status: Annotated[StrictInt, Field(ge=1, le=2)] | None = None
    """1 enabled, 2 disabled."""
    version: StrictInt | None = None
    """The version that is to be changed: 412 if it is another by now. `If-Match` goes before it."""


class BoundFields(GrantFields):
    """What binds all tokens of a member, or of an account in a group, together."""

    limits: list[LimitBody] | None = None
    """How much may pass in a time; 20 at most; `null` or empty is none."""
    max_concurrency: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    """Calls at once; `null` is any number."""


class MemberBody(BoundFields):
    """A user who is to be a member, named by one of the two; absent fields say nothing of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user_id": 2, "role": "member", "quota_usd": 5}],
            "oneOf": [{"required": ["user_id"]}, {"required": ["username"]}],
        }
    )

    user_id: Id | None = None
    """The user's id."""
    username: Annotated[StrictStr, Field(min_length=1, max_length=256)] | None = None
    """The user's name; case does not matter."""
    role: Role = "member"
    """Owners manage everybody, admins the plain members."""


class MemberUpdate(BoundFields):
    """What is to change of a member: absent fields stay."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"add_quota_usd": 2}]})

    role: Role | None = None
    """Owners manage everybody, admins the plain members."""
    version: StrictInt | None = None
    """The version that is to be changed: 412 if it is another by now. `If-Match` goes before it."""


class SubscriptionBody(BoundFields):
    """From when to when, and what binds the account's tokens of the group together: absent fields stay."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"ends_time": 1_900_000_000, "quota_usd": 10}]}
    )

    starts_time: Seconds | None = None
    """Unix seconds; `null`: it has begun."""
    ends_time: Seconds | None = None
    """Unix seconds; `null`: it has no end."""
    version: StrictInt | None = None
    """The version that is to be changed: 412 if it is another by now. `If-Match` goes before it."""


class OfFields(Body):
    """What the money is for: the account, or one of its members, or its subscription to a group."""

    amount_usd: Amount | None = None
    """Dollars."""
    quota: StrictInt | None = None
    """The same in quota units."""
    note: Note = ""
    """Shown in the history."""
    user_id: Id | None = None
    """The member whose cap is raised, instead of the account's grant."""
    group: Annotated[StrictStr, Field(min_length=1, max_length=100)] | None = None
    """The subscription whose cap is raised, instead of the account's grant."""


_ONE_AMOUNT: list[JsonValue] = [{"required": ["amount_usd"]}, {"required": ["quota"]}]


class GrantBody(OfFields):
    """Money to give; a negative amount takes back."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"amount_usd": 5, "note": "for November"}],
            "oneOf": _ONE_AMOUNT,
        }
    )


class TopUpBody(OfFields):
    """A payment to be booked once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reference": "invoice-2026-1147", "amount_usd": 25}],
            "oneOf": _ONE_AMOUNT,
        }
    )

    reference: Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")]
    """The payment's name, unique in this installation: the same again books nothing."""


class CodesBody(Body):
    """Codes to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"count": 3, "amount_usd": 5, "expires_in_days": 30, "note": "workshop"}],
            "oneOf": _ONE_AMOUNT,
        }
    )

    count: Annotated[StrictInt, Field(ge=1, le=MAX_CODES)] = 1
    """So many codes."""
    amount_usd: Annotated[Decimal, Field(gt=0, le=_MOST_USD), IsNumber] | None = None
    """Dollars of each."""
    quota: Annotated[StrictInt, Field(ge=1)] | None = None
    """The same in quota units."""
    expired_time: Annotated[StrictInt, Field(ge=-1)] | None = None
    """Unix seconds, in the future; -1 or 0 is never."""
    expires_in_days: Annotated[StrictInt, Field(ge=0, le=36_500)] | None = None
    """Counted from the call; 0 is never."""
    note: Note = ""
    """Shown in lists, and in the history of accounts that they are added to."""
    prefix: Annotated[StrictStr, Field(max_length=20, pattern="^[0-9A-Za-z]*$")] = ""
    """What each code begins with."""


class RevokeBody(Body):
    """The codes that nobody is to use any more: those of a batch, or some."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"batch_id": 1}],
            "oneOf": [{"required": ["batch_id"]}, {"required": ["ids"]}],
        }
    )

    batch_id: Id | None = None
    """All of this batch."""
    ids: Annotated[list[Id], Field(min_length=1, max_length=MAX_CODES)] | None = None
    """Ids of codes."""


class CodeBody(Body):
    """A code to be redeemed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key": "7K3Q-M9ZD-2F8H-XW4C-PN6T"}]})

    key: Annotated[StrictStr, Field(min_length=1, max_length=200)]
    """The code; case, spaces and hyphens do not count."""
    account_id: Id | None = None
    """The account that it is added to, one that you are a member of; without it, that of your new tokens."""
