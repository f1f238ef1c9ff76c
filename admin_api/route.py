"""What one row of the table of routes says (`admin_api/routes.py`)."""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any, NamedTuple

from aiohttp import web
from pydantic import BaseModel

from admin_api.envelope import Code
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Media(NamedTuple):
    """An answer that is no envelope but a document, of one of these types."""

    types: tuple[str, ...]


class Redirect(NamedTuple):
    """An answer that leads a browser elsewhere."""

    to: str


class Header(Enum):
    """Request headers that some routes obey."""

    IF_MATCH = "If-Match"
    IDEMPOTENCY_KEY = "Idempotency-Key"


class Route(NamedTuple):
    """A path is answered with and without a slash at its end, without redirect.

    What stands behind the permission describes the route in the API's document, with the handler's
    docstring (`METHOD /path: what it does.` and further paragraphs). `answer` is the type of `data`
    (`Nothing` where there is none); `declines` are the codes that do not follow from the rest.
    """

    method: str
    path: str
    handler: Handler
    permission: Permission | None
    answer: Any = None
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: tuple[Header, ...] = ()
    declines: tuple[Code | Problem, ...] = ()
