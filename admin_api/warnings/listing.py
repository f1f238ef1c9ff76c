"""Handlers of what was warned of, and of what stands now. SQL is in `gateway/store/warning_log.py`, `standing.py`."""

from dataclasses import replace

from aiohttp import web

from admin_api.context import CALLER, SERVICES
from admin_api.envelope import Code, Declined, accept
from admin_api.warnings.objects import standing_object, warning_object
from admin_api.warnings.queries import warning_filter_of, whose
from gateway.domain.roles import Permission
from gateway.store.standing import KINDS, read_standing
from gateway.store.warning_log import read_warnings

_NEVER = 10**9
"""Per cent that no quota comes to."""


async def list_warnings(request: web.Request) -> web.Response:
    """GET /api/warning: what was warned of, newest first, and what became of each message.

    Warnings are kept for 90 days. Those of others are for who may read the audit (`audit.read`).
    """
    chosen = warning_filter_of(request.query, request[CALLER].user.id)
    _require_reach(request, chosen.user_id)
    # One more than is shown tells whether there are more.
    wanted = replace(chosen, limit=chosen.limit + 1)
    rows = await read_warnings(request.app[SERVICES].pool, wanted)
    shown = rows[: chosen.limit]
    return accept(
        {
            "items": [warning_object(row) for row in shown],
            "next_cursor": shown[-1]["id"] if len(rows) > chosen.limit else None,
        }
    )


async def list_standing(request: web.Request) -> web.Response:
    """GET /api/warning/standing: quotas that are nearly used, keys that expire soon, upstreams that are out now.

    Quotas are those that were warned of. Limits are not among them: what fills them is gone with their window.
    """
    services, user_id = request.app[SERVICES], whose(request.query, request[CALLER].user.id)
    _require_reach(request, user_id)
    settings = services.config.warnings
    found = await read_standing(
        services.pool,
        services.now(),
        percent=min(settings.percent, default=_NEVER),
        days=max(settings.days, default=0),
        user_id=user_id,
    )
    return accept(
        {
            "items": [standing_object(row) for row in found.rows],
            "counts": {kind: found.counts.get(kind, 0) for kind in KINDS},
        }
    )


def _require_reach(request: web.Request, user_id: int | None) -> None:
    caller = request[CALLER]
    if user_id != caller.user.id and not caller.may(Permission.AUDIT_READ):
        raise Declined(Code.FORBIDDEN, "user_id: only administrators see what others are told.")
