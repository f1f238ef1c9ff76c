"""The bodies of people: what may be said of a user, of oneself and of an access token, and to log in."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr

from admin_api.bodies import Body, IsNumber, Lines, Name
from admin_api.people.fields import USERNAME_PATTERN
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.emails import PATTERN
from gateway.domain.limits import MAX_EXACT
from gateway.domain.roles import Permission

Role = Literal["owner", "admin", "operator", "viewer", "user"]
UserId = Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]
Group = Annotated[StrictStr, Field(min_length=1, max_length=100)]
# What a schema can say of `fields.parse_username` and its like.
Username = Annotated[StrictStr, Field(json_schema_extra={"pattern": USERNAME_PATTERN})]
DisplayName = Annotated[
    StrictStr, Field(json_schema_extra={"maxLength": 100, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"})
]
Email = Annotated[StrictStr, Field(json_schema_extra={"pattern": f"^$|{PATTERN}"})]
Scope = Annotated[StrictStr, Field(json_schema_extra={"enum": [str(p) for p in Permission]})]
_MAX_DAYS = 36_500


class CreateUserBody(Body):
    """A user to be made, with an account of their own unless they join one."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"username": "ada", "email": "ada@example.com", "grant_usd": 5}]
        }
    )

    username: Username
    """To log in with: letters, digits and `. _ @ + -`; case does not matter."""
    password: Annotated[StrictStr, Field(max_length=1024)] | None = None
    """Theirs from now on; without it a one-time password is made, and answered."""
    display_name: DisplayName = ""
    """How they are shown."""
    email: Email = ""
    """An address that nobody else here has."""
    group: Group = "default"
    """The group of their tokens that name none."""
    role: Role = "user"
    """Below your own, unless you are an owner."""
    grant_usd: (
        Annotated[Decimal, Field(ge=0, le=Decimal(MAX_EXACT - 1) / NUSD_PER_USD), IsNumber] | None
    ) = None
    """Dollars on the account of their own; nothing without it."""
    quota: Annotated[StrictInt, Field(ge=0)] | None = None
    """Likewise, in quota units."""
    unlimited_quota: StrictBool | None = None
    """No cap on the account of their own."""
    account_id: UserId | None = None
    """The account that they join, as a member, instead of one of their own."""


class UpdateUserBody(Body):
    """What is to change: absent fields stay. What is read-only in GET's object is ignored."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": 2, "display_name": "Ada"}]})

    id: UserId | None = None
    """Only as the path says."""
    version: StrictInt | None = None
    """The version that is to be changed: 412 if it is another by now. `If-Match` goes before it."""
    username: StrictStr | None = None
    """Only as it is."""
    display_name: DisplayName | None = None
    """How they are shown."""
    email: Email | None = None
    """An address that nobody else here has; empty takes it away."""
    group: Group | None = None
    """The group of their tokens that name none."""
    role: Role | None = None
    """Below your own, unless you are an owner."""
    status: Annotated[StrictInt, Field(ge=1, le=2)] | None = None
    """1 enabled, 2 disabled: their log-in, access tokens and keys are refused."""
    email_verified: Any = None
    """Ignored."""
    password_change_required: Any = None
    """Ignored."""
    account_id: Any = None
    """Ignored."""
    quota: Any = None
    """Ignored."""
    used_quota: Any = None
    """Ignored."""
    unlimited_quota: Any = None
    """Ignored."""
    created_time: Any = None
    """Ignored."""


class PutUserBody(UpdateUserBody):
    """As for PATCH, with the user's `id`. GET's object may be sent back whole."""

    id: UserId
    """The user."""


class ManageBody(Body):
    """A user, and what is to be done, as New-API says it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": 2, "action": "enable"}]})

    id: UserId
    """The user."""
    action: Literal["enable", "disable", "promote", "demote", "delete"]
    """`promote` makes an admin, `demote` a user."""


class AccessTokenBody(Body):
    """An access token to be made."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "backup", "scopes": ["token.read"], "expires_in_days": 90}]
        }
    )

    name: Name
    """What it is for."""
    scopes: Annotated[tuple[Scope, ...], Field(max_length=100)] = ()
    """Permissions that it is confined to, of those that you have; none: all that you may do."""
    allow_ips: Lines = ""
    """Addresses and CIDR blocks that it is taken from: a list, or by lines or commas."""
    expired_time: Annotated[StrictInt, Field(ge=-1)] | None = None
    """Unix seconds, in the future; -1 or 0 is never."""
    expires_in_days: Annotated[StrictInt, Field(ge=0, le=_MAX_DAYS)] | None = None
    """Counted from the call; 0 is never."""


class LoginBody(Body):
    """A user's name and password."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"username": "admin", "password": "three plain words"}]}
    )

    username: Annotated[StrictStr, Field(max_length=256)]
    """As the user was made with; case does not matter."""
    password: Annotated[StrictStr, Field(max_length=1024)]
    """The password, a one-time one or their own."""


class SelfBody(Body):
    """What is to change of yourself: at least one of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"display_name": "Ada"}],
            "anyOf": [
                {"required": ["display_name"]},
                {"required": ["password"]},
                {"required": ["account_id"]},
                {"required": ["email"]},
                {"required": ["mail_warnings"]},
            ],
            "dependentRequired": {
                "password": ["original_password"],
                "email": ["original_password"],
            },
        }
    )

    display_name: Annotated[StrictStr, Field(max_length=100)] | None = None
    """How you are shown."""
    original_password: Annotated[StrictStr, Field(max_length=1024)] | None = None
    """Your present password; required with `password` and `email`."""
    password: Annotated[StrictStr, Field(max_length=1024)] | None = None
    """A new password. It ends all other sessions."""
    account_id: Annotated[StrictInt, Field(ge=1, le=2**63 - 1)] | None = None
    """The account that your new tokens belong to, one that you are a member of."""
    email: Annotated[StrictStr, Field(max_length=254)] | None = None
    """Another address of yours, or none (empty). It has to be verified."""
    mail_warnings: StrictBool | None = None
    """Whether you want warnings by e-mail."""
