"""Headers that tell who a call is from: the rightmost hop that is not trusted, by another telling of the rule."""

import ipaddress

from gateway.domain.network import Blocks, caller, hops_of, parse_address
from tests.fuzz.target import Target

_PEER = parse_address("10.0.0.1")
_TRUSTED = Blocks.of(("10.0.0.0/8", "2001:db8::/32"))
_PROXYS_OWN = "203.0.113.9"
_HEADERS = ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip")
_MOST_HOPS = 32


def keeps(data: bytes) -> None:
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    for header in _HEADERS:
        hops = hops_of(header, lines)
        assert len(hops) <= _MOST_HOPS
        found = caller(_PEER, hops, _TRUSTED)
        assert (None if found is None else found.text) == _expected(hops)
        assert caller(parse_address("203.0.113.1"), hops, _TRUSTED) == parse_address("203.0.113.1")
        _cannot_be_forged(header, lines)


def _expected(hops: list[str]) -> str | None:
    for hop in reversed(hops):
        address = _address(hop)
        if address is None:
            return None
        if not _is_trusted(address):
            return str(address)
    return str(_address(hops[0])) if hops else _PEER.text


def _address(hop: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """What one hop says, piece by piece."""
    text = hop.strip()
    if len(hop) > 100:
        return None
    if text.startswith("["):
        inner, closed, port = text[1:].partition("]")
        if not closed or (port and not _is_port(port)):
            return None
        text = inner
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    try:
        address = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_port(text: str) -> bool:
    return text[:1] == ":" and 1 <= len(text) - 1 <= 5 and all(c in "0123456789" for c in text[1:])


def _is_trusted(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    blocks = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))
    return any(address in block for block in blocks if block.version == address.version)


def _cannot_be_forged(header: str, lines: list[str]) -> None:
    """What a caller writes stands before what the proxy adds, and changes nothing of it."""
    own = f"for={_PROXYS_OWN}" if header == "forwarded" else _PROXYS_OWN
    for added in ([*lines, own], [*lines[:-1], f"{lines[-1]}, {own}"]):
        found = caller(_PEER, hops_of(header, added), _TRUSTED)
        assert found is not None
        assert found.text == _PROXYS_OWN


TARGET = Target(
    "forwarded",
    keeps,
    (
        *(b"10.0.0.2", b"203.0.113.7", b"2001:db8::1", b"::ffff:10.0.0.3", b"[::1]:80", b"\n"),
        *(
            b", ",
            b",",
            b"for=",
            b'for="',
            b'"',
            b";proto=https",
            b"unknown",
            b"_x",
            b"%eth0",
            b":80",
        ),
        *(
            b"[",
            b"]",
            b"010.0.0.1",
            b"0x0a.0.0.1",
            b"\0",
            b"\t",
            b"\xd9\xa1",
            b"1,2",
            b"\\",
            b"by=",
        ),
        *(b"::ffff:0:0", b"10.0.0.1,", b"FOR=", b" ", b"64:ff9b::1.2.3.4", b"\xe2\x80\x8b", b"/8"),
    ),
)
