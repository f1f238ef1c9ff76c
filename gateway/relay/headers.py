"""What crosses the gateway, both ways: allow-lists, never copies with exceptions. Pure.

Hop-by-hop fields (RFC 9110 section 7.6.1), credentials, cookies and addresses are gone by construction.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from gateway.domain.catalog import Dialect, Upstream
from gateway.domain.provider_headers import DEFAULTS, key_header

_COMMON = ("content-type", "accept", "idempotency-key", "traceparent", "tracestate")
_REQUEST: dict[Dialect, tuple[str, ...]] = {
    "openai": (*_COMMON, "openai-beta"),
    "anthropic": (*_COMMON, "anthropic-version", "anthropic-beta"),
    "gemini": (*_COMMON, "x-goog-api-client"),
}
# Lists: what stands in several lines is one value (RFC 9110 section 5.3). Of others the first line counts.
_LISTS = frozenset({"accept", "tracestate", "openai-beta", "anthropic-beta"})
# httptools gives names in lower case; the value is what stands before the field's value in our answer.
_ANSWER = {
    b"content-type": b"content-type: ",
    b"content-encoding": b"content-encoding: ",  # of those who encode although none was asked for
    b"cache-control": b"cache-control: ",
    b"content-language": b"content-language: ",
    b"content-disposition": b"content-disposition: ",
    b"date": b"date: ",
    b"openai-processing-ms": b"openai-processing-ms: ",
    b"openai-version": b"openai-version: ",
    b"retry-after": b"retry-after: ",
    b"retry-after-ms": b"retry-after-ms: ",
    b"x-should-retry": b"x-should-retry: ",
    b"x-request-id": b"x-upstream-request-id: ",
    b"request-id": b"x-upstream-request-id: ",
}


def constant_request_head(upstream: Upstream, method: str, path: str, api_key: str) -> bytes:
    """The part of a request's head that is the same for every call of a path with a key of an upstream."""
    url = upstream.base_url
    host = url.netloc.rpartition("@")[2]
    lines = [
        f"{method} {url.path}{path} HTTP/1.1",
        f"host: {host}",
        "user-agent: tollhouse",
        "accept-encoding: identity",
    ]
    lines += [f"{name}: {value}" for name, value in upstream.headers]
    if api_key:
        lines.append(": ".join(key_header(upstream, api_key)))
    return ("\r\n".join(lines) + "\r\n").encode("utf-8", "surrogateescape")


def framing_of(size_bytes: int) -> bytes:
    """The line that says how long a body is."""
    return b"content-length: %d\r\n" % size_bytes


class Headers(Protocol):
    """The fields of a caller's request; names are asked for in lower case."""

    def get(self, name: str, /) -> str | None:
        """A field's first value."""

    def getall(self, name: str, /) -> Sequence[str]:
        """All values of a field that is there."""
        ...

    def __contains__(self, name: object, /) -> bool: ...


def request_head(
    constant: bytes,
    dialect: Dialect,
    headers: Headers,
    framing: bytes,
    traceparent: str = "",
    *,
    goes_on: bool = True,
) -> bytes:
    """A whole request head: the constant part, what the caller may pass on, and our own framing.

    `traceparent` stands in the place of the caller's, where there is one to tell; `tracestate` then passes if the trace
    `goes_on` from the caller's (https://www.w3.org/TR/trace-context/#mutating-the-tracestate-field).
    """
    if traceparent:
        own = () if goes_on else ("tracestate",)
        headers = _Traced(headers, traceparent, own)
    passed = "".join(
        [
            f"{name}: {', '.join(headers.getall(name)) if name in _LISTS else value}\r\n"
            for name in _REQUEST[dialect]
            if (value := headers.get(name)) is not None
        ]
    )
    for name, value in DEFAULTS[dialect]:
        if name not in headers:
            passed += f"{name}: {value}\r\n"
    return b"%b%b%b\r\n" % (constant, passed.encode("utf-8", "surrogateescape"), framing)


class _Traced:
    """A caller's fields, of which `traceparent` is ours and those `left_out` are not there."""

    def __init__(self, headers: Headers, traceparent: str, left_out: tuple[str, ...]) -> None:
        self._headers = headers
        self._traceparent = traceparent
        self._left_out = left_out

    def get(self, name: str, /) -> str | None:
        """A field's first value."""
        if name == "traceparent":
            return self._traceparent
        return None if name in self._left_out else self._headers.get(name)

    def getall(self, name: str, /) -> Sequence[str]:
        """All values of a field that is there."""
        return self._headers.getall(name)

    def __contains__(self, name: object, /) -> bool:
        return name in self._headers


def answer_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The lines of an upstream's head that the caller may see."""
    lines = [
        prefix + value + b"\r\n"
        for name, value in headers
        if (prefix := _ANSWER.get(name)) is not None
    ]
    return b"".join(lines)


def form_of(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
    """An answer's media type and its encoding, in lower case; the encoding is empty where it can be read as it is."""
    fields = dict(headers)
    media_type = fields.get(b"content-type", b"")
    if media_type != b"application/json":  # as nearly all answers have it
        media_type = media_type.partition(b";")[0].strip().lower()
    encoding = fields.get(b"content-encoding")
    if encoding is None:
        return media_type, b""
    encoding = encoding.strip().lower()
    return media_type, b"" if encoding == b"identity" else encoding
