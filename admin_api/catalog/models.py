"""Handlers of models and their prices."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.catalog.bodies import CreateModelBody, UpdateModelBody
from admin_api.catalog.edits import model_draft
from admin_api.catalog.objects import Shown, model_object, past_price
from admin_api.catalog.queries import EntryListQuery, page_of
from admin_api.catalog.requests import all_of, change, check_name, make, name_in, remove
from admin_api.context import SERVICES, Services
from admin_api.envelope import accept
from admin_api.parameters import require_known
from gateway.domain.rejection import Problem, rejected
from gateway.domain.rules import Rule
from gateway.store.catalog_edits import read_prices


async def list_page(request: web.Request) -> web.Response:
    """GET /api/model: a page of models: those that are set up, and those that upstreams serve.

    `effective` tells the price in force, and whether it is the file's, the API's or the price book's.
    """
    services = request.app[SERVICES]
    require_known(request.query, EntryListQuery.model_fields)
    objects = await _objects(services)
    return accept(
        page_of(
            request.query,
            list(objects.values()),
            lambda each: (each["name"], each["source"]),
            lambda each: each,
        )
    )


async def show(request: web.Request) -> web.Response:
    """GET /api/model/{name}: one model, with the prices that it was given over the API."""
    services = request.app[SERVICES]
    return accept(await _one(services, name_in(request)))


async def create(request: web.Request) -> web.Response:
    """POST /api/model: sets a model up: its price, its bounds, or the models that its name stands for.

    A price here replaces the price book's as a whole.
    """
    services = request.app[SERVICES]
    body = await read_body(request, CreateModelBody)
    told = await make(request, "model", body.name, model_draft(body.name, body, None))
    return accept(await _one(services, body.name), told=told)


async def update(request: web.Request) -> web.Response:
    """PATCH /api/model/{name}: changes a model; absent fields stay, `null` is the default.

    Another price has another number on ledger rows. Calls that are held for already are charged the price that they
    were held by.
    """
    services = request.app[SERVICES]
    body = await read_body(request, UpdateModelBody)
    name = check_name(request, body.name)
    told = await change(
        request, "model", name, lambda row: model_draft(name, body, row), body.version
    )
    return accept(await _one(services, name), told=told)


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/model/{name}: takes back what was said of a model; upstreams may go on serving it.

    One that a group or another model names cannot be deleted.
    """
    return accept(told=await remove(request, "model"))


async def _one(services: Services, name: str) -> dict[str, Any]:
    found = (await _objects(services, name)).get(name)
    if found is None:
        raise rejected(Problem.NOT_FOUND, "name", Rule.NO_ENTRY, kind="model", given=name)
    prices = await read_prices(services.pool, name)
    return found | {"prices": [past_price(each) for each in prices]}


async def _objects(services: Services, only: str | None = None) -> Mapping[str, dict[str, Any]]:
    """The models by name: those set up, those that the price book knows, those served by name."""
    entries: dict[str, Shown] = {each.name: each for each in await all_of(services, "model")}
    catalog = services.catalogs.latest
    named = {name for each in catalog.upstreams for name in each.models if not name.endswith("*")}
    names = {*entries, *catalog.models, *named}
    wanted = names & {only} if only is not None else names

    def serving(name: str) -> Sequence[str]:
        return [each.name for each in catalog.upstreams if each.model_name(name) is not None]

    return {name: model_object(name, entries.get(name), catalog, serving(name)) for name in wanted}
