"""Handlers of what one may use: groups and models."""

from aiohttp import web

from admin_api.context import CALLER, SERVICES
from admin_api.envelope import accept
from admin_api.people.offers import offers_of
from admin_api.tokens.objects import rules_object
from gateway.catalog_settings import GroupSettings
from gateway.domain.catalog import PPM, Catalog, Group
from gateway.domain.roles import Permission
from gateway.store.user_rows import usable_groups


async def list_groups(request: web.Request) -> web.Response:
    """GET /api/user/groups and /api/user/self/groups: the groups that your tokens may name, by their names."""
    catalog, groups = await _usable(request)
    settings = request.app[SERVICES].groups
    return accept(
        {
            group.name: {
                "ratio": group.ratio_ppm / PPM,
                "desc": (of := settings.get(group.name, GroupSettings())).description,
                "models": catalog.names(group),
                "token_defaults": rules_object(of.token_defaults),
            }
            for group in groups
        }
    )


async def list_models(request: web.Request) -> web.Response:
    """GET /api/user/models: the names of the models that can be called in these groups."""
    catalog, groups = await _usable(request)
    return accept(sorted({name for group in groups for name in catalog.names(group)}))


async def list_offers(request: web.Request) -> web.Response:
    """GET /api/user/self/models: the models that your groups offer, with their prices in each of them.

    Prices are dollars for a million tokens, or for a call (`request_usd`), and what a call costs: the group's ratio is
    in them. Your own group goes before others.
    """
    catalog, groups = await _usable(request)
    own = request[CALLER].user.group
    return accept(offers_of(catalog, sorted(groups, key=lambda each: each.name != own)))


async def _usable(request: web.Request) -> tuple[Catalog, list[Group]]:
    services, caller = request.app[SERVICES], request[CALLER]
    await services.catalogs.read()
    catalog = services.catalogs.latest
    any_group = caller.may(Permission.TOKEN_WRITE_ANY)
    ids = await usable_groups(services.pool, caller.user.id, any_group=any_group)
    return catalog, [catalog.groups[each] for each in ids if each in catalog.groups]
