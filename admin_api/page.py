"""The API's document as a page for people: plain HTML, nothing to run, nothing from elsewhere (pure)."""

import json
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any, Final

Schema = Mapping[str, Any]

_KINDS: Final = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true, false",
    "object": "object",
    "null": "null",
}
_BOUNDS: Final = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "not empty",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
}
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: calls and fields</title>
<link rel="stylesheet" href="{style}">
</head>
<body>
<a class="skip" href="#calls">To the calls</a>
<main>
<h1>{title}</h1>
{introduction}
<p>For programs: <a href="/api/openapi.json">OpenAPI 3.1</a>. Version {version}.</p>
<h2 id="authentication">Authentication</h2>
{authentication}
<nav aria-labelledby="calls">
<h2 id="calls">Calls</h2>
{contents}
</nav>
{calls}
<h2 id="objects">Objects</h2>
{objects}
</main>
</body>
</html>
"""


def page_of(document: Mapping[str, Any], origin: str, style: str) -> str:
    """The page. `origin` is where examples call, `style` the address of its style sheet."""
    info, components = document["info"], document["components"]
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    bodies = {_named(operation["requestBody"]) for *_, operation in operations if _has(operation)}
    schemas = components["schemas"]
    return _PAGE.format(
        style=escape(style),
        title=escape(info["title"]),
        version=escape(info["version"]),
        introduction=_paragraphs(info["description"]),
        authentication=_authentication(components["securitySchemes"]),
        contents="\n".join(_contents(operations)),
        calls="\n".join(_call(*each, schemas, origin) for each in operations),
        objects="\n".join(
            _object(name, schema) for name, schema in schemas.items() if name not in bodies
        ),
    )


def _has(operation: Mapping[str, Any]) -> bool:
    return "requestBody" in operation


def _named(content: Mapping[str, Any]) -> str:
    """The name of the schema of a body or answer; empty if it has none."""
    (media,) = content["content"].values()
    return _name_of(media["schema"])


def _name_of(schema: Schema) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _contents(operations: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Iterator[str]:
    yield "<ul>"
    for method, path, operation in operations:
        name = f"<code>{method.upper()} {escape(path)}</code>"
        yield f'<li><a href="#{operation["operationId"]}">{name}</a> {_text(operation["summary"])}</li>'
    yield "</ul>"


def _authentication(schemes: Mapping[str, Any]) -> str:
    rows = [
        [f"<code>{escape(name)}</code>", _text(of["description"])] for name, of in schemes.items()
    ]
    return _table("Ways to authenticate", ("Scheme", "Is"), rows)


def _call(
    method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any], origin: str
) -> str:
    name = operation["operationId"]
    parts = [
        f'<section aria-labelledby="{name}">',
        f'<h3 id="{name}"><code>{method.upper()} {escape(path)}</code></h3>',
        f"<p>{_text(operation['summary'])}</p>",
        _paragraphs(operation.get("description", "")),
        _permission(operation),
    ]
    example = None
    if operation["parameters"]:
        rows = [[*_parameter(each)] for each in operation["parameters"]]
        parts.append(_table("Parameters", ("Name", "In", "Type", "Means"), rows))
    if _has(operation):
        body = schemas[_named(operation["requestBody"])]
        example = next(iter(body.get("examples", ())), None)
        parts += [f"<p>The body: {_text(body.get('description', ''))}</p>", _fields("Body", body)]
    parts += [
        _answer(operation),
        _refusals(operation),
        _example(method, origin + path, operation, example),
    ]
    return "\n".join(part for part in [*parts, "</section>"] if part)


def _permission(operation: Mapping[str, Any]) -> str:
    if not operation["security"]:
        return "<p>Open to everybody.</p>"
    (needed,) = operation["security"][0].values()
    return f"<p>Needs the permission <code>{escape(needed[0])}</code>.</p>"


def _parameter(of: Mapping[str, Any]) -> Iterator[str]:
    yield f"<code>{escape(of['name'])}</code>{' (required)' if of.get('required') else ''}"
    yield escape(of["in"])
    yield _type(of["schema"])
    yield _text(of.get("description", ""))


def _answer(operation: Mapping[str, Any]) -> str:
    if redirect := operation["responses"].get("303"):
        return f"<p>Answers with 303: {_text(redirect['description'])}</p>"
    content = operation["responses"]["200"]["content"]
    schema = content.get("application/json", {}).get("schema", {})
    if "properties" not in schema:
        return f"<p>Answers with {' or '.join(f'<code>{escape(media)}</code>' for media in content)}.</p>"
    data = schema["properties"].get("data")
    told = "there is no" if data is None else f"{_type(data)} is its"
    late = (
        " Or with 202: saved, but running gateways are told late."
        if "202" in operation["responses"]
        else ""
    )
    return f"<p>Answers with 200; {told} <code>data</code>.{late}</p>"


def _refusals(operation: Mapping[str, Any]) -> str:
    rows = [
        [escape(status), _text(of["description"])]
        for status, of in operation["responses"].items()
        if status >= "4"
    ]
    return f"<details><summary>Refusals</summary>\n{_table('Refusals', ('Status', 'Codes'), rows)}\n</details>"


def _example(method: str, url: str, operation: Mapping[str, Any], body: Any) -> str:
    lines = [f"curl {escape(url.replace('{id}', '1'))}"]
    if method not in {"get", "post"} or (method == "post" and body is None):
        lines[0] = f"curl -X {method.upper()}" + lines[0].removeprefix("curl")
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $TOLLHOUSE_ACCESS_TOKEN"')
    if body is not None:
        text = json.dumps(body, ensure_ascii=False).replace("'", "'\\''")
        lines += ['-H "Content-Type: application/json"', f"-d '{escape(text, quote=False)}'"]
    command = " \\\n  ".join(lines)
    return f"<pre><code>{command}</code></pre>"


def _object(name: str, schema: Schema) -> str:
    examples = "".join(
        f"<pre><code>{escape(json.dumps(each, indent=2, ensure_ascii=False), quote=False)}</code></pre>"
        for each in schema.get("examples", ())[:1]
    )
    return (
        f'<section aria-labelledby="object-{name}">\n<h3 id="object-{name}">{escape(name)}</h3>\n'
        f"{_paragraphs(schema.get('description', ''))}\n{_fields(f'Fields of {name}', schema)}\n{examples}</section>"
    )


def _fields(caption: str, schema: Schema) -> str:
    if "properties" not in schema:
        return f"<p>{_type(schema)}</p>"
    required = schema.get("required", ())
    optional = [*required] != [*schema["properties"]]
    rows = [
        [
            f"<code>{escape(name)}</code>{' (required)' if optional and name in required else ''}",
            _type(of),
            _text(of.get("description", "")),
        ]
        for name, of in schema["properties"].items()
    ]
    return _table(caption, ("Field", "Type", "Means"), rows)


def _type(schema: Schema) -> str:
    """What a value may be, in words."""
    if name := _name_of(schema):
        return f'<a href="#object-{name}">{escape(name)}</a>'
    for several in ("anyOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[several]))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values)
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}{_bounds(schema)}"
    return _KINDS.get(schema.get("type", ""), "anything") + _bounds(schema)


def _bounds(schema: Schema) -> str:
    told = [form.format(schema[name]) for name, form in _BOUNDS.items() if name in schema]
    return f" ({', '.join(told)})" if told else ""


def _table(caption: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    lines = "\n".join(_row(*row) for row in rows)
    return (
        '<div class="scroll">\n<table>\n'
        f"<caption>{_text(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n"
        "</tbody>\n</table>\n</div>"
    )


def _row(name: str, *cells: str) -> str:
    rest = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{name}</th>{rest}</tr>'


def _paragraphs(text: str) -> str:
    return "\n".join(f"<p>{_text(each)}</p>" for each in text.strip().split("\n\n") if each)


def _text(text: str) -> str:
    """Words, with what stands between backticks as code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if odd % 2 else part for odd, part in enumerate(parts))
