"""Addresses of upstreams and webhooks: what is taken makes one request, to the host that was meant, and no other.

The first line is the URL; the second, where there is one, the value of a header that goes along.
"""

from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httptools
from pydantic import ValidationError

from admin_api.catalog.bodies import CreateUpstreamBody
from admin_api.warnings.bodies import WebhookBody
from admin_api.warnings.objects import host_of
from gateway.catalog_settings import UpstreamSettings
from gateway.domain.catalog import Upstream
from gateway.domain.outbound import is_never_called
from gateway.relay.headers import constant_request_head
from tests.fuzz.target import Target


class _Seen:
    """What a reader of HTTP finds in a head."""

    def __init__(self) -> None:
        self.url = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.ended = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_message_complete(self) -> None:
        self.ended += 1


def keeps(data: bytes) -> None:
    url, _, value = data.decode("utf-8", "replace").partition("\n")
    _as_an_upstream(url, value)
    _as_a_webhook(url)
    _taken(CreateUpstreamBody, {"name": "u", "base_url": url})


def _taken(kind: Any, members: dict[str, Any]) -> Any:
    try:
        return kind.model_validate(members)
    except ValidationError:
        return None


def _as_an_upstream(url: str, value: str) -> None:
    members: dict[str, Any] = {"name": "u", "base_url": url}
    if value:
        members["headers"] = {"X-Own": value}
    settings = _taken(UpstreamSettings, members)
    if settings is None:
        return
    parts = urlsplit(settings.base_url)
    headers = tuple(settings.headers.items())
    upstream = Upstream("u", "openai", parts, ("key",), MappingProxyType({}), headers=headers)
    host = parts.hostname
    assert host
    assert not is_never_called(host)
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(constant_request_head(upstream, "POST", "/x", "key") + b"\r\n")
    assert seen.ended == 1
    names = [name.lower() for name, _ in seen.fields]
    known = [
        b"host",
        b"user-agent",
        b"accept-encoding",
        *[b"x-own"] * bool(value),
        b"authorization",
    ]
    assert names == known
    assert seen.url.endswith(b"/x")
    assert (urlsplit(f"http://{dict(seen.fields)[b'host'].decode()}").hostname) == host


def _as_a_webhook(url: str) -> None:
    body = _taken(WebhookBody, {"url": url})
    if body is None:
        return
    parts = urlsplit(body.url)
    assert parts.hostname
    assert parts.username is None
    assert not set(body.url) & set("\r\n\t \0")
    assert len(host_of(body.url)) <= len(body.url) + 2


TARGET = Target(
    "urls",
    keeps,
    (
        *(
            b"http://",
            b"https://",
            b"a.example",
            b"/v1",
            b"@",
            b":",
            b":80",
            b":99999",
            b"#x",
            b"?q",
        ),
        *(
            b"[::1]",
            b"[",
            b"]",
            b"169.254.169.254",
            b"[::ffff:a9fe:a9fe]",
            b"0",
            b"2852039166",
            b"%",
        ),
        *(
            b"\r\n",
            b"\n",
            b"\t",
            b" ",
            b"\0",
            b"\x7f",
            b"\xc3\xa9",
            b"\xe3\x80\x82",
            b"\xff",
            b"\\",
        ),
        *(
            b"%0d%0a",
            b"//",
            b"user:pass@",
            b"HTTP://",
            b"ftp://",
            b"localhost",
            b"%00",
            b"\xe2\x84\x80",
        ),
        *(
            b"X: y",
            b"x" * 70,
            b"..",
            b";",
            b"\x1f",
            b"\xc2\x85",
            b"\xe2\x80\xa8",
            b"[v1.a]",
            b"%eth0",
        ),
    ),
)
