"""Handlers of upstreams."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from admin_api.bodies import read_body
from admin_api.catalog import probe
from admin_api.catalog.bodies import CreateUpstreamBody, TestBody, UpdateUpstreamBody
from admin_api.catalog.edits import upstream_draft
from admin_api.catalog.objects import Shown, upstream_object
from admin_api.catalog.queries import EntryListQuery, page_of
from admin_api.catalog.requests import all_of, change, check_name, find, make, name_in, remove
from admin_api.context import SERVICES, Services
from admin_api.envelope import accept
from admin_api.parameters import require_known
from gateway.catalog_entries import KeysUnreadable, Row
from gateway.catalog_settings import UpstreamSettings
from gateway.domain.catalog import Upstream
from gateway.domain.network import Blocks
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.outbound import NotCallable, addresses_of
from gateway.store.catalog_edits import Draft
from gateway.store.upstream_keys import hint_of, opening

_LOOK_UP_S = 3.0


async def list_page(request: web.Request) -> web.Response:
    """GET /api/upstream: a page of upstreams, those of the configuration file too."""
    services = request.app[SERVICES]
    require_known(request.query, EntryListQuery.model_fields)
    found = await all_of(services, "upstream")
    return accept(
        page_of(
            request.query,
            found,
            lambda each: (each.name, each.source),
            lambda each: _object(services, each),
        )
    )


async def show(request: web.Request) -> web.Response:
    """GET /api/upstream/{name}: one upstream."""
    services = request.app[SERVICES]
    return accept(_object(services, await find(services, "upstream", name_in(request))))


async def create(request: web.Request) -> web.Response:
    """POST /api/upstream: makes an upstream; the next call on any gateway may go there.

    Its keys are sealed and never shown again. Its address has to be public, or one of `allow_cidrs`.
    """
    services = request.app[SERVICES]
    body = await read_body(request, CreateUpstreamBody)
    draft = upstream_draft(body.name, body, None, services.seal)
    remark = await _check_address(draft)
    told = await make(request, "upstream", body.name, draft)
    return accept(
        _object(services, await find(services, "upstream", body.name)), told=told, remark=remark
    )


async def update(request: web.Request) -> web.Response:
    """PATCH /api/upstream/{name}: changes an upstream; absent fields stay, `null` is the default.

    Running calls end as they began. A key stays with the host that it was given for.
    """
    services = request.app[SERVICES]
    body = await read_body(request, UpdateUpstreamBody)
    name = check_name(request, body.name)
    remark = ""
    if (now := await find(services, "upstream", name)).row is not None:
        remark = await _check_address(upstream_draft(name, body, now.row, services.seal))

    def decide(row: Row) -> Draft:
        return upstream_draft(name, body, row, services.seal)

    told = await change(request, "upstream", name, decide, body.version)
    return accept(
        _object(services, await find(services, "upstream", name)), told=told, remark=remark
    )


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/upstream/{name}: no new call goes there; one that a group names cannot be deleted."""
    return accept(told=await remove(request, "upstream"))


async def test(request: web.Request) -> web.Response:
    """POST /api/upstream/{name}/test: calls it with each of its keys, and tells what the provider says.

    Without a `model` the list of models is asked for, which costs nothing.
    """
    services = request.app[SERVICES]
    body = await read_body(request, TestBody, optional=True)
    upstream, keys = await _callable(services, name_in(request))
    catalog = services.catalogs.latest
    model = None if body.model is None else catalog.model(body.model)
    return accept(await probe.test(upstream, keys, model))


async def list_models(request: web.Request) -> web.Response:
    """GET /api/upstream/{name}/models: the provider's own list of its models."""
    services = request.app[SERVICES]
    upstream, keys = await _callable(services, name_in(request))
    names = await probe.list_models(upstream, keys[0] if keys else "")
    catalog = services.catalogs.latest
    theirs = {mapped: ours for ours, mapped in upstream.models.items()}
    return accept(
        [
            {
                "name": name,
                "is_served": upstream.model_name(name) is not None or name in theirs,
                "is_priced": catalog.model(theirs.get(name, name)).price is not None,
            }
            for name in names
        ]
    )


def _object(services: Services, shown: Shown) -> dict[str, Any]:
    known = services.catalogs.loaded.upstream_keys.get(shown.name, ())
    return upstream_object(shown, [hint_of(key) for key in known])


async def _callable(services: Services, name: str) -> tuple[Upstream, tuple[str, ...]]:
    """An upstream as the catalog has it, and its keys, opened for this one call. Raises `Rejected`."""
    shown = await find(services, "upstream", name)
    if shown.broken is not None:
        raise invalid("name", Rule.UPSTREAM_BROKEN, given=name, why=[shown.broken])
    upstream = next(each for each in services.catalogs.latest.upstreams if each.name == name)
    if shown.row is None:
        keys = services.catalogs.loaded.upstream_keys.get(name, ())
        assert isinstance(shown.settings, UpstreamSettings)
        if shown.settings.key_names and not keys:
            raise invalid("name", Rule.KEY_ELSEWHERE, given=name)
        return upstream, keys
    try:
        return upstream, opening(services.seal)(shown.row)
    except KeysUnreadable as error:
        raise invalid("name", Rule.UPSTREAM_BROKEN, given=name, why=[str(error)]) from None


async def _check_address(draft: Draft) -> str:
    """Refuse an upstream that gateways would not connect to; a remark where nobody can know yet. Raises `Rejected`."""
    settings = draft.settings
    assert isinstance(settings, UpstreamSettings)
    parts = urlsplit(settings.base_url)
    allowed = Blocks.of(settings.allow_cidrs)
    try:
        async with asyncio.timeout(_LOOK_UP_S):
            await addresses_of(
                parts.hostname or "",
                parts.port or (443 if parts.scheme == "https" else 80),
                allowed,
            )
    except NotCallable as error:
        raise invalid("base_url", Rule.NOT_CALLABLE, why=[str(error)]) from None
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        return (
            f"{parts.hostname} cannot be looked up from here: calls will fail unless gateways can."
        )
    return ""
