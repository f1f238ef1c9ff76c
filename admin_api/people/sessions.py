"""Handlers of sessions: one's own, and those of users whom one may manage."""

from aiohttp import web

from admin_api.context import CALLER, SERVICES, self_actor
from admin_api.envelope import accept
from admin_api.people.objects import session_object
from admin_api.people.requests import whom
from admin_api.requests import number_in_path
from gateway.store.sessions import end_session, end_sessions, list_sessions


async def list_them(request: web.Request) -> web.Response:
    """GET /api/user/self/session and /api/user/{user_id}/session: the sessions that go on, the newest first."""
    services, caller = request.app[SERVICES], request[CALLER]
    actor = self_actor(request, caller.user)
    found = await list_sessions(
        services.pool, actor, whom(request), caller.session, services.pepper
    )
    return accept([session_object(each) for each in found])


async def end_one(request: web.Request) -> web.Response:
    """DELETE /api/user/self/session/{id}: ends one of your sessions."""
    services, caller = request.app[SERVICES], request[CALLER]
    actor = self_actor(request, caller.user)
    await end_session(services.pool, actor, caller.user.id, number_in_path(request))
    return accept()


async def end_others(request: web.Request) -> web.Response:
    """DELETE /api/user/self/session and /api/user/{user_id}/session: ends all sessions but the one that asks.

    The answer is how many there were.
    """
    services, caller = request.app[SERVICES], request[CALLER]
    actor = self_actor(request, caller.user)
    ended = await end_sessions(services.pool, actor, whom(request), caller.session, services.pepper)
    return accept(ended)
