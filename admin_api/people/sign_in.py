"""Handlers of signing in with an OpenID provider: there, and back again."""

import base64
import functools
import hmac
import json
import logging
import re
from typing import Any, Final

from aiohttp import web

from admin_api.console.handlers import page_after
from admin_api.context import SERVICES, Services, nobody
from admin_api.envelope import Code, Declined
from admin_api.parameters import text
from admin_api.people.id_token import Person
from admin_api.people.links import network_of, ration
from admin_api.people.own import begin_session
from admin_api.people.provider import Provider, ProviderUnavailable, Secrets, SignInRefused
from admin_api.people.registration import admit, check_open
from admin_api.route import Handler
from admin_api.status import base_urls
from gateway.domain.catalog import nusd
from gateway.domain.edit import Actor
from gateway.domain.emails import domain_of
from gateway.domain.rejection import Rejected
from gateway.store.identities import (
    find_identity,
    find_verified_owner,
    free_username,
    lock_identity,
    write_identity,
)
from gateway.store.people import User
from gateway.store.postgres import Connection, transaction
from gateway.store.registration import Newcomer, write_newcomer
from gateway.store.seal import Unsealable

_log = logging.getLogger(__name__)

_COOKIE: Final = "__Host-tollhouse-signin"
_COOKIE_S: Final = 600
_OWNER: Final = b"sign-in"
_MAX_COOKIE_CHARACTERS: Final = 2048
_MAX_CODE_CHARACTERS: Final = 4096
_MAX_USERNAME: Final = 48


def _for_browsers(handler: Handler) -> Handler:
    """Refusals are a page to whoever came by a link, and what every other call gets to programs."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (Declined, Rejected) as refusal:
            if "text/html" not in request.headers.get("Accept", ""):
                raise
            code = refusal.code if isinstance(refusal, Declined) else refusal.problem
            return page_after(code, refusal.message)

    return answer


@_for_browsers
async def begin(request: web.Request) -> web.Response:
    """GET /api/oidc/login: sends the browser to the OpenID provider.

    Whoever is to become a user by an invite sends it along as `invite`.
    """
    services = request.app[SERVICES]
    provider = _provider(services)
    ration(services.throttles.sign_ins, network_of(request), "sign-ins")
    own, invite = Secrets.new(), text(request.query, "invite")
    try:
        url = await provider.authorization_url(own, _redirect_uri(services))
    except (ProviderUnavailable, SignInRefused) as error:
        raise _unavailable(error) from error
    response = web.Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})
    sealed = _seal(services, own, invite)
    _set_cookie(response, sealed, _COOKIE_S)
    return response


@_for_browsers
async def finish(request: web.Request) -> web.Response:
    """GET /api/oidc/callback: where the provider sends the browser back to; begins a session."""
    services = request.app[SERVICES]
    provider = _provider(services)
    own, invite = _opened(request, services)
    if request.query.get("error"):
        raise _failed(f"the provider says {text(request.query, 'error')!a}")
    code = text(request.query, "code", _MAX_CODE_CHARACTERS)
    if not code:
        raise _failed("the provider sent no code")
    try:
        person = await provider.person(code, own, _redirect_uri(services))
    except SignInRefused as error:
        _log.warning("a sign-in was refused: %s", error)
        raise _failed("the provider does not confirm who you are; the log has more") from error
    except ProviderUnavailable as error:
        raise _unavailable(error) from error
    user = await _user_of(request, services, person, invite)
    response = web.Response(
        status=303,
        headers={"Location": f"{base_urls(services.config)[1]}/", "Cache-Control": "no-store"},
    )
    await begin_session(request, response, services, user)
    _set_cookie(response, "", 0)
    return response


async def _user_of(request: web.Request, services: Services, person: Person, invite: str) -> User:
    """Whom somebody at the provider is here; made where that is wanted. Raises `Declined` and `Rejected`."""
    domains = {each.lower() for each in services.config.oidc.allowed_domains}
    if domains and (person.email is None or domain_of(person.email) not in domains):
        raise _failed("your verified e-mail address there is not of a domain that may sign in here")
    async with transaction(services.pool) as connection:
        await lock_identity(connection, person.issuer, person.subject)
        user = await find_identity(connection, person.issuer, person.subject)
        if user is None:
            user_id = None
            if person.email is not None:
                user_id = await find_verified_owner(connection, person.email)
            if user_id is None:
                user_id = await _write_user(connection, services, nobody(request), person, invite)
            await write_identity(
                *(connection, nobody(request), person.issuer, person.subject), user_id
            )
            user = await find_identity(connection, person.issuer, person.subject)
        assert user is not None
    if not user.enabled:
        raise Declined(
            Code.USER_DISABLED, "This user is disabled; an administrator can enable them."
        )
    return user


async def _write_user(
    connection: Connection, services: Services, actor: Actor, person: Person, invite: str
) -> int:
    """A new user, as the operator lets people become one. An address is taken over only where it is verified."""
    wanted = services.config.oidc.create_users
    if wanted == "never":
        raise _failed("nobody here has your verified e-mail address; ask an administrator")
    if wanted == "registration":
        check_open(services, invited=bool(invite))
    admission = await admit(connection, services, invite) if invite else None
    newcomer = Newcomer(
        await free_username(connection, username_of(person.name)),
        person.email,
        None,
        granted=nusd(services.config.admin.registration_grant_usd),
        email_verified=person.email is not None,
    )
    return await write_newcomer(connection, actor, newcomer, admission)


def username_of(name: str) -> str:
    """What can be a username of what somebody is called (pure)."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:_MAX_USERNAME]
    return plain or "user"


def _provider(services: Services) -> Provider:
    if services.provider is None:
        raise Declined(
            Code.SIGN_IN_NOT_SET_UP,
            "This installation knows no OpenID provider ([oidc] in its configuration): log in with a password.",
        )
    return services.provider


def _redirect_uri(services: Services) -> str:
    return f"{base_urls(services.config)[1]}/api/oidc/callback"


def _seal(services: Services, own: Secrets, invite: str) -> str:
    until = int(services.clock()) + _COOKIE_S
    content = json.dumps([own.state, own.nonce, own.verifier, invite, until]).encode()
    return base64.urlsafe_b64encode(services.seal.close(content, _OWNER)).decode()


def _opened(request: web.Request, services: Services) -> tuple[Secrets, str]:
    """What the browser began with. Raises `Declined` unless this is its answer, in time."""
    cookie = request.cookies.get(_COOKIE, "")[:_MAX_COOKIE_CHARACTERS]
    try:
        content: list[Any] = json.loads(
            services.seal.open(base64.urlsafe_b64decode(cookie), _OWNER)
        )
    except (Unsealable, ValueError):
        raise _failed("it was not begun in this browser, or long ago") from None
    state, nonce, verifier, invite, until = content
    if until < services.clock():
        raise _failed("it was begun too long ago")
    if not hmac.compare_digest(state.encode(), text(request.query, "state").encode()):
        raise _failed("this answer is of another sign-in")
    return Secrets(state, nonce, verifier), invite


def _set_cookie(response: web.Response, value: str, max_age_s: int) -> None:
    # Lax: it has to come along when the provider's page leads back.
    response.set_cookie(
        _COOKIE, value, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="Lax"
    )


def _failed(reason: str) -> Declined:
    return Declined(
        Code.SIGN_IN_FAILED, f"Signing in failed: {reason}. Begin again at /api/oidc/login."
    )


def _unavailable(error: Exception) -> Declined:
    _log.warning("the OpenID provider cannot be asked: %s", error)
    return Declined(
        Code.PROVIDER_UNAVAILABLE,
        "The OpenID provider does not answer as it should; the log has more. Try again.",
        {"Retry-After": "5"},
    )
