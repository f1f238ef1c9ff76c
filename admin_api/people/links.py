"""Handlers of links in e-mails: to reset a password, and to verify an address."""

import asyncio
from typing import Final

from aiohttp import web

from admin_api.auth import check_json_type, check_same_origin
from admin_api.bodies import read_body
from admin_api.brake import Braked, Ration, place_of
from admin_api.context import ADDRESS, CALLER, SERVICES, nobody
from admin_api.envelope import Code, Declined, accept, too_many
from admin_api.people.letters import (
    require_mail,
    write_password_changed,
    write_reset,
    write_verification,
)
from admin_api.people.link_bodies import AskResetBody, ResetBody, VerifyBody
from gateway.domain.rejection import invalid
from gateway.domain.roles import Permission
from gateway.domain.rules import Rule
from gateway.store.links import (
    find_link,
    find_recipient,
    reset_password,
    use_link,
    verify_email,
)
from gateway.store.passwords import check_new_password
from gateway.store.postgres import transaction

ANSWERED_AFTER_S: Final = 0.3
"""Longer than looking up and writing takes: the answer's time does not tell whether anybody has an address."""

_SENT: Final = "If a user has this address, a letter with a link is on its way."


async def ask_reset(request: web.Request) -> web.Response:
    """POST /api/user/reset: sends a link for a new password to whoever has an address.

    The answer is the same, and takes the same time, if nobody has it.
    """
    check_visitor(request)
    services = request.app[SERVICES]
    body = await read_body(request, AskResetBody)
    require_mail(services)
    ration(services.throttles.resets, network_of(request), "requests for a new password")
    ration(services.throttles.letters, body.email.lower(), "letters to this address")
    done = asyncio.create_task(asyncio.sleep(ANSWERED_AFTER_S))
    async with transaction(services.pool) as connection:
        found = await find_recipient(connection, body.email)
        if found is not None:
            await write_reset(connection, services, *found)
    services.dispatch.wake()
    await done
    return accept(remark=_SENT)


async def reset(request: web.Request) -> web.Response:
    """PUT /api/user/reset: a new password, by the token of a link. It ends all sessions."""
    check_visitor(request)
    services = request.app[SERVICES]
    body = await read_body(request, ResetBody)
    owner = await find_link(services.pool, "reset", body.token, services.pepper)
    if owner is None:
        raise _dead_link("POST /api/user/reset")
    check_new_password(body.password, username=owner.username, old="")
    hashed = await services.passwords.hash(body.password)
    actor = nobody(request)
    async with transaction(services.pool) as connection:
        owner = await use_link(connection, "reset", body.token, services.pepper)
        if owner is None:
            raise _dead_link("POST /api/user/reset")
        await reset_password(connection, actor, owner, hashed)
        await write_password_changed(connection, services, owner.username, owner.email)
    services.dispatch.wake()
    services.brake.succeeded(owner.username, "" if actor.address is None else actor.address)
    return accept()


async def ask_verification(request: web.Request) -> web.Response:
    """POST /api/user/self/verify: sends a link to your address, by which you show that it is yours."""
    services, user = request.app[SERVICES], request[CALLER].user
    if user.email is None:
        raise invalid("email", Rule.EMAIL_LACKING)
    if user.email_verified:
        return accept(remark="Your address is verified already; nothing was sent.")
    require_mail(services)
    ration(services.throttles.letters, user.email.lower(), "letters to this address")
    async with transaction(services.pool) as connection:
        await write_verification(connection, services, user.id, user.email)
    services.dispatch.wake()
    return accept(remark="A letter with a link is on its way.")


async def verify(request: web.Request) -> web.Response:
    """POST /api/user/verify: shows that an address is yours, by the token of a link."""
    check_visitor(request)
    services = request.app[SERVICES]
    body = await read_body(request, VerifyBody)
    async with transaction(services.pool) as connection:
        owner = await use_link(connection, "verify", body.token, services.pepper)
        if owner is None:
            raise _dead_link("POST /api/user/self/verify")
        await verify_email(connection, nobody(request), owner)
    return accept()


def require_verified_email(request: web.Request) -> None:
    """Raises `Declined` where the caller has to verify their address before they make a key."""
    services, caller = request.app[SERVICES], request[CALLER]
    if not services.config.admin.require_verified_email or caller.user.email_verified:
        return
    if caller.may(Permission.TOKEN_WRITE_ANY):
        return
    raise Declined(
        Code.EMAIL_NOT_VERIFIED,
        "Verify your e-mail address before you make a key: POST /api/user/self/verify sends a link.",
    )


def check_visitor(request: web.Request) -> None:
    """Refuse what a page of another site makes a browser send."""
    check_same_origin(request, unknown_is_ours=True)
    check_json_type(request)


def network_of(request: web.Request) -> str:
    """Whose requests are counted together: an address, of IPv6 the network that a household has."""
    address = request.get(ADDRESS)
    return "" if address is None else place_of(address.text)


def ration(rations: Ration, name: str, what: str) -> None:
    """Take one. Raises `Declined` where there is none left."""
    try:
        rations.take(name)
    except Braked as braked:
        raise too_many(what, braked.retry_after_s) from None


def _dead_link(remedy: str) -> Declined:
    return Declined(
        Code.INVALID_LINK,
        f"This link is unknown, was used, or is too old; {remedy} sends another.",
    )
