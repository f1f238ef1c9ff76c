"""PROXY headers: read to the letter, whatever comes in whatever pieces."""

import ipaddress
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.domain.network import parse_address
from gateway.domain.proxy_header import (
    MOST_BYTES,
    BadProxyHeader,
    ProxyHeader,
    read_proxy_header,
)

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PORTS = st.integers(0, 65_535)
PAIRS = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
    st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
)
ADDITIONS = st.lists(
    st.tuples(st.integers(0, 255), st.binary(max_size=200)), max_size=3
)  # a type and a value


def v2(command: int, family: int, told: bytes) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(told).to_bytes(2) + told


def proxied(source: str, target: str = "", *, more: bytes = b"") -> bytes:
    """A version 2 header of a TCP connection."""
    addresses = ipaddress.ip_address(source), ipaddress.ip_address(target or source)
    family = 0x11 if addresses[0].version == 4 else 0x21
    packed = b"".join(address.packed for address in addresses)
    return v2(0x21, family, packed + (1024).to_bytes(2) + (443).to_bytes(2) + more)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, str]:
    """A header, and the address that it tells."""
    source, target = draw(PAIRS)
    if draw(st.booleans()):
        more = b"".join(
            bytes((kind,)) + len(value).to_bytes(2) + value for kind, value in draw(ADDITIONS)
        )
        return proxied(str(source), str(target), more=more), str(source)
    family = f"TCP{source.version}"
    line = f"PROXY {family} {source} {target} {draw(PORTS)} {draw(PORTS)}\r\n"
    return line.encode(), str(source)


@given(header=headers(), rest=st.binary(max_size=50))
def test_a_header_tells_its_source_and_where_the_rest_begins(
    header: tuple[bytes, str], rest: bytes
):
    data, source = header
    assert read_proxy_header(data + rest) == ProxyHeader(len(data), parse_address(source))


@given(header=headers(), data=st.data())
def test_of_a_part_of_a_header_more_is_waited_for(header: tuple[bytes, str], data: st.DataObject):
    whole, _ = header
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert read_proxy_header(part) is None


@given(data=st.binary(max_size=300))
@example(data=b"POST / HTTP/1.1\r\n\r\n")
@example(data=SIGNATURE + b"\x22\x11\0\0")
def test_what_is_no_header_is_never_taken_for_one(data: bytes):
    try:
        found = read_proxy_header(data)
    except BadProxyHeader:
        return
    is_one = data.startswith((SIGNATURE, b"PROXY "))
    assert is_one if found else (SIGNATURE.startswith(data[:12]) or b"PROXY ".startswith(data[:6]))


@given(header=headers(), data=st.data())
def test_a_header_with_a_changed_byte_is_another_header_or_none(
    header: tuple[bytes, str], data: st.DataObject
):
    whole, _ = header
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = read_proxy_header(bytes(changed))
    except BadProxyHeader:
        return
    if found is None or found.source is None:
        return
    if changed.startswith(b"PROXY "):
        assert found.source == parse_address(changed.split(b" ")[2].decode())
    else:
        assert ipaddress.ip_address(found.source.text).packed in changed


@pytest.mark.parametrize(
    "data",
    [
        v2(0x20, 0x00, b""),  # LOCAL: a balancer's own check
        v2(0x20, 0x11, bytes(12)),
        v2(0x21, 0x00, b""),  # unspecified
        v2(0x21, 0x00, b"anything"),
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
    ],
)
def test_a_proxy_may_speak_for_itself(data: bytes):
    assert read_proxy_header(data + b"rest") == ProxyHeader(len(data), None)


def test_a_mapped_address_is_its_ipv4_address():
    found = read_proxy_header(proxied("::ffff:192.0.2.1"))
    assert found is not None
    assert found.source == parse_address("192.0.2.1")


@pytest.mark.parametrize(
    "data",
    [
        v2(0x11, 0x11, bytes(12)),  # another version
        v2(0x22, 0x11, bytes(12)),  # another command
        v2(0x21, 0x12, bytes(12)),  # UDP
        v2(0x21, 0x31, bytes(216)),  # a Unix socket
        v2(0x21, 0x11, bytes(11)),
        v2(0x21, 0x21, bytes(35)),
        proxied("192.0.2.1", more=b"\x01\x00"),
        proxied("192.0.2.1", more=b"\x01\x00\x05abcd"),
        SIGNATURE + b"\x21\x11" + (MOST_BYTES - 15).to_bytes(2),
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        b"PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.02.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY " + b"x" * 101,
        b"GET / HTTP/1.1\r\n",
    ],
)  # fmt: skip
def test_what_is_not_to_the_letter_is_declined(data: bytes):
    with pytest.raises(BadProxyHeader):
        assert read_proxy_header(data + b"\n" * 120) is None


def test_the_example_of_the_specification_is_read():
    line = b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nGET / HTTP/1.1\r\n"
    found = read_proxy_header(line)
    assert found is not None
    assert (found.source, line[found.size_bytes :]) == (
        parse_address(socket.inet_ntoa(b"\xff" * 4)),
        b"GET / HTTP/1.1\r\n",
    )
