"""Lists of addresses and CIDR blocks: one written form, and the same membership that the standard library finds."""

import ipaddress

from gateway.domain.network import Blocks, parse_address, parse_blocks
from gateway.domain.outbound import is_literal, is_never_called, may_be_called
from gateway.domain.rejection import BrokenRule
from tests.fuzz.target import Target

_PROBES = ("10.0.0.1", "0.0.0.0", "255.255.255.255", "203.0.113.7", "::", "::1", "2001:db8::7")


def keeps(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    _has_one_form(text)
    for part in text.split("\n"):
        _is_an_address_or_none(part)
        _goes_nowhere_inside(part)


def _has_one_form(text: str) -> None:
    try:
        blocks = parse_blocks(text)
    except BrokenRule as error:
        assert len(str(error)) < 1000
        return
    assert parse_blocks(list(blocks)) == blocks
    assert parse_blocks("\n".join(blocks)) == blocks
    networks = [ipaddress.ip_network(block) for block in blocks]
    found = Blocks.of(blocks)
    for probe in _PROBES:
        address = ipaddress.ip_address(probe)
        inside = any(address in each for each in networks if each.version == address.version)
        assert (parse_address(probe) in found) == inside
    assert all(found.covers(block) for block in blocks)


def _is_an_address_or_none(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    assert parse_address(address.text) == address
    assert str(ipaddress.ip_address(address.text)) == address.text
    assert address.is_v4 == ("." in address.text and ":" not in address.text)


def _goes_nowhere_inside(host: str) -> None:
    """What may be called without being allowed is public, whoever reads the host."""
    assert not (is_never_called(host) and not is_literal(host))
    if may_be_called(host, Blocks()):
        address = ipaddress.ip_address(parse_address(host.partition("%")[0]).text)
        assert not is_never_called(host)
        inner = (address.is_loopback, address.is_link_local, address.is_multicast)
        assert not any(inner)
        assert not address.is_private or address.version == 6


TARGET = Target(
    "blocks",
    keeps,
    (
        *(b"10.0.0.0/8", b"/8", b"/0", b"/33", b"/128", b"/", b"::/0", b"\n", b",", b"\r", b" "),
        *(b"::ffff:10.0.0.0/104", b"/255.0.0.0", b"/0.255.255.255", b"10.0.0.1/8", b"0x7f.1"),
        *(b"2130706433", b"010.0.0.1", b"127.1", b"[::1]", b"%1", b"169.254.169.254", b":80"),
        *(b"64:ff9b::a9fe:a9fe", b"2002:a9fe:a9fe::", b"localhost", b"\xd9\xa1", b"\0", b"-", b"."),
        *(b"::ffff:169.254.169.254", b"fd00:ec2::254", b"::", b"0.0.0.0", b"e", b"\xef\xbc\x91"),
    ),
)
