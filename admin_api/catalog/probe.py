"""Small calls of a provider from the admin app: its list of models, or one word of a model.

They go where gateways would go and nowhere else: the same addresses, certificates and headers; redirects are not
followed, variables for proxies are not read. Nothing secret is told, and of an error no more than its message.
"""

import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp

from gateway.domain.azure import azure_path
from gateway.domain.catalog import Dialect, Model, Upstream
from gateway.domain.provider_headers import DEFAULTS, key_header
from gateway.domain.redaction import redact
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.outbound import connector, tls_of
from gateway.store.upstream_keys import hint_of

_MOST_BYTES = 8 * 1024 * 1024
_MOST_PAGES = 20
_MOST_S = 30.0
_MOST_MESSAGE_CHARACTERS = 500
_OK = range(200, 300)
_WORD, _MAX_TOKENS = "Say OK.", 16


class _Answer(NamedTuple):
    """What came of a call. `status` None: there is no answer, and `problem` says why."""

    status: int | None
    latency_ms: float
    document: Any
    problem: str


class _Failed(Exception):
    """Why there is no answer."""


async def test(upstream: Upstream, keys: Sequence[str], model: Model | None) -> dict[str, Any]:
    """What comes of a call with each of the keys; without a model, of the list of models."""
    method, path, body = _asking(upstream, model)
    told = []
    for key in keys or ("",):
        answer = await _call(upstream, key, method, path, body)
        ok = answer.status in _OK if answer.status is not None else False
        told.append(
            {
                "api_key": hint_of(key) if key else None,
                "ok": ok,
                "status": answer.status,
                "latency_ms": answer.latency_ms,
                "message": "" if ok else answer.problem or _message(answer, upstream.dialect),
            }
        )
    ok = all(each["ok"] for each in told)
    return {"ok": ok, "called": f"{method} {path.partition('?')[0]}", "keys": told}


async def list_models(upstream: Upstream, key: str) -> list[str]:
    """The names of the models that the provider lists. Raises `Rejected` where it lists none."""
    names: list[str] = []
    after = ""
    for _ in range(_MOST_PAGES):
        answer = await _call(upstream, key, "GET", _list_path(upstream.dialect, after), None)
        if answer.status is None or answer.status not in _OK:
            message = answer.problem or _message(answer, upstream.dialect)
            status = "" if answer.status is None else f"status {answer.status}: "
            raise invalid("name", Rule.NO_MODELS_LISTED, why=[f"{status}{message}"])
        found, after = _page(upstream.dialect, answer.document)
        names += found
        if not after:
            break
    return list(dict.fromkeys(names))


def _asking(upstream: Upstream, model: Model | None) -> tuple[str, str, dict[str, Any] | None]:
    if model is None:
        return "GET", _list_path(upstream.dialect, ""), None
    theirs = upstream.model_name(model.name)
    if theirs is None:
        raise invalid("model", Rule.MODEL_NOT_SERVED, upstream=upstream.name, given=model.name)
    asked = [{"role": "user", "content": _WORD}]
    match upstream.dialect:
        case "openai":
            field = model.max_output_field or "max_tokens"
            body: dict[str, Any] = {"model": theirs, "messages": asked, field: _MAX_TOKENS}
            return "POST", "/chat/completions", body
        case "anthropic":
            return (
                "POST",
                "/messages",
                {"model": theirs, "messages": asked, "max_tokens": _MAX_TOKENS},
            )
        case "gemini":
            parts = [{"role": "user", "parts": [{"text": _WORD}]}]
            config = {"maxOutputTokens": _MAX_TOKENS}
            body = {"contents": parts, "generationConfig": config}
            return "POST", f"/models/{theirs}:generateContent", body


def _list_path(dialect: Dialect, after: str) -> str:
    """Lists have pages, but OpenAI's: https://docs.claude.com/en/api/models-list, https://ai.google.dev/api/models."""
    match dialect:
        case "openai":
            return "/models"
        case "anthropic":
            return "/models?limit=1000" + (f"&after_id={after}" if after else "")
        case "gemini":
            return "/models?pageSize=1000" + (f"&pageToken={after}" if after else "")


def _page(dialect: Dialect, document: Any) -> tuple[list[str], str]:
    """The names on a page, and where the next one begins; empty: there is none."""
    if not isinstance(document, dict):
        return [], ""
    listed, field = ("models", "name") if dialect == "gemini" else ("data", "id")
    items = document.get(listed)
    names = [
        str(item[field]).removeprefix("models/") if dialect == "gemini" else str(item[field])
        for item in (items if isinstance(items, list) else [])
        if isinstance(item, dict) and field in item
    ]
    after = ""
    if dialect == "gemini":
        after = document.get("nextPageToken") or ""
    elif dialect == "anthropic" and document.get("has_more"):
        after = document.get("last_id") or ""
    return names, quote(str(after), safe="")


async def _call(
    upstream: Upstream, key: str, method: str, path: str, body: dict[str, Any] | None
) -> _Answer:
    if upstream.azure_api_version:
        deployment = str(body["model"]) if body else ""
        path = azure_path(path, deployment, upstream.azure_api_version)
    headers = dict([*upstream.headers, *DEFAULTS[upstream.dialect]])
    if key:
        name, value = key_header(upstream, key)
        headers[name] = value
    begun = time.perf_counter()
    status, document, problem = None, None, ""
    try:
        async with (
            aiohttp.ClientSession(
                connector=_connector(upstream),
                timeout=aiohttp.ClientTimeout(
                    total=_MOST_S, sock_connect=upstream.connect_timeout_s
                ),
            ) as session,
            session.request(
                method,
                upstream.base_url.geturl() + path,
                json=body,
                headers={"user-agent": "tollhouse", "accept-encoding": "identity", **headers},
                proxy=upstream.proxy or None,
                allow_redirects=False,
            ) as response,
        ):
            status = response.status
            document = _json(await _bounded(response))
    except (aiohttp.ClientError, _Failed, OSError, ValueError) as error:
        status, problem = None, _clean(f"{error}" or type(error).__name__, key)
    latency_ms = round((time.perf_counter() - begun) * 1000, 1)
    return _Answer(status, latency_ms, _scrubbed(document, key), problem)


def _connector(upstream: Upstream) -> aiohttp.BaseConnector:
    """As gateways connect. Raises `OSError`."""
    if upstream.unix_socket:
        return aiohttp.UnixConnector(upstream.unix_socket)
    tls = tls_of(upstream)
    if upstream.proxy:
        return aiohttp.TCPConnector(ssl=tls or True)
    return connector(upstream.allow_cidrs, "allow_cidrs of the upstream", tls)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > _MOST_BYTES:
            raise _Failed(f"the answer is longer than {_MOST_BYTES} bytes")
    return bytes(body)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _message(answer: _Answer, dialect: Dialect) -> str:
    """The provider's message, where it has the form of its dialect."""
    document = answer.document
    if isinstance(document, list) and document:  # Gemini's, of some faults
        document = document[0]
    error = document.get("error") if isinstance(document, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    if isinstance(message, str) and message:
        return message[:_MOST_MESSAGE_CHARACTERS]
    return f"it answers with status {answer.status}, and with no error in the form of {dialect}."


def _scrubbed(value: Any, key: str) -> Any:
    """A document whose texts quote no key."""
    if isinstance(value, str):
        return _clean(value, key)
    if isinstance(value, dict):
        return {name: _scrubbed(each, key) for name, each in value.items()}
    if isinstance(value, list):
        return [_scrubbed(each, key) for each in value]
    return value


def _clean(text: str, key: str) -> str:
    return redact(text.replace(key, "(the key)") if key else text)
