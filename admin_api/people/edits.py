"""From a body to a user to be made or changed, or an access token: the rules across fields (pure)."""

from datetime import datetime

from admin_api.context import Caller
from admin_api.envelope import Code, Declined
from admin_api.fields import nusd_of, parse_ips, parse_name
from admin_api.mistakes import Mistakes
from admin_api.people.bodies import AccessTokenBody, CreateUserBody, UpdateUserBody
from admin_api.people.fields import (
    parse_display_name,
    parse_email,
    parse_end,
    parse_scopes,
    parse_username,
)
from gateway.domain.edit import UNCHANGED
from gateway.domain.people import UserChange, UserDraft, UserRow
from gateway.domain.rejection import invalid
from gateway.domain.roles import Permission
from gateway.domain.rules import Rule
from gateway.domain.units import Units
from gateway.store.access_tokens import AccessTokenDraft


def draft_of(body: CreateUserBody, caller: Caller, units: Units) -> UserDraft:
    """The user to be made.

    Raises `Rejected` with all mistakes, and `Declined` where money or a wallet is not the caller's to give.
    """
    found = Mistakes()
    granted = found.reading(_grant, body, units)
    draft = UserDraft(
        username=found.reading(parse_username, body.username),
        display_name=found.reading(parse_display_name, body.display_name),
        email=found.reading(parse_email, body.email),
        role=body.role,
        group=body.group,
        account_id=body.account_id,
        granted=granted,
    )
    found.raise_any(CreateUserBody.model_fields)
    if (granted != 0 or body.account_id is not None) and not caller.may(
        Permission.ACCOUNT_WRITE_ANY
    ):
        raise Declined(
            Code.FORBIDDEN,
            f"Money, and a place in an account, need the permission {Permission.ACCOUNT_WRITE_ANY}.",
        )
    return draft


def change_of(body: UpdateUserBody, row: UserRow) -> UserChange:
    """What the body makes of the row. Raises `Rejected` with all mistakes."""
    found = Mistakes()
    found.reading(_check_username, body, row)
    shown = row.display_name or row.username  # as GET has it: sent back it changes nothing
    same = body.display_name is None or body.display_name == shown
    name = found.reading(parse_display_name, body.display_name or "")
    email = found.reading(parse_email, body.email or "")
    found.raise_any(UpdateUserBody.model_fields)
    return UserChange(
        display_name=UNCHANGED if same else name,
        email=UNCHANGED if body.email is None else email,
        group=body.group or UNCHANGED,
        role=body.role or UNCHANGED,
        status=body.status or UNCHANGED,
    )


def access_token_of(body: AccessTokenBody, caller: Caller, now: datetime) -> AccessTokenDraft:
    """The access token to be made: what confines the caller confines it, too. Raises `Rejected` with all mistakes."""
    found = Mistakes()
    name = found.reading(parse_name, body.name)
    scopes = found.reading(parse_scopes, body.scopes, caller.permissions)
    allow_ips = found.reading(parse_ips, "allow_ips", body.allow_ips) or ()
    expires_at = found.reading(parse_end, body.expired_time, body.expires_in_days, now)
    found.raise_any(AccessTokenBody.model_fields)
    access = caller.access
    if access is not None and access.scopes and not scopes:
        scopes = tuple(sorted(caller.permissions))
    if access is not None and access.allow_ips:
        if allow_ips and not set(allow_ips) <= set(access.allow_ips):
            blocks = [*access.allow_ips]
            raise invalid("allow_ips", Rule.ADDRESSES_NOT_YOURS, blocks=blocks)
        allow_ips = allow_ips or access.allow_ips
    return AccessTokenDraft(
        name=name,
        scopes=scopes,
        allow_ips=allow_ips,
        expires_at=expires_at,
    )


def _check_username(body: UpdateUserBody, row: UserRow) -> None:
    if body.username is not None and body.username != row.username:
        raise invalid("username", Rule.USERNAME_STAYS, username=row.username)


def _grant(body: CreateUserBody, units: Units) -> int | None:
    """What is on the account of their own, nano-dollars; None = uncapped."""
    given = {
        "grant_usd": body.grant_usd,
        "quota": body.quota,
        "unlimited_quota": body.unlimited_quota or None,
        "account_id": body.account_id,
    }
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise invalid(names[0], Rule.EXCLUDES, other=names[1])
    if body.unlimited_quota:
        return None
    if body.grant_usd is not None:
        return nusd_of("grant_usd", body.grant_usd)
    if (body.quota or 0) > units.largest:
        raise invalid("quota", Rule.GRANT_TOO_LARGE, most=units.largest)
    return (body.quota or 0) * units.nusd
