"""The API's document (OpenAPI 3.1), made of the table of routes and the types that it names (pure).

Nothing is written here that a route, a body, an answer or the table of statuses says already.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from admin_api.answers import Nothing
from admin_api.cookies import COOKIE
from admin_api.envelope import STATUS, Code
from admin_api.mistakes import MOST_TOLD
from admin_api.route import Header, Media, Redirect, Route
from gateway.domain.rejection import Problem
from gateway.domain.roles import Permission
from gateway.domain.rules import Rule

_INTRODUCTION: Final = """\
Makes and manages the `sk-…` keys with which applications call LLM providers through the gateway.

Paths are answered with and without a slash at their end, without redirect. Every answer in JSON is \
`{"success", "message", "code", "errors", "data"}`, with a real status: `code` on failure alone, \
`errors` where fields are at fault, `data` where there is something to tell. 202 means: saved, but running \
gateways could not be told and may take up to 10 seconds to obey. Programs should look at status and `code`, \
never at `message`.

An unknown path is a 404 `unknown_url`, another method a 405 `method_not_allowed` whose `Allow` \
names those that there are. HEAD goes wherever GET does. What is not ours to foresee is a 400 \
`invalid_request` or a 500 `internal_error`.
"""

_HEADERS: Final[Mapping[Header, Mapping[str, Any]]] = {
    Header.IF_MATCH: {
        "description": "The version that is to be changed, as the object's `version` says; 412 if it "
        "is another by now. `*` is any.",
        "schema": {"type": "string", "pattern": r'^(\*|(W/)?"[0-9]{1,19}"|[0-9]{1,19})$'},
        "examples": {"any": {"value": "*"}, "version": {"value": '"3"'}},
    },
    Header.IDEMPOTENCY_KEY: {
        "description": "A name of your choice for this call. The same name again gets the first "
        "call's answer again, and nothing is done twice.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
        "examples": {"uuid": {"value": "0190f5c2-6a3f-7b7e-9d5c-2f1e4a6b8c0d"}},
    },
}
_USER_HEADER: Final = {
    "name": "New-Api-User",
    "in": "header",
    "description": "The id of your user. Checked where it is sent.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    "examples": {"first": {"value": "1"}},
}
_SECURITY: Final = {
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token (`tht_…`), not a model key (`sk-…`).",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "What `POST /api/user/login` sets (over plain http on private networks `tollhouse`, where "
        "`admin.insecure_http` is on). Changes with it are taken from the "
        "console's own pages only: `Sec-Fetch-Site: same-origin`, or an `Origin` that is this one.",
    },
}
_AUTHENTICATED: Final = (
    Code.NOT_AUTHENTICATED,
    Code.INVALID_ACCESS_TOKEN,
    Code.MODEL_KEY_NOT_ACCEPTED,
    Code.USER_MISMATCH,
    Code.USER_DISABLED,
    Code.ADDRESS_NOT_ALLOWED,
    Code.FORBIDDEN,
    Code.STORE_UNAVAILABLE,
)
_BODY: Final = (
    Code.INVALID_JSON,
    Code.BODY_TOO_LARGE,
    Code.UNSUPPORTED_MEDIA_TYPE,
    Code.STORE_UNAVAILABLE,
    Problem.INVALID_FIELD,
)
_TELLS: Final = frozenset(
    {
        Permission.TOKEN_WRITE,
        Permission.TOKEN_WRITE_ANY,
        Permission.USER_WRITE,
        Permission.ACCOUNT_WRITE,
        Permission.ACCOUNT_WRITE_ANY,
        Permission.CATALOG_WRITE,
    }
)
"""What changes tokens, whose they are, what they spend or reach tells running gateways, or fails to."""

_RETRY_AFTER: Final = {"Retry-After": {"schema": {"type": "string", "pattern": "^[0-9]+$"}}}
_ENVELOPE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["success", "message"],
    "properties": {"success": {"const": True}, "message": {"type": "string"}},
}
_FAILURE: Final = {
    "type": "object",
    "required": ["success", "message", "code"],
    "properties": {
        "success": {"const": False},
        "message": {"type": "string", "description": "The rule, and the remedy."},
        "code": {"enum": [str(code) for code in STATUS]},
        "errors": {
            "type": "array",
            "minItems": 1,
            "maxItems": MOST_TOLD,
            "items": {"$ref": "#/components/schemas/Mistake"},
            "description": "What is wrong, in the order of the fields.",
        },
    },
}
_PARAMS: Final = {"type": ["integer", "string", "array"], "items": {"type": "string"}}
_MISTAKE: Final = {
    "type": "object",
    "description": "One rule that is broken. `code` and `params` are all that a translation needs.",
    "required": ["field", "code", "message", "params"],
    "additionalProperties": False,
    "properties": {
        "field": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "description": "Where: a field, a place in it such as `limits.0.window`, a parameter or a "
            "header; null where it is the call as a whole.",
        },
        "code": {"enum": [str(rule) for rule in Rule], "description": "The rule."},
        "message": {"type": "string", "description": "Field, rule and remedy in English."},
        "params": {
            "type": "object",
            "additionalProperties": _PARAMS,
            "description": "What the sentence is filled with: bounds, what was given, what there is.",
        },
    },
}
_DOCSTRING: Final = re.compile(r"^[A-Z]+ /\S*(?: and /\S+)*: (?P<summary>.+?)$", re.MULTILINE)
_PARAMETER: Final = re.compile(r"{(?P<name>\w+)(?::(?P<pattern>[^}]+))?}")


_TEXT: Final = {"type": "string"}
_BOUNDS: Final = {
    "gt": "exclusiveMinimum",
    "ge": "minimum",
    "lt": "exclusiveMaximum",
    "le": "maximum",
}


class _Schemas(GenerateJsonSchema):
    """Money is a JSON number, and a field's name is title enough."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        given = ((name, schema.get(key)) for key, name in _BOUNDS.items())
        bounds = {name: _json_number(bound) for name, bound in given if bound is not None}
        return {"type": "number", **bounds}

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:  # noqa: ARG002 -- pydantic's
        """As it was written."""
        return value

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 -- pydantic's
        return False


def _json_number(value: Any) -> int | float:
    """A bound as the document shows it; nothing reckons with it."""
    return int(value) if value == int(value) else float(value)


def document_of(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document. A route that does not describe itself is named in it, no more."""
    routes = tuple(routes)
    schemas = _Components(routes)
    paths: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    for route in routes:
        operation = _operation(route, schemas, names)
        paths.setdefault(path_of(route), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tollhouse admin API", "version": version, "description": _INTRODUCTION},
        "servers": [{"url": "/"}],  # where it was served: right behind every proxy
        "paths": paths,
        "components": {
            "schemas": {**schemas.definitions, "Failure": _FAILURE, "Mistake": _MISTAKE},
            "securitySchemes": _SECURITY,
        },
    }


def path_of(route: Route) -> str:
    """The path with its parameters as `{name}`."""
    return _PARAMETER.sub(r"{\g<name>}", route.path)


def undescribed(route: Route) -> list[str]:
    """What the document lacks of a route: what a row of the table has to be given."""
    lacks = []
    if route.answer is None:
        lacks.append("answer")
    if _DOCSTRING.match(route.handler.__doc__ or "") is None:
        lacks.append("docstring")
    return lacks


class _Components:
    """The schemas of all bodies, queries and answers, with one name for one type."""

    def __init__(self, routes: Sequence[Route]) -> None:
        types: dict[int, Any] = {}
        for route in routes:
            for each in (route.body, route.query, route.answer):
                if each not in {None, Nothing} and not isinstance(each, Media | Redirect):
                    types[id(each)] = each
        adapters = [(key, "validation", TypeAdapter(of)) for key, of in types.items()]
        schemas, shared = TypeAdapter.json_schemas(
            adapters,  # type: ignore[arg-type]
            ref_template="#/components/schemas/{model}",
            schema_generator=_Schemas,
        )
        self._schemas = {key: schema for (key, _), schema in schemas.items()}
        self.definitions: dict[str, Any] = shared.get("$defs", {})

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of a type: a reference where it has a name."""
        return self._schemas[id(kind)]

    def whole(self, kind: Any) -> dict[str, Any]:
        """The schema of a type itself."""
        schema = self.of(kind)
        name = schema.get("$ref", "").rpartition("/")[2]
        return self.definitions[name] if name else schema


def _operation(route: Route, schemas: _Components, names: set[str]) -> dict[str, Any]:
    summary, description = _words(route)
    name = f"{route.handler.__module__.rpartition('.')[2]}_{route.handler.__name__}"
    if name in names:
        name += "_" + path_of(route).rpartition("/")[2].strip("{}")
    names.add(name)
    operation: dict[str, Any] = {
        "operationId": name,
        "tags": [_tag(route)],
        "summary": summary,
        "parameters": [*_parameters(route, schemas)],
        "responses": {**_success(route, schemas), **_failures(route)},
        "security": [],
    }
    if description:
        operation["description"] = description
    if route.body:
        content = {"schema": schemas.of(route.body)}
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
    if route.permission not in {None, Permission.PUBLIC}:
        operation["security"] = [{name: [str(route.permission)]} for name in _SECURITY]
    return operation


def _words(route: Route) -> tuple[str, str]:
    told = route.handler.__doc__ or ""
    match = _DOCSTRING.match(told)
    summary = match["summary"] if match else f"{route.method} {path_of(route)}"
    paragraphs = [" ".join(each.split()) for each in told.split("\n\n")[1:]]
    return summary[0].upper() + summary[1:], "\n\n".join(each for each in paragraphs if each)


def _tag(route: Route) -> str:
    parts = route.path.split("/")
    return parts[2] if route.path.startswith("/api/") else "service"


def _parameters(route: Route, schemas: _Components) -> Iterator[dict[str, Any]]:
    for match in _PARAMETER.finditer(route.path):
        whole = match["pattern"] == "[0-9]+"
        schema = {"type": "integer", "minimum": 1} if whole else {"type": "string"}
        yield {
            "name": match["name"],
            "in": "path",
            "required": True,
            "description": f"The {_tag(route)}'s {match['name']}.",
            "schema": schema,
        }
    if route.query:
        whole_schema = schemas.whole(route.query)
        for name, schema in whole_schema["properties"].items():
            described = {key: value for key, value in schema.items() if key != "description"}
            yield {
                "name": name,
                "in": "query",
                "required": name in whole_schema.get("required", ()),
                "description": schema.get("description", ""),
                "schema": described,
            }
    for header in route.headers:
        yield {"name": header.value, "in": "header", **_HEADERS[header]}
    if route.permission is not Permission.PUBLIC:
        yield _USER_HEADER


def _success(route: Route, schemas: _Components) -> dict[str, Any]:
    if isinstance(route.answer, Redirect):
        headers = {"Location": {"required": True, "schema": {"type": "string", "format": "uri"}}}
        return {"303": {"description": f"To {route.answer.to}.", "headers": headers}}
    if isinstance(route.answer, Media):
        shown: dict[str, Any] = {"application/json": {}}
        content = {each: {"schema": shown.get(each, _TEXT)} for each in route.answer.types}
        return {"200": {"description": "The document.", "content": content}}
    envelope: dict[str, Any] = {**_ENVELOPE}
    if route.answer not in {None, Nothing}:
        data = {"data": schemas.of(route.answer)}
        envelope["required"] = [*_ENVELOPE["required"], "data"]
        envelope["properties"] = {**_ENVELOPE["properties"], **data}
    told = {"200": {"description": "Done.", "content": {"application/json": {"schema": envelope}}}}
    if route.permission in _TELLS:
        told["202"] = {**told["200"], "description": "Saved; running gateways obey within 10 s."}
    return told


def _failures(route: Route) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in STATUS:  # so they are told in the table's order
        if code in _codes(route):
            by_status.setdefault(STATUS[code], []).append(str(code))
    return {str(status): _failure(status, codes) for status, codes in sorted(by_status.items())}


def _failure(status: int, codes: list[str]) -> dict[str, Any]:
    own: dict[str, Any] = {"properties": {"code": {"enum": codes}}}
    if {*codes} <= {*Problem}:
        own["required"] = ["errors"]
    schema = {"allOf": [{"$ref": "#/components/schemas/Failure"}, own]}
    told: dict[str, Any] = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "content": {"application/json": {"schema": schema}},
    }
    if status in {429, 503}:
        told["headers"] = _RETRY_AFTER
    return told


def _codes(route: Route) -> set[Code | Problem]:
    codes: set[Code | Problem] = {Code.INTERNAL_ERROR, Code.INVALID_REQUEST, *route.declines}
    if route.permission is not Permission.PUBLIC:
        codes.update(_AUTHENTICATED)
        if route.permission is not Permission.SELF:
            codes.add(Code.PASSWORD_CHANGE_REQUIRED)
        if route.method != "GET":
            codes.update({Code.CROSS_SITE, Code.UNSUPPORTED_MEDIA_TYPE})
    if route.body:
        codes.update(_BODY)
    if route.query or route.headers:
        codes.add(Problem.INVALID_FIELD)
    if "{" in route.path:
        codes.update({Problem.NOT_FOUND, Code.UNKNOWN_URL})
    return codes
