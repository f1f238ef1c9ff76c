"""Handlers of log-in, log-out and one's own profile."""

from typing import Any

from aiohttp import web

from admin_api.auth import check_json_type, check_same_origin
from admin_api.bodies import read_body
from admin_api.brake import Braked
from admin_api.context import ADDRESS, CALLER, SERVICES, Caller, Services, nobody, self_actor
from admin_api.cookies import set_session
from admin_api.envelope import Code, Declined, accept, too_many
from admin_api.people.bodies import LoginBody, SelfBody
from admin_api.people.fields import parse_display_name, parse_email
from admin_api.people.letters import write_verification
from gateway.domain.edit import UNCHANGED, Actor
from gateway.domain.rejection import Problem, invalid, rejected
from gateway.domain.roles import ROLES
from gateway.domain.rules import Rule
from gateway.store.logins import logged_in_before, note_failures
from gateway.store.members import set_default_account
from gateway.store.passwords import check_new_password
from gateway.store.people import (
    OwnChange,
    User,
    change_own,
    find_user,
    find_wallet,
    set_password,
)
from gateway.store.postgres import transaction
from gateway.store.sessions import close_session, open_session

_SESSION_S = 12 * 3600


async def login(request: web.Request) -> web.Response:
    """POST /api/user/login: a session cookie for a name and a password."""
    check_same_origin(request, unknown_is_ours=True)
    check_json_type(request)
    services = request.app[SERVICES]
    body = await read_body(request, LoginBody)
    user = await _known(request, body.username, body.password)
    if user is None:
        raise Declined(Code.INVALID_LOGIN, "Wrong username or password.")
    if not user.enabled:
        raise Declined(
            Code.USER_DISABLED, "This user is disabled; an administrator can enable them."
        )
    response = accept(_profile(user))
    await begin_session(request, response, services, user)
    return response


async def logout(request: web.Request) -> web.Response:
    """POST /api/user/logout: ends the session, if it was one."""
    services, caller = request.app[SERVICES], request[CALLER]
    if caller.session is not None:
        actor = self_actor(request, caller.user)
        await close_session(services.pool, actor, caller.user, caller.session, services.pepper)
    response = accept()
    set_session(request, response, "", 0)
    return response


async def show_self(request: web.Request) -> web.Response:
    """GET /api/user/self: your profile, with the account's money."""
    services, caller = request.app[SERVICES], request[CALLER]
    wallet = await find_wallet(services.pool, caller.user.account_id)
    units = services.units
    return accept(
        {
            **_profile(caller.user),
            "email": caller.user.email,
            "email_verified": caller.user.email_verified,
            "mail_warnings": caller.user.mail_warnings,
            "account_id": caller.user.account_id,
            "quota": 0 if wallet.granted is None else units.remaining(wallet.granted, wallet.used),
            "used_quota": units.used(wallet.used),
            "unlimited_quota": wallet.granted is None,
            "permissions": sorted(caller.permissions),
            "address": request[ADDRESS].text if ADDRESS in request else None,
        }
    )


async def update_self(request: web.Request) -> web.Response:
    """PUT /api/user/self: changes your name, address, password or account. A new password ends all other sessions.

    Another address is not verified: a letter with a link is sent to it, where e-mail is set up.
    """
    services, caller = request.app[SERVICES], request[CALLER]
    body = await read_body(request, SelfBody)
    if body.model_dump(exclude={"original_password"}, exclude_none=True) == {}:
        raise invalid("password", Rule.NOTHING_TO_CHANGE)
    change = _own_change(body)
    if body.password is not None or body.email is not None:
        await _require_password(request, caller, body)
    actor = self_actor(request, caller.user)
    response = accept()
    if body.password is not None:
        await _change_password(services, actor, caller, body)
        if caller.session is not None:
            await begin_session(request, response, services, caller.user)
    await _say(services, actor, caller.user, change)
    if body.account_id is not None:
        await set_default_account(services.pool, actor, caller.user, body.account_id)
    return response


def _own_change(body: SelfBody) -> OwnChange:
    return OwnChange(
        UNCHANGED if body.display_name is None else parse_display_name(body.display_name),
        UNCHANGED if body.email is None else parse_email(body.email),
        UNCHANGED if body.mail_warnings is None else body.mail_warnings,
    )


async def _say(services: Services, actor: Actor, user: User, change: OwnChange) -> None:
    async with transaction(services.pool) as connection:
        await change_own(connection, actor, user, change)
        is_new = change.email not in {UNCHANGED, None, user.email}
        if is_new and services.dispatch.has_mail:
            await write_verification(connection, services, user.id, str(change.email))
    services.dispatch.wake()


async def _require_password(request: web.Request, caller: Caller, body: SelfBody) -> None:
    """Whoever finds an open session must not come to own the user by it."""
    if body.original_password is None:
        raise invalid("original_password", Rule.PASSWORD_REQUIRED)
    if body.password is not None:
        check_new_password(body.password, username=caller.user.username, old=body.original_password)
    if await _known(request, caller.user.username, body.original_password) is None:
        raise rejected(Problem.WRONG_PASSWORD, "original_password", Rule.PASSWORD_WRONG)


async def _change_password(
    services: Services, actor: Actor, caller: Caller, body: SelfBody
) -> None:
    assert body.password is not None
    hashed = await services.passwords.hash(body.password)
    await set_password(services.pool, actor, caller.user.id, hashed, once=False)


async def _known(request: web.Request, username: str, password: str) -> User | None:
    """The user, if the password is right. As slow for a user that there is not."""
    services = request.app[SERVICES]
    pool, brake, username = services.pool, services.brake, username.strip()
    address = request[ADDRESS].text if ADDRESS in request else ""
    known = brake.slows(username, address) and await logged_in_before(pool, username, address)
    try:
        with brake.attempt(username, address, known=known):
            found = await find_user(pool, username)
            user, stored = found or (None, None)
            if not await services.passwords.verify(stored, password):
                failures = brake.failed(username, address)
                user_id = None if user is None else user.id
                await note_failures(pool, nobody(request), user_id, failures)
                return None
            brake.succeeded(username, address)
            return user
    except Braked as braked:
        raise too_many("wrong passwords", braked.retry_after_s) from None


async def begin_session(
    request: web.Request, response: web.Response, services: Services, user: User
) -> None:
    """Open a session and set its cookie."""
    value = await open_session(
        services.pool,
        self_actor(request, user),
        user,
        services.pepper,
        user_agent=request.headers.get("User-Agent", ""),
    )
    set_session(request, response, value, _SESSION_S)


def _profile(user: User) -> dict[str, Any]:
    assert user.role in ROLES
    return {
        "id": user.id,
        "username": user.username,
        "display_name": user.display_name or user.username,
        "role": user.role,
        "status": 1 if user.enabled else 2,
        "group": user.group,
        "password_change_required": user.password_once,
    }
