"""What is in `data` of answers about tokens: types as in `admin_api/answers.py`."""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from admin_api.answers import Answer, Effective, Limit, Page, Quota, Seconds

_EXAMPLE_TOKEN: Final[dict[str, Any]] = {
    "id": 7,
    "user_id": 1,
    "username": "admin",
    "key": "sk-Ab12****wxyz",
    "status": 1,
    "name": "my app",
    "created_time": 1_800_000_000,
    "accessed_time": 1_800_000_100,
    "expired_time": -1,
    "remain_quota": 2_487_655,
    "unlimited_quota": False,
    "model_limits_enabled": True,
    "model_limits": '["gpt-5.4"]',
    "allow_ips": "203.0.113.10",
    "used_quota": 12_345,
    "held_quota": 0,
    "group": "default",
    "account_id": 1,
    "quota_usd": 5,
    "deny_ips": "",
    "limits": None,
    "max_concurrency": None,
    "reserve": None,
    "metadata": {},
    "version": 3,
    "recoverable": False,
    "overlap_until": 0,
    "inherited": ["group", "deny_ips", "limits", "max_concurrency"],
    "effective": {
        "models": ["gpt-5.4"],
        "allow_ips": ["203.0.113.10"],
        "deny_ips": [],
        "limits": [],
        "max_concurrency": None,
    },
}
_EXAMPLE_KEY = "sk-" + "…" * 49


class Token(Answer):
    """A token. Its key is masked."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE_TOKEN]})

    id: int
    user_id: int
    """Who made it."""
    username: str
    """Their name."""
    key: str
    """Masked: the first and the last four characters."""
    status: Annotated[int, Field(ge=1, le=4)]
    """1 enabled, 2 disabled, 3 expired, 4 exhausted; worked out when it is read."""
    name: str
    created_time: Seconds
    accessed_time: Seconds
    """Unix seconds of its last call; 0 if there was none."""
    expired_time: int
    """Unix seconds; -1 is never."""
    remain_quota: int
    """Quota units left; 0 where it is unlimited."""
    unlimited_quota: bool
    """Whether the token has no cap of its own."""
    model_limits_enabled: bool
    model_limits: str
    """A JSON array in a text; empty if the group says."""
    allow_ips: str
    """One address or block on each line."""
    used_quota: int
    """Quota units used, rounded up."""
    held_quota: int | None
    """Quota units that running calls hold; null while the quota store cannot be asked."""
    group: str
    account_id: int
    """The wallet that pays."""
    quota_usd: float | None
    """The grant in dollars; 0 is unlimited, null is nothing."""
    deny_ips: str
    """One address or block on each line; they go before `allow_ips`."""
    limits: list[Limit] | None
    """Null if the group says."""
    max_concurrency: int | None
    """Calls at once; 0 is no limit of its own, null if the group says."""
    reserve: Literal["strict", "estimate"] | None
    """How much a call is held for; null if the configuration says."""
    metadata: dict[str, Any]
    version: int
    """Goes up with every change; for `If-Match`."""
    recoverable: bool
    """Whether its present key can be revealed."""
    overlap_until: int
    """Unix seconds: when the last older secret ends that a rotation left in force; 0 where there is none."""
    inherited: list[str]
    """The fields that are left to the group."""
    effective: Effective


class CreatedToken(Token):
    """A new token, with its whole key, this once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_EXAMPLE_TOKEN, "key": _EXAMPLE_KEY, "warnings": []}]}
    )

    key: str
    """The whole key. It is never shown again."""
    warnings: list[str]
    """What is allowed but hardly meant, in words."""


class CreatedTokens(Answer):
    """Several new tokens, each with its whole key, this once."""

    items: list[CreatedToken]


class Secret(Answer):
    """A secret that opens a token, or did."""

    key: str
    """Masked."""
    purpose: str
    created_time: Seconds
    expired_time: int
    """Unix seconds; -1 where no rotation ended or ends it."""
    last_used_time: int
    """Unix seconds, right to about ten seconds; 0 is never."""


class TokenWithSecrets(Token):
    """A token, with its secrets, the newest first."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    secrets: list[Secret]


class RotatedToken(Token):
    """A token with a new secret, which is shown whole, this once."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    key: str
    """The whole new key. It is never shown again."""


class Key(Answer):
    """A revealed key."""

    key: str


class Keys(Answer):
    """Revealed keys, by the id of their token."""

    keys: dict[str, str]
    missing: dict[str, str]
    """Why the others have none, by id."""


class TokenWithQuota(TokenWithSecrets):
    """A token, with its secrets and the money of its scopes."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    quota: Quota


class TokenPage(Page):
    """A page of tokens; one beyond the end is empty."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "page": 1,
                    "page_size": 10,
                    "total": 1,
                    "total_is_estimate": False,
                    "items": [_EXAMPLE_TOKEN],
                }
            ]
        }
    )

    total_is_estimate: bool
    """Beyond 10,000, `total` is the planner's guess."""
    items: list[Token]
