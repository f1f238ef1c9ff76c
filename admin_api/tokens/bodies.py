"""The bodies of tokens: what may be said of one, with types and bounds.

Absent and `null` mean the same, except for rules that a group gives defaults for: there `null` and
an empty text leave the rule to the group and an empty list means none of its own. Meaning across
fields is `admin_api/tokens/edits.py`'s.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr

from admin_api.bodies import Amount, Body, IsNumber, LimitBody, Lines, Name
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.limits import MAX_EXACT

MAX_AT_ONCE = 100
"""How many tokens one call makes, changes or tells the keys of."""
MAX_OVERLAP_S = 7 * 86_400
_MAX_DAYS = 36_500


class TokenFields(Body):
    """What can be said of a token, both when it is made and when it is changed."""

    remain_quota: StrictInt | None = None
    """Quota units left from now on; with `used_quota`, a part of the grant."""
    unlimited_quota: StrictBool | None = None
    """No cap on this token."""
    quota_usd: (
        Annotated[Decimal, Field(ge=0, le=Decimal(MAX_EXACT - 1) / NUSD_PER_USD), IsNumber] | None
    ) = None
    """The grant in dollars; 0 is unlimited."""
    expired_time: Annotated[StrictInt, Field(ge=-1)] | None = None
    """Unix seconds, in the future; -1 or 0 is never."""
    expires_in_days: Annotated[StrictInt, Field(ge=0, le=_MAX_DAYS)] | None = None
    """Counted from the call; 0 is never."""
    model_limits_enabled: StrictBool | None = None
    """Whether `model_limits` is in force; on by itself where it names models."""
    model_limits: Lines | None = None
    """Names of models: a list, a JSON array in a text, or by commas or lines."""
    allow_ips: Lines | None = None
    """Addresses and CIDR blocks, IPv4 and IPv6: a list, or by lines or commas."""
    deny_ips: Lines | None = None
    """Likewise; they go before `allow_ips`."""
    group: Annotated[StrictStr, Field(max_length=100)] | None = None
    """Empty: your own group."""
    limits: list[LimitBody] | None = None
    """How much may pass in a time; 20 at most."""
    max_concurrency: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None
    """Calls at once; 0 is no limit of its own."""
    reserve: Literal["strict", "estimate"] | None = None
    """How much a call is held for; `estimate` is for administrators to set."""
    metadata: dict[str, Any] | None = None
    """Yours, up to 16 KiB."""


class CreateBody(TokenFields):
    """A token to be made. Without any quota field there is nothing on it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "my app", "quota_usd": 5, "expires_in_days": 30},
                {
                    "name": "Production",
                    "remain_quota": 100_000,
                    "unlimited_quota": False,
                    "expired_time": -1,
                    "model_limits_enabled": True,
                    "model_limits": '["gpt-5.4", "claude-sonnet-4-6"]',
                    "allow_ips": "203.0.113.10",
                },
            ]
        }
    )

    name: Name
    """May repeat."""
    count: Annotated[StrictInt, Field(ge=1, le=MAX_AT_ONCE)] = 1
    """So many tokens; above 1 the answer has `items`."""
    user_id: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)] | None = None
    """Whose it is, for administrators: a user whom they may manage; else yours."""
    account_id: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)] | None = None
    """The account that pays, one that you are a member of; without it, your own choice in your profile."""


class UpdateBody(TokenFields):
    """What is to change: absent fields stay. What is read-only in GET's object is ignored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": 1, "name": "my app, renamed"}]}
    )

    id: StrictInt | None = None
    """Only as the path says."""
    version: StrictInt | None = None
    """The version that is to be changed: 412 if it is another by now. `If-Match` goes before it."""
    name: Name | None = None
    """May repeat."""
    status: Annotated[StrictInt, Field(ge=1, le=4)] | None = None
    """1 enabled, 2 disabled; 3 and 4 may be sent back, and change nothing."""
    add_quota: StrictInt | None = None
    """Quota units to add to the grant; negative takes away."""
    add_quota_usd: Amount | None = None
    """Likewise, in dollars."""
    held_quota: Any = None
    """Ignored."""
    quota: Any = None
    """Ignored."""
    used_quota: Annotated[StrictInt, Field(ge=0)] | None = None
    """What `remain_quota` was read with."""
    key: StrictStr | None = None
    """Only as it is shown: keys cannot be set."""
    user_id: Any = None
    """Ignored."""
    username: Any = None
    """Ignored."""
    account_id: Any = None
    """Ignored."""
    created_time: Any = None
    """Ignored."""
    accessed_time: Any = None
    """Ignored."""
    inherited: Any = None
    """Ignored."""
    effective: Any = None
    """Ignored."""
    warnings: Any = None
    """Ignored."""
    recoverable: Any = None
    """Ignored."""
    overlap_until: Any = None
    """Ignored."""
    secrets: Any = None
    """Ignored."""


class PutBody(UpdateBody):
    """As for PATCH, with the token's `id`. GET's object may be sent back whole."""

    id: StrictInt
    """The token."""


class RotateBody(Body):
    """For how long the present secret goes on; an empty body ends it at once."""

    overlap_seconds: Annotated[StrictInt, Field(ge=0, le=MAX_OVERLAP_S)] = 0
    """So long the present secret still opens the token."""
    version: StrictInt | None = None
    """The version that is to be changed: 412 if it is another by now."""


class FindBody(Body):
    """A secret as it was pasted."""

    key: Annotated[StrictStr, Field(min_length=1, max_length=4096)]
    """The whole secret."""


TokenId = Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]
Ids = Annotated[list[TokenId], Field(min_length=1, max_length=MAX_AT_ONCE)]


class IdsBody(Body):
    """The tokens that are meant."""

    ids: Ids
    """Ids of tokens."""


class BatchStatusBody(Body):
    """The tokens that are meant, and their new status."""

    ids: Ids
    """Ids of tokens."""
    status: Annotated[StrictInt, Field(ge=1, le=2)]
    """1 enables, 2 disables."""
