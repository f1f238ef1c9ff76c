"""The header by which a proxy tells, before anything else on a connection, whom it speaks for. Pure.

Versions 1 and 2 of https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, read strictly: what is not a header to
the letter is none, since whoever could slip one past would choose their address.
"""

import ipaddress
from typing import Final, NamedTuple

from gateway.domain.network import Address, parse_address

MOST_BYTES: Final = 4096
"""Of a header. With what proxies add (names of servers, certificates) they have some hundred."""

_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED_BYTES = 16
_LOCAL, _PROXY = 0x20, 0x21
_UNKNOWN = 0x00
# Protocol and family, to the size of an address and of all addresses with ports. Of a datagram or a Unix socket nobody
# calls over TCP.
_FAMILIES = {0x11: (4, 12), 0x21: (16, 36)}
_TLV_BYTES = 3

_V1 = b"PROXY "
_MOST_V1_BYTES = 107
_V1_FAMILIES = {"TCP4": ipaddress.IPv4Address, "TCP6": ipaddress.IPv6Address}
_LAST_PORT = 65_535


class BadProxyHeader(ValueError):
    """What came is no header. The message says why, for the log."""


class ProxyHeader(NamedTuple):
    """A header of `size_bytes`. `source` None: the proxy speaks for itself, or does not know."""

    size_bytes: int
    source: Address | None


def read_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header that `data` begins with, None while more of it has to come. Raises `BadProxyHeader`."""
    if data[:12] == _V2[: len(data)]:
        return _read_v2(data) if len(data) >= _V2_FIXED_BYTES else None
    if data[:6] == _V1[: len(data)]:
        return _read_v1(data)
    raise BadProxyHeader("it begins as no PROXY header does")


def _read_v2(data: bytes) -> ProxyHeader | None:
    command, family = data[12], data[13]
    size_bytes = _V2_FIXED_BYTES + int.from_bytes(data[14:16])
    if command not in {_LOCAL, _PROXY}:
        raise BadProxyHeader(f"version and command are {command:#04x}")
    if size_bytes > MOST_BYTES:
        raise BadProxyHeader(f"it is longer than {MOST_BYTES} bytes")
    if command == _PROXY and family != _UNKNOWN and family not in _FAMILIES:
        raise BadProxyHeader(f"family and protocol are {family:#04x}, not those of TCP")
    if len(data) < size_bytes:
        return None
    if command == _LOCAL or family == _UNKNOWN:
        return ProxyHeader(size_bytes, None)
    address_bytes, addresses_bytes = _FAMILIES[family]
    told = data[_V2_FIXED_BYTES:size_bytes]
    if len(told) < addresses_bytes:
        raise BadProxyHeader("it is too short for its addresses")
    _check_additions(told[addresses_bytes:])
    source = ipaddress.ip_address(told[:address_bytes])
    return ProxyHeader(size_bytes, parse_address(str(source)))


def _check_additions(data: bytes) -> None:
    """Whether what follows the addresses are whole values of a type and a length."""
    while data:
        end = _TLV_BYTES + int.from_bytes(data[1:3])
        if len(data) < max(end, _TLV_BYTES):
            raise BadProxyHeader("what follows its addresses is cut")
        data = data[end:]


def _read_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _MOST_V1_BYTES)
    if end < 0:
        if len(data) >= _MOST_V1_BYTES:
            raise BadProxyHeader(f"its line is longer than {_MOST_V1_BYTES} bytes")
        return None
    words = data[len(_V1) : end].decode("latin-1").split(" ")
    if words[0] == "UNKNOWN":
        return ProxyHeader(end + 2, None)
    try:
        family, source, target, *ports = words
        address = _V1_FAMILIES[family]
        told = address(source), address(target)
    except (KeyError, ValueError):
        raise BadProxyHeader("its line does not name two addresses") from None
    if len(ports) != len(told) or not all(map(_is_port, ports)):
        raise BadProxyHeader("its line does not name two ports")
    return ProxyHeader(end + 2, parse_address(str(told[0])))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and str(int(text)) == text and int(text) <= _LAST_PORT
