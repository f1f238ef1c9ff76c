"""Heads of requests: what our own reader takes for plain says the same to both of aiohttp's parsers."""

from gateway.relay.plain import may_be_head, read_head
from tests.fuzz.target import Target
from tests.raw_request import REFUSED, read_by_c, read_by_python

_MOST_BODY_BYTES = 10_000


def keeps(data: bytes) -> None:
    head = data.partition(b"\r\n\r\n")[0]
    for size in (1, 3, len(head)):
        if head.startswith(b"POST /"):
            assert b"\n\n" in head[:size] or may_be_head(head[:size]) or size > len(head)
    found = read_head(head)
    if found is None or found.body_bytes > _MOST_BODY_BYTES:
        return
    body = b"x" * found.body_bytes
    for read in (read_by_c, read_by_python):
        requests = read(head + b"\r\n\r\n" + body)
        assert requests is not REFUSED
        (request,) = requests
        assert (request.method, request.body) == ("POST", body)
        assert request.target.removesuffix("?") == f"{found.path}?{found.query}".removesuffix("?")
        assert request.fields == tuple(found.fields.items())


TARGET = Target(
    "heads",
    keeps,
    (
        *(
            b"POST ",
            b"GET ",
            b"/v1/models",
            b" HTTP/1.1",
            b"HTTP/1.0",
            b"\r\n",
            b"\n",
            b"\r",
            b"\0",
        ),
        *(
            b"Host: g\r\n",
            b"Content-Length: 3\r\n",
            b"content_length: 3\r\n",
            b"Content-Length : 3",
        ),
        *(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n"),
        *(
            b"\r\n ",
            b"\r\n\t",
            b" :",
            b":",
            b"\xa0",
            b"\xff",
            b"%",
            b"#",
            b"?",
            b"+1",
            b"-1",
            b"0x1",
        ),
        *(
            b"1_2",
            b"http://other/",
            b"//",
            b"TE: trailers\r\n",
            b"Upgrade: h2c\r\n",
            b"\x7f",
            b"\x0b",
        ),
        *(
            b"Connection: keep-alive\r\n",
            b"\xc2\xb2",
            b"00",
            b"A" * 70,
            b"x: y\r\n",
            b"\x85",
            b"\x0c",
        ),
    ),
)
