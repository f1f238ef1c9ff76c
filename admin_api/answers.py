"""What is in `data` of each answer: types for the API's document, and for readers.

Handlers build plain dicts; tests hold these types against them.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

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

Seconds = Annotated[int, Field(description="Unix seconds.")]
Nusd = Annotated[int | None, Field(description="Nano-dollars; null where it is not known.")]


class Answer(BaseModel):
    """A part of `data`; more fields may be added to it."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Page(Answer):
    """What every page says; one beyond the end is empty."""

    page: int
    page_size: int
    total: int


class Nothing(Answer):
    """The answer has no `data`."""


class Limit(Answer):
    """A limit as it is shown; in dollars where `metric` is `usd`."""

    metric: Literal["requests", "tokens", "usd"]
    window: str
    limit: float
    burst: float | None
    bound: float
    """The most that any stretch of the window's length holds."""
    mode: Literal["sliding", "calendar"]
    models: list[str] | None
    """The models that are counted; null counts all."""
    time_zone: str
    shadow: bool
    """It refuses nothing, and tells what it would have refused."""


class Effective(Answer):
    """What is in force, with the group's defaults; null restricts nothing."""

    models: list[str] | None
    allow_ips: list[str]
    deny_ips: list[str]
    limits: list[Limit]
    max_concurrency: int | None


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


class ScopeMoney(Answer):
    """The money of one scope."""

    granted_nusd: Nusd
    """Null where the scope has no cap."""
    used_nusd: Nusd
    pending_nusd: Nusd
    """Settled, and not in the ledger yet."""
    held_nusd: Nusd
    """Held by running calls."""
    available_nusd: Nusd
    """What a further call can cost at most; null where the scope has no cap."""


class Quota(Answer):
    """The money of the four scopes of a token; the smallest `available_nusd` counts."""

    token: ScopeMoney
    member: ScopeMoney
    subscription: ScopeMoney
    account: ScopeMoney


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


class Reservation(Answer):
    """A running call, and what it holds."""

    request_id: str
    """The `x-request-id` of the answer to come."""
    model: str
    started_at: float
    """Unix seconds."""
    age_s: float
    held_quota: int
    held_nusd: int
    tokens: int
    """The tokens that the call is held for."""


class Profile(Answer):
    """A user."""

    id: int
    username: str
    display_name: str
    role: Literal["owner", "admin", "operator", "viewer", "user"]
    status: Literal[1, 2]
    """1 enabled, 2 disabled."""
    group: str
    password_change_required: bool
    """Whether the password is a one-time one."""


class OwnProfile(Profile):
    """The caller, with the money of their account."""

    email: str | None
    email_verified: bool
    mail_warnings: bool
    """Whether warnings come by e-mail."""
    account_id: int
    quota: int
    """Quota units left; 0 where it is unlimited."""
    used_quota: int
    unlimited_quota: bool
    permissions: list[str]
    """What role and access token allow together."""
    address: str | None
    """The address that this call came from; null where a proxy tells an unreadable one."""


class SignInProvider(Answer):
    """A provider with which people sign in."""

    name: str
    """For people."""
    login_url: str
    """Where a browser begins."""


class Currency(Answer):
    """In what money is shown to people; books and prices are dollars."""

    code: str
    """Three letters (ISO 4217)."""
    rate: float
    """How much of it a US dollar is."""


class Installation(Answer):
    """What this installation is."""

    system_name: str
    """What the operator calls it."""
    version: str
    quota_per_unit: int
    """Quota units in a dollar."""
    gateway_url: str
    openai_base_url: str
    """The base URL for OpenAI SDKs."""
    admin_url: str
    registration: Literal["open", "invite", "closed"]
    """Who may register."""
    oidc_providers: list[SignInProvider]
    """With which one signs in instead of with a password."""
    mail: bool
    """Whether e-mail is sent: to reset a password, to verify an address."""
    email_verification_required: bool
    """Whether an address is to be verified before the first key."""
    insecure_http: bool
    """Whether a session of the caller lasts over plain http (`admin.insecure_http`, and a private address)."""
    language: Literal["en", "zh"]
    """That of people who have not chosen one."""
    logo: str | None
    """Where the operator's logo is, on this server."""
    notice: str
    """A line for everybody; empty where there is none."""
    currency: Currency
