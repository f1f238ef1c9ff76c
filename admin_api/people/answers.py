"""What is in `data` of answers about people: types as in `admin_api/answers.py`."""

from typing import Any, Literal

from pydantic import ConfigDict

from admin_api.answers import Answer, Effective, Page, Seconds


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


class User(Profile):
    """A user as administrators see them, with the money of their account."""

    email: str | None
    email_verified: bool
    account_id: int
    """The account that their new tokens belong to."""
    quota: int
    """Quota units left on it; 0 where it is unlimited."""
    used_quota: int
    unlimited_quota: bool
    created_time: Seconds
    version: int
    """Goes up with every change; for `If-Match`."""


class CreatedUser(User):
    """A new user."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    password: str | None
    """The one-time password, this once; null where one was given."""


class UserPage(Page):
    """A page of users; one beyond the end is empty."""

    items: list[User]


class Password(Answer):
    """A one-time password, this once. It opens only the user's own profile, until they have chosen another."""

    username: str
    password: str


class Session(Answer):
    """A session of the console."""

    id: int
    address: str | None
    """Where it was begun."""
    user_agent: str
    created_time: Seconds
    seen_time: Seconds
    """Unix seconds of its last call, right to a minute."""
    expired_time: Seconds
    """It ends then in any case; half an hour without a call ends it sooner."""
    current: bool
    """Whether it is the one that asks."""


class AccessToken(Answer):
    """An access token; its secret is not kept."""

    id: int
    user_id: int
    name: str
    scopes: list[str]
    """Permissions that it is confined to; none: all that the role may do."""
    allow_ips: list[str]
    """Where it is taken from; none: anywhere."""
    created_time: Seconds
    expired_time: int
    """Unix seconds; -1 is never."""
    last_used_time: int
    """Unix seconds, right to a minute; 0 is never."""


class CreatedAccessToken(AccessToken):
    """A new access token, with its secret, this once."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    access_token: str
    """What goes behind `Bearer`. It is never shown again."""


class Group(Answer):
    """A group that one's tokens may name."""

    ratio: float
    """What prices are multiplied by."""
    desc: str
    models: list[str]
    """What can be called in it."""
    token_defaults: Effective
    """What applies to its tokens where they leave a rule to it; null restricts nothing."""


class AuditRow(Answer):
    """Something that was changed."""

    id: int
    at: float
    """Unix seconds."""
    actor: str
    """`user:1`; `cli`, an operator's command; `system`, Tollhouse itself; `nobody`, a log-in that failed."""
    actor_name: str | None
    """The user's name, if it was one."""
    action: str
    object_kind: str
    object_id: str
    before: dict[str, Any] | None
    """What was changed, as it was."""
    after: dict[str, Any] | None
    """The same, as it was then."""
    address: str | None
    request_id: str | None
    """The `X-Request-Id` of the call."""


class AuditPart(Answer):
    """A part of the audit, the newest first."""

    items: list[AuditRow]
    next_cursor: int | None
    """For what comes behind; null where there is no more."""


class OfferedFigures(Answer):
    """What calls cost, in dollars, with the group's ratio; null: nobody has said."""

    input_usd_per_mtok: float | None
    """For a million tokens of input."""
    output_usd_per_mtok: float | None
    cached_input_usd_per_mtok: float | None
    cache_write_usd_per_mtok: float | None
    request_usd: float | None
    """For each call, beside its tokens."""


class OfferedTier(OfferedFigures):
    """What calls with more input cost."""

    above_input_tokens: int


class OfferedPrice(OfferedFigures):
    """What calls of a model cost in a group."""

    group: str
    ratio: float
    """The group's; it is in the figures."""
    tiers: list[OfferedTier]


class Offer(OfferedFigures):
    """A model that the caller's groups offer. Its own figures are those of the first group."""

    name: str
    groups: list[str]
    """The groups that offer it, the caller's own before others."""
    dialects: list[Literal["openai", "anthropic", "gemini"]]
    """In which it can be called."""
    members: list[str] | None
    """It stands for these models, the first to be called first; each costs what it costs by itself."""
    max_input_tokens: int | None
    max_output_tokens: int | None
    prices: list[OfferedPrice]
    """One for each of `groups`."""
