"""The routes of the catalog."""

from typing import Final

from admin_api.answers import Nothing
from admin_api.catalog import answers, bodies, groups, models, published, upstreams
from admin_api.catalog.queries import EntryListQuery, PriceQuery
from admin_api.route import Header, Route
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

_UPSTREAM = "/api/upstream/{name:[A-Za-z0-9._-]+}"
_MODEL = "/api/model/{name:.+}"
_GROUP = "/api/group/{name:[^/]+}"
_MATCH: Final = (Header.IF_MATCH,)
_MAKES: Final = (Problem.NAME_TAKEN,)
_EDITS: Final = (Problem.VERSION_MISMATCH, Problem.READ_ONLY)
_DELETES: Final = (*_EDITS, Problem.IN_USE)
_READ, _WRITE = Permission.CATALOG_READ_ANY, Permission.CATALOG_WRITE

# fmt: off
ROUTES: Final = (
    Route("GET", "/api/upstream", upstreams.list_page, _READ, answers.UpstreamPage, query=EntryListQuery),
    Route("POST", "/api/upstream", upstreams.create, _WRITE,
          answers.Upstream, bodies.CreateUpstreamBody, declines=_MAKES),
    Route("GET", _UPSTREAM, upstreams.show, _READ, answers.Upstream),
    Route("PATCH", _UPSTREAM, upstreams.update, _WRITE,
          answers.Upstream, bodies.UpdateUpstreamBody, headers=_MATCH, declines=_EDITS),
    Route("DELETE", _UPSTREAM, upstreams.delete, _WRITE, Nothing, headers=_MATCH, declines=_DELETES),
    Route("POST", f"{_UPSTREAM}/test", upstreams.test, _WRITE, answers.Tested, bodies.TestBody),
    Route("GET", f"{_UPSTREAM}/models", upstreams.list_models, _READ, list[answers.OfferedModel],
          declines=(Problem.INVALID_FIELD,)),
    Route("GET", "/api/model", models.list_page, _READ, answers.ModelPage, query=EntryListQuery),
    Route("POST", "/api/model", models.create, _WRITE,
          answers.ModelWithPrices, bodies.CreateModelBody, declines=_MAKES),
    Route("GET", _MODEL, models.show, _READ, answers.ModelWithPrices),
    Route("PATCH", _MODEL, models.update, _WRITE,
          answers.ModelWithPrices, bodies.UpdateModelBody, headers=_MATCH, declines=_EDITS),
    Route("DELETE", _MODEL, models.delete, _WRITE, Nothing, headers=_MATCH, declines=_DELETES),
    Route("GET", "/api/price", published.list_prices, _READ, list[answers.PublishedPrice], query=PriceQuery),
    Route("GET", "/api/group", groups.list_page, _READ, answers.GroupPage, query=EntryListQuery),
    Route("POST", "/api/group", groups.create, _WRITE,
          answers.Group, bodies.CreateGroupBody, declines=_MAKES),
    Route("GET", _GROUP, groups.show, _READ, answers.Group),
    Route("PATCH", _GROUP, groups.update, _WRITE,
          answers.Group, bodies.UpdateGroupBody, headers=_MATCH, declines=_EDITS),
    Route("DELETE", _GROUP, groups.delete, _WRITE, Nothing, headers=_MATCH, declines=_DELETES),
)
# fmt: on
