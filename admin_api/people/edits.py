"""From a body to a user to be made or changed, or an access token: the rules across fields (pure)."""

from datetime import datetime

from admin_api.context import Caller
from admin_api.envelope import Code, Declined
from admin_api.fields import nusd_of, parse_ips, parse_name
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
from gateway.domain.units import Units
from gateway.store.access_tokens import AccessTokenDraft


def draft_of(body: CreateUserBody, caller: Caller, units: Units) -> UserDraft:
    """The user to be made. Raises `Rejected`, and `Declined` where money or a wallet is not the caller's to give."""
    granted = _grant(body, units)
    if (granted != 0 or body.account_id is not None) and not caller.may(
        Permission.ACCOUNT_WRITE_ANY
    ):
        raise Declined(
            Code.FORBIDDEN,
            f"Money, and a place in an account, need the permission {Permission.ACCOUNT_WRITE_ANY}.",
        )
    return UserDraft(
        username=parse_username(body.username),
        display_name=parse_display_name(body.display_name),
        email=parse_email(body.email),
        role=body.role,
        group=body.group,
        account_id=body.account_id,
        granted=granted,
    )


def change_of(body: UpdateUserBody, row: UserRow) -> UserChange:
    """What the body makes of the row. Raises `Rejected`."""
    if body.username is not None and body.username != row.username:
        raise invalid("username", f"is {row.username!r} and stays so; leave it out.")
    shown = row.display_name or row.username  # as GET has it: sent back it changes nothing
    same = body.display_name is None or body.display_name == shown
    return UserChange(
        display_name=UNCHANGED if same else parse_display_name(body.display_name or ""),
        email=UNCHANGED if body.email is None else parse_email(body.email),
        group=body.group or UNCHANGED,
        role=body.role or UNCHANGED,
        status=body.status or UNCHANGED,
    )


def access_token_of(body: AccessTokenBody, caller: Caller, now: datetime) -> AccessTokenDraft:
    """The access token to be made: what confines the caller confines it, too. Raises `Rejected`."""
    scopes = parse_scopes(body.scopes, caller.permissions)
    allow_ips = parse_ips("allow_ips", body.allow_ips) or ()
    access = caller.access
    if access is not None and access.scopes and not scopes:
        scopes = tuple(sorted(caller.permissions))
    if access is not None and access.allow_ips:
        if allow_ips and not set(allow_ips) <= set(access.allow_ips):
            bound = ", ".join(access.allow_ips)
            raise invalid("allow_ips", f"yours is bound to {bound}: name some of these, or none.")
        allow_ips = allow_ips or access.allow_ips
    return AccessTokenDraft(
        name=parse_name(body.name),
        scopes=scopes,
        allow_ips=allow_ips,
        expires_at=parse_end(body.expired_time, body.expires_in_days, now),
    )


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
        raise invalid(names[0], f"and {names[1]} exclude each other; send one of them.")
    if body.unlimited_quota:
        return None
    if body.grant_usd is not None:
        return nusd_of("grant_usd", body.grant_usd)
    if (body.quota or 0) > units.largest:
        raise invalid("quota", f"may be {units.largest} units at most.")
    return (body.quota or 0) * units.nusd
