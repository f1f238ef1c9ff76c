"""Handlers of groups."""

from typing import Any

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.catalog.bodies import CreateGroupBody, UpdateGroupBody
from admin_api.catalog.edits import group_draft
from admin_api.catalog.objects import group_object
from admin_api.catalog.queries import EntryListQuery, page_of
from admin_api.catalog.requests import all_of, change, check_name, find, make, name_in, remove
from admin_api.context import SERVICES, Services
from admin_api.envelope import accept
from admin_api.parameters import require_known
from gateway.store.catalog import read_group_ids


async def list_page(request: web.Request) -> web.Response:
    """GET /api/group: a page of groups, those of the configuration file too."""
    services = request.app[SERVICES]
    require_known(request.query, EntryListQuery.model_fields)
    found = await all_of(services, "group")
    ids = await read_group_ids(services.pool)
    return accept(
        page_of(
            request.query,
            found,
            lambda each: (each.name, each.source),
            lambda each: group_object(each, ids.get(each.name, 0)),
        )
    )


async def show(request: web.Request) -> web.Response:
    """GET /api/group/{name}: one group."""
    return accept(await _one(request.app[SERVICES], name_in(request)))


async def create(request: web.Request) -> web.Response:
    """POST /api/group: makes a group. What it names has to be there."""
    services = request.app[SERVICES]
    body = await read_body(request, CreateGroupBody)
    told = await make(request, "group", body.name, group_draft(body.name, body, None))
    return accept(await _one(services, body.name), told=told)


async def update(request: web.Request) -> web.Response:
    """PATCH /api/group/{name}: changes a group; absent fields stay, `null` is the default.

    It binds the next call of every token in it. `subscription` counts for accounts that come to it later.
    """
    services = request.app[SERVICES]
    body = await read_body(request, UpdateGroupBody)
    name = check_name(request, body.name)
    told = await change(
        request, "group", name, lambda row: group_draft(name, body, row), body.version
    )
    return accept(await _one(services, name), told=told)


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/group/{name}: deletes a group that nobody is in and nothing names."""
    return accept(told=await remove(request, "group"))


async def _one(services: Services, name: str) -> dict[str, Any]:
    shown = await find(services, "group", name)
    return group_object(shown, (await read_group_ids(services.pool)).get(name, 0))
