"""Handlers of invites."""

from datetime import timedelta
from typing import Any

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import CALLER, SERVICES, Caller, Services, actor_of
from admin_api.envelope import Code, Declined, accept, accept_again, json_bytes
from admin_api.fields import nusd_of
from admin_api.paging import page_in, page_object
from admin_api.parameters import require_known, text
from admin_api.people.letters import link_to, require_mail, write_invitation
from admin_api.people.link_bodies import InviteBody
from admin_api.people.registration import check_open
from admin_api.requests import number_in_path, once_of
from admin_api.tokens.objects import usd
from gateway.domain.rejection import invalid
from gateway.domain.roles import Permission, may_manage
from gateway.domain.rules import Rule
from gateway.store.idempotency import carry_out
from gateway.store.invites import Invite, InviteDraft, list_invites, revoke_invite, write_invite
from gateway.store.postgres import Connection

_PARAMETERS = frozenset({"p", "page_size", "size", "ps", "keyword"})
_NO_ID = 2**63 - 1  # the largest that a column holds, and no row's


async def create(request: web.Request) -> web.Response:
    """POST /api/invite: makes an invite, by which people register; the answer has it, once."""
    services, caller = request.app[SERVICES], request[CALLER]
    body = await read_body(request, InviteBody)
    _check_of_use(services)
    _check_may_invite(caller, body)
    if body.email is not None:
        require_mail(services)
    draft = InviteDraft(
        body.role,
        body.group,
        body.account_id,
        _granted(body),
        body.email,
        body.uses,
        timedelta(days=body.expires_in_days),
    )
    actor = actor_of(request)

    async def write(connection: Connection) -> tuple[Invite, str]:
        made, secret = await write_invite(connection, actor, caller.user.id, draft, services.pepper)
        if body.email is not None:
            until = f"{made.expires_at:%Y-%m-%d %H:%M}"
            await write_invitation(connection, services, body.email, secret, until)
        return made, secret

    def told_of(written: tuple[Invite, str]) -> dict[str, Any]:
        made, secret = written
        return {
            **invite_object(made),
            "invite": secret,
            "link": link_to(services, "invite", secret),
        }

    done = await carry_out(
        services.pool, await once_of(request), write, lambda made: json_bytes(told_of(made))
    )
    if isinstance(done, bytes):
        return accept_again(done)
    services.dispatch.wake()
    return accept(told_of(done))


def _check_may_invite(caller: Caller, body: InviteBody) -> None:
    """Raises `Declined` for what the caller could not make of somebody afterwards either."""
    if not may_manage(caller.user.role, body.role):
        raise Declined(
            Code.FORBIDDEN, f"role: {body.role!r} is not below your own; invite to a lower one."
        )
    if not caller.may(needed := Permission.ACCOUNT_WRITE_ANY):
        if body.account_id is not None:
            raise Declined(Code.FORBIDDEN, f"A place in an account needs the permission {needed}.")
        if body.grant_usd is not None:
            raise Declined(
                Code.FORBIDDEN, f"grant_usd: giving money needs the permission {needed}."
            )


async def list_page(request: web.Request) -> web.Response:
    """GET /api/invite: a page of the invites that you could have made, the newest first."""
    services, parameters = request.app[SERVICES], request.query
    require_known(parameters, _PARAMETERS)
    page = page_in(parameters)
    found, total = await list_invites(
        services.pool,
        request[CALLER].user.role,
        text(parameters, "keyword"),
        page.size,
        page.offset,
    )
    return accept(page_object(page, total, [invite_object(each) for each in found]))


async def revoke(request: web.Request) -> web.Response:
    """DELETE /api/invite/{id}: ends an invite for good. Who used it stays."""
    services, caller = request.app[SERVICES], request[CALLER]
    invite_id = min(number_in_path(request), _NO_ID)
    await revoke_invite(services.pool, actor_of(request), caller.user.role, invite_id)
    return accept()


def _granted(body: InviteBody) -> int | None:
    """What is on each wallet of their own, nano-dollars. Raises `Rejected` where they get none."""
    if body.grant_usd is None:
        return None
    if body.account_id is not None:
        raise invalid("grant_usd", Rule.EXCLUDES, other="account_id")
    return nusd_of("grant_usd", body.grant_usd)


def _check_of_use(services: Services) -> None:
    """Raises `Declined` where nobody could use an invite."""
    oidc = services.config.oidc
    if not (oidc.issuer and oidc.create_users == "always"):
        check_open(services, invited=True)


def invite_object(invite: Invite) -> dict[str, Any]:
    """An invite as it is shown."""
    return {
        "id": invite.id,
        "user_id": invite.made_by,
        "username": invite.maker,
        "role": invite.role,
        "group": invite.group,
        "account_id": invite.account_id,
        "grant_usd": None if invite.granted is None else usd(invite.granted),
        "email": invite.email,
        "uses": invite.uses,
        "used": invite.used,
        "created_time": int(invite.created_at.timestamp()),
        "expired_time": int(invite.expires_at.timestamp()),
        "revoked": invite.revoked_at is not None,
    }
