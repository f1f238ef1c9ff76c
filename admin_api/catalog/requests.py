"""What the handlers of the catalog share: which entry a request is about, what it is answered with, who is told."""

from aiohttp import web

from admin_api.catalog.objects import Shown, shown_of
from admin_api.context import Services
from gateway.catalog_entries import Kind
from gateway.domain.rejection import Problem, invalid, rejected
from gateway.domain.rules import Rule
from gateway.store.catalog_edits import Changed


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


async def tell(services: Services, changed: Changed) -> bool:
    """Tell running gateways; whether the next request on any of them obeys. Reads the catalog anew."""
    told = True
    if changed.generation is not None:
        told = await services.notifier.catalog_changed(changed.generation)
    await services.catalogs.read()
    return told
