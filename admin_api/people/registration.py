"""How people become users by themselves."""

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.context import SERVICES, Services, nobody
from admin_api.envelope import Code, Declined, accept
from admin_api.people.letters import write_verification
from admin_api.people.link_bodies import RegisterBody
from admin_api.people.links import check_visitor, network_of, ration
from gateway.domain.catalog import nusd
from gateway.store.invites import Admission, use_invite
from gateway.store.passwords import check_new_password
from gateway.store.postgres import Connection, transaction
from gateway.store.registration import Newcomer, write_newcomer


async def register(request: web.Request) -> web.Response:
    """POST /api/user/register: makes you a user, where the operator lets people register.

    With an `invite` you become what it says; where registration is by invite only, there is no other way.
    """
    check_visitor(request)
    services = request.app[SERVICES]
    check_open(services, invited=True)
    body = await read_body(request, RegisterBody)
    check_open(services, invited=body.invite is not None)
    ration(services.throttles.registrations, network_of(request), "registrations")
    check_new_password(body.password, username=body.username, old="")
    newcomer = Newcomer(
        body.username,
        body.email,
        await services.passwords.hash(body.password),
        granted=nusd(services.config.admin.registration_grant_usd),
    )
    async with transaction(services.pool) as connection:
        admission = None
        if body.invite is not None:
            admission = await admit(connection, services, body.invite)
        user_id = await write_newcomer(connection, nobody(request), newcomer, admission)
        if services.dispatch.has_mail:
            await write_verification(connection, services, user_id, body.email)
    services.dispatch.wake()
    return accept(
        {
            "id": user_id,
            "username": body.username,
            "email": body.email,
            "email_verification_sent": services.dispatch.has_mail,
        }
    )


async def admit(connection: Connection, services: Services, invite: str) -> Admission:
    """Use an invite, within the caller's transaction. Raises `Declined` where it does not work (any more)."""
    admission = await use_invite(connection, invite, services.pepper)
    if admission is None:
        raise Declined(
            Code.INVALID_INVITE,
            "This invite is unknown, used up, revoked or too old; ask for another.",
        )
    return admission


def check_open(services: Services, *, invited: bool) -> None:
    """Raises `Declined` where nobody may register, or only with an invite."""
    mode = services.config.admin.registration
    if mode == "closed":
        raise Declined(
            Code.REGISTRATION_CLOSED,
            "Nobody can register here by themselves (admin.registration is closed): administrators make users.",
        )
    if mode == "invite" and not invited:
        raise Declined(
            Code.REGISTRATION_CLOSED,
            "Registration is by invite: send what stands behind invite= in your link as `invite`.",
        )
