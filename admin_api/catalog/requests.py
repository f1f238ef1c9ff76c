"""What the handlers of the catalog share: which entry a request is about, what it is answered with, who is told."""

from collections.abc import Callable

from aiohttp import web

from admin_api.catalog.objects import Shown, shown_of
from admin_api.context import SERVICES, Services, actor_of
from admin_api.requests import if_match, wanted_version
from gateway.catalog_entries import Kind, Row
from gateway.domain.rejection import Problem, invalid, rejected
from gateway.domain.rules import Rule
from gateway.store.catalog_edits import Changed, Draft, create_entry, delete_entry, update_entry


def name_in(request: web.Request) -> str:
    """The name in the path, which may have a slash at its end."""
    return request.match_info["name"].rstrip("/")


def check_name(request: web.Request, sent: str | None) -> str:
    """The name in the path; what the body says of it has to be the same. Raises `Rejected`."""
    name = name_in(request)
    if sent not in {None, name}:
        raise invalid("name", Rule.NAME_STAYS, given=sent or "", path=name)
    return name


async def all_of(services: Services, kind: Kind) -> list[Shown]:
    """Every entry of a kind as it is now. Raises `StoreUnavailable`."""
    catalogs = services.catalogs
    await catalogs.read()
    return shown_of(kind, catalogs.loaded, catalogs.entries, catalogs.rows)


async def find(services: Services, kind: Kind, name: str) -> Shown:
    """One of them. Raises `Rejected` (not found) and `StoreUnavailable`."""
    for each in await all_of(services, kind):
        if each.name == name:
            return each
    raise rejected(Problem.NOT_FOUND, "name", Rule.NO_ENTRY, kind=kind, given=name)


async def make(request: web.Request, kind: Kind, name: str, draft: Draft) -> bool:
    """Make an entry, and tell. Raises `Rejected` and `StoreUnavailable`; answers as `_tell` does."""
    services = request.app[SERVICES]
    loaded = services.catalogs.loaded
    changed = await create_entry(services.pool, actor_of(request), loaded, kind, name, draft)
    return await _tell(services, changed)


async def change(
    request: web.Request,
    kind: Kind,
    name: str,
    decide: Callable[[Row], Draft],
    version: int | None,
) -> bool:
    """Change an entry, and tell. Likewise."""
    services = request.app[SERVICES]
    changed = await update_entry(
        *(services.pool, actor_of(request), services.catalogs.loaded, kind, name, decide),
        if_version=wanted_version(request, version),
    )
    return await _tell(services, changed)


async def remove(request: web.Request, kind: Kind) -> bool:
    """Delete the entry that the path names, and tell. Likewise."""
    services = request.app[SERVICES]
    changed = await delete_entry(
        *(services.pool, actor_of(request), services.catalogs.loaded, kind, name_in(request)),
        if_version=if_match(request),
    )
    return await _tell(services, changed)


async def _tell(services: Services, changed: Changed) -> bool:
    """Tell running gateways; whether the next request on any of them obeys. Reads the catalog anew."""
    told = True
    if changed.generation is not None:
        told = await services.notifier.catalog_changed(changed.generation)
    await services.catalogs.read()
    return told
