"""Handler of the audit: who changed what."""

from dataclasses import replace

from aiohttp import web

from admin_api.context import SERVICES
from admin_api.envelope import accept
from admin_api.people.objects import audit_object
from admin_api.people.queries import audit_query_of
from gateway.store.audit_rows import read_audit


async def list_rows(request: web.Request) -> web.Response:
    """GET /api/audit: what was changed, and by whom, newest first, in parts that a cursor joins."""
    query = audit_query_of(request.query)
    # One more than is shown tells whether there are more.
    rows = await read_audit(request.app[SERVICES].pool, replace(query, limit=query.limit + 1))
    shown = rows[: query.limit]
    return accept(
        {
            "items": [audit_object(row) for row in shown],
            "next_cursor": shown[-1]["id"] if len(rows) > query.limit else None,
        }
    )
