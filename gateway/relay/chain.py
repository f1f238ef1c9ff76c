"""The checks of the data plane as links: each refuses one thing and leaves at most one fact.

A link is a function of the call. It answers None to let the call pass, a refusal, or an awaitable of one of these:
only a key that is not cached, a body that is not here yet or large, and the reservation wait.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from operator import attrgetter

from aiohttp.web import RequestPayloadError

from gateway.bounded_server import TooSmallPieces
from gateway.domain import checks, key
from gateway.domain.ask import Ask, Path, read_ask
from gateway.domain.catalog import Dialect
from gateway.domain.checks import too_large
from gateway.domain.errors import Reason, Refusal, StoreUnavailable
from gateway.domain.network import Address, Blocks, caller, hops_of
from gateway.domain.passages import Rule
from gateway.domain.pricing import hold_of
from gateway.domain.routes import find_route
from gateway.domain.thin import LARGE_BYTES
from gateway.relay.call import Call, Terms
from gateway.relay.foreign_keys import UNKNOWN_PER_S, ForeignKeys
from gateway.relay.large_body import read_large_ask, whole_body
from gateway.relay.query import KEY_PARAMETER, key_in
from gateway.relay.request import StreamedRequest
from gateway.settings import QuotaSettings
from gateway.slowness import WHOLE_WITHIN_S
from gateway.store.token_cache import TokenCache

Link = Callable[[Call], Refusal | Awaitable[Refusal | None] | None]

_NOT_UNDERSTOOD = Refusal(
    Reason.INVALID_REQUEST,
    "Send the request as HTTP/1.1 or 1.0, its body with Content-Length or in chunks without a further coding.",
)


OPENS_NOTHING = Refusal(
    Reason.INVALID_API_KEY, "This key opens nothing here: it is wrong or was deleted."
)
"""What is told of a key that nobody has, or had."""


def identify_route(
    base_url: Callable[[], str], rules: Sequence[Rule]
) -> Callable[[Call], Refusal | None]:
    """Refuse a path or method that does not exist, and HTTP that we do not speak. Leaves the route.

    `rules` are the operator's for passages.
    """

    def link(call: Call) -> Refusal | None:
        if not call.request.is_understood:
            return _NOT_UNDERSTOOD
        found = find_route(call.method, call.path, base_url, rules)
        if isinstance(found, Refusal):
            return found
        if found.kind != "forward":
            call.dialect = _spoken_dialect(call)
            if found.kind == "passage":
                found = replace(found, dialect=call.dialect)
        call.route = found
        return None

    return link


def _spoken_dialect(call: Call) -> Dialect:
    """The dialect of a caller whose path others have, too: lists of models, files."""
    headers = call.request.headers
    if "x-goog-api-key" in headers or key_in(call.query) is not None:
        return "gemini"
    if "anthropic-version" in headers or "x-api-key" in headers:
        return "anthropic"
    return call.dialect


def authenticate(
    tokens: TokenCache, foreign: ForeignKeys, address_of: Callable[[Call], Address | None]
) -> Link:
    """Refuse a caller without a key that opens a token. Leaves the entry of the token.

    A text that is no key of ours is looked up only while other gateways' keys are `foreign` here.
    """

    def link(call: Call) -> Refusal | Awaitable[Refusal | None] | None:
        given = _given_key(call)
        if isinstance(given, Refusal):
            return given
        entry = tokens.get(given)
        if entry is None:
            return look_up(call, given)
        call.entry = entry
        return None

    async def look_up(call: Call, given: str) -> Refusal | None:
        if key.is_sound(given):
            return await _fetch(tokens, call, given)
        if key.is_own(given) or not foreign.exist:
            return _NOT_A_KEY
        if tokens.is_unknown(given):
            return OPENS_NOTHING
        address = address_of(call)
        if not foreign.look_ups.take(address):
            return _TOO_MANY_UNKNOWN
        refusal = await _fetch(tokens, call, given)
        if refusal is None:
            foreign.look_ups.give_back(address)
        return refusal

    return link


async def _fetch(tokens: TokenCache, call: Call, given: str) -> Refusal | None:
    try:
        entry = await tokens.fetch(given)
    except StoreUnavailable as error:
        return keys_unavailable(error)
    if entry is None:
        return OPENS_NOTHING
    call.entry = entry
    call.is_fresh = True
    return None


def require_live(call: Call) -> Refusal | None:
    """Refuse a token that is disabled or expired, or whose owner is disabled."""
    return checks.require_live(call.entry.token, call.started_at)


def require_network(address_of: Callable[[Call], Address | None]) -> Link:
    """Refuse an address that the token does not allow. Leaves the caller's address.

    With a secret of the console's, that is whom it calls for: the row of the secret says so, and no header could.
    """

    def link(call: Call) -> Refusal | None:
        call.address = call.entry.token.console_address or address_of(call)
        return checks.require_network(call.entry.token, call.address)

    return link


def caller_behind(trusted: Blocks, header: str) -> Callable[[Call], Address | None]:
    """How a caller's address is found out; `header` is the one by which `trusted` proxies tell it."""
    if not trusted:
        return attrgetter("peer")

    def address_of(call: Call) -> Address | None:
        peer = call.peer
        if peer not in trusted:
            return peer
        lines = call.request.headers.getall(header, ())
        return caller(peer, hops_of(header, lines) if lines else (), trusted)

    return address_of


def accept_body(max_bytes: int, setting: str = "max_body_bytes") -> Link:
    """Refuse, before anything of it is read, a body that is compressed or declared too large."""

    def link(call: Call) -> Refusal | None:
        request = call.request
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return _COMPRESSED
        if (request.content_length or 0) > max_bytes:
            return too_large(max_bytes, setting)
        return None

    return link


def read_body(max_bytes: int) -> Link:
    """Refuse a body that turns out too large or breaks off. Leaves the body."""

    def link(call: Call) -> Refusal | Awaitable[Refusal | None] | None:
        if hasattr(call, "body"):
            return None  # it came with its head, or the checks run again on a fresh token
        assert isinstance(call.request, StreamedRequest)
        content = call.request.content
        return keep(call, content.read_nowait()) if content.is_eof() else wait(call, call.request)

    def keep(call: Call, body: bytes) -> Refusal | None:
        if len(body) > max_bytes:
            return too_large(max_bytes)
        call.body = body
        return None

    async def wait(call: Call, request: StreamedRequest) -> Refusal | None:
        if "expect" in request.headers and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        size_bytes = request.content_length or max_bytes
        try:
            async with asyncio.timeout(WHOLE_WITHIN_S + size_bytes / _SLOWEST_BYTES_PER_S):
                body = await whole_body(request, max_bytes)
        except TimeoutError:
            return _TOO_SLOW
        except RequestPayloadError as error:
            message = _TOO_SMALL if isinstance(error, TooSmallPieces) else _BROKEN_OFF
            return Refusal(Reason.INVALID_REQUEST, message, cause=str(error))
        call.here_at = time.monotonic()
        return too_large(max_bytes) if body is None else keep(call, body)

    return link


_NOTHING_SAID = Path()


def read_the_ask(call: Call) -> Refusal | Awaitable[Refusal | None] | None:
    """Refuse a body that cannot be understood as far as the checks need it. Leaves the ask."""
    says = call.route.says
    path = _NOTHING_SAID if says is None else says(call.path, call.query)
    if len(call.body) >= LARGE_BYTES:
        return _read_in_steps(call, path)
    return _keep(call, read_ask(call.body, call.route.form, path))


async def _read_in_steps(call: Call, path: Path) -> Refusal | None:
    return _keep(call, await read_large_ask(call.body, call.route.form, path))


def _keep(call: Call, found: Ask | Refusal) -> Refusal | None:
    if isinstance(found, Refusal):
        return found
    call.ask = found
    return None


def require_model(call: Call) -> Refusal | None:
    """Refuse a model that the token, its group or every upstream leaves out."""
    if agreed_terms(call) is not None:
        return None  # decided when they were made, on the same token and catalog
    return checks.require_model(call.entry.token, call.ask.model, call.catalog, call.route.dialects)


def agreed_terms(call: Call) -> Terms | None:
    """The terms of the call's token and model, where they were made on the present catalog."""
    terms: Terms | None = call.entry.terms.get(call.terms_key)
    return terms if terms is not None and terms.catalog is call.catalog else None


def agree_terms(terms_of: Callable[[Call], Terms], settings: QuotaSettings) -> Link:
    """Refuse what cannot be bounded in cost. Leaves the terms and the hold."""
    step_tokens, estimated_tokens = settings.reserve_step_tokens, settings.estimate_output_tokens

    def link(call: Call) -> Refusal | None:
        terms = agreed_terms(call) or terms_of(call)
        call.terms = terms
        bound = hold_of(
            call.entry.token, terms, call.route, call.ask, step_tokens, estimated_tokens
        )
        if isinstance(bound, Refusal):
            return bound
        call.hold = bound
        return None

    return link


_SLOWEST_BYTES_PER_S = 32_768
_TOO_SLOW = Refusal(
    Reason.REQUEST_TIMEOUT,
    "The body did not come to its end in time: it has a minute, and a second more for each 32 KiB.",
)
_BROKEN_OFF = "The body broke off before its end."
_TOO_SMALL = "The body comes in chunks of a few bytes each; send it in larger ones, or with a Content-Length."
_COMPRESSED = Refusal(
    Reason.UNSUPPORTED_MEDIA_TYPE, "The body is compressed (Content-Encoding); send it plain."
)
_NOT_A_KEY = Refusal(
    Reason.INVALID_API_KEY,
    "This is no key of this gateway (its shape or checksum is wrong). "
    "Keys look like sk-… and are 52 characters long.",
)
# Not a 401: nobody has looked whether this one is good, and clients do not repeat what is told to be wrong.
_TOO_MANY_UNKNOWN = Refusal(
    Reason.RATE_LIMIT_EXCEEDED,
    f"More than {UNKNOWN_PER_S} unknown keys a second came from this address, so this one was not looked up. "
    "Try again in a second.",
    retry_after_s=1,
)


def keys_unavailable(error: StoreUnavailable) -> Refusal:
    """What a caller is told whose key cannot be looked up: nobody knows whether it is good."""
    return Refusal(
        Reason.KEY_STORE_UNAVAILABLE,
        "Keys cannot be looked up at the moment. Try again shortly.",
        retry_after_s=1,
        cause=str(error),
    )


# Where each dialect's own clients put a key, the likeliest place first.
_KEY_PLACES: dict[Dialect, tuple[str, ...]] = {
    "openai": ("authorization", "x-api-key"),
    "anthropic": ("x-api-key", "authorization"),
    "gemini": ("x-goog-api-key", KEY_PARAMETER, "authorization"),
}
_NO_KEY: dict[Dialect, str] = {
    "openai": "No key was given. Send it as the header 'Authorization: Bearer sk-…'.",
    "anthropic": "No key was given. Send it as the header 'x-api-key: sk-…' or 'Authorization: Bearer sk-…'.",
    "gemini": "No key was given. Send it as the header 'x-goog-api-key: sk-…' or 'Authorization: Bearer sk-…'.",
}


def _given_key(call: Call) -> str | Refusal:
    """The key in the call's headers, or in its query."""
    headers = call.request.headers
    for place in _KEY_PLACES[call.dialect]:
        if place == KEY_PARAMETER:
            if (in_query := key_in(call.query)) is not None:
                return in_query
        elif (given := headers.get(place)) is not None:
            return _bearer(given) if place == "authorization" else given.strip()
    return Refusal(Reason.INVALID_API_KEY, _NO_KEY[call.dialect])


def _bearer(given: str) -> str | Refusal:
    if given[:7] == "Bearer " or given[:7].lower() == "bearer ":
        bearer = given[7:].strip()
        if bearer:
            return bearer
        return Refusal(Reason.INVALID_API_KEY, "The header 'Authorization: Bearer' holds no key.")
    if given.startswith("sk-"):
        return Refusal(
            Reason.INVALID_API_KEY,
            "The header Authorization lacks the prefix 'Bearer ': send 'Authorization: Bearer sk-…'.",
        )
    return Refusal(
        Reason.INVALID_API_KEY,
        "The header Authorization is not of the form 'Bearer sk-…'.",
    )
