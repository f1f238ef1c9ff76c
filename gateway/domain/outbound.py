"""Where Tollhouse itself may connect to: what a name resolves to is somebody else's to say. Pure.

What stands in the operator's file as an address, or as `localhost`, is trusted; whatever else has to be public, or
allowed by the operator. Addresses by which machines are administered are never called, however they are written.
"""

import ipaddress
from collections.abc import Iterator

from gateway.domain.network import Address, Blocks, parse_address

# Link-local, the metadata services that are not, and what means "this machine" or "everybody". Their sources:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html (fd00:ec2::/32),
# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16; the others are those of Alibaba,
# Google, Oracle, Scaleway and Akamai.
_NEVER = Blocks.of(
    (
        *("0.0.0.0/32", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"),
        *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"),
        *("::/128", "fe80::/10", "ff00::/8", "fd00:ec2::/32", "fd00:100::100:200/128"),
        *("fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128", "fd00:42::42/128", "fd00:a9fe:a9fe::1/128"),
    )
)
# https://www.iana.org/assignments/iana-ipv4-special-registry and -ipv6-special-registry; the standard library's copy
# differs between versions of Python, and holds much of IPv6 to be public that is not assigned. Relays of 6to4 and
# Teredo are history (RFC 7526), so nothing that is meant to be called is behind them.
_SPECIAL = Blocks.of(
    (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
    )
)
_ASSIGNED = Blocks.of(("0.0.0.0/0", "2000::/3"))  # RFC 4291 section 2.4
_NAT64 = Blocks.of(("64:ff9b::/96",))  # RFC 6052: how hosts without IPv4 reach public addresses
# What ends in an IPv4 address: compatible, translated (RFC 2765), NAT64 of everybody and of a network (RFC 8215).
_ENDS_IN_V4 = Blocks.of(("::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
_SIX_TO_FOUR, _TEREDO = Blocks.of(("2002::/16",)), Blocks.of(("2001::/32",))
_LOW_32 = (1 << 32) - 1
_LOOPBACK = Blocks.of(("127.0.0.0/8", "::1/128"))


def trusted_literal(host: str) -> Blocks:
    """What a host of the operator's file allows by standing there: itself, if it is an address or `localhost`."""
    if host.lower() == "localhost":
        return _LOOPBACK
    address = _parsed(host)
    return Blocks() if address is None else Blocks.of((address.text,))


def is_literal(host: str) -> bool:
    """Whether a host is an address, or the one name that always is this machine (RFC 6761 section 6.3)."""
    return host.lower() == "localhost" or _parsed(host) is not None


def is_never_called(host: str) -> bool:
    """Whether nothing may ever connect there: link-local, metadata, unspecified, multicast. A name is none of them."""
    address = _parsed(host)
    return address is not None and any(each in _NEVER for each in _meanings(address))


def may_be_called(text: str, allowed: Blocks) -> bool:
    """Whether an address may be connected to: it is public, or `allowed`, and none that is never called."""
    address = _parsed(text)
    if address is None or is_never_called(text):
        return False
    return address in allowed or _is_public(address)


def _is_public(address: Address) -> bool:
    if address in _NAT64:
        return _is_public(_v4(address.value))
    return address in _ASSIGNED and address not in _SPECIAL


def _meanings(address: Address) -> Iterator[Address]:
    """An address, and the IPv4 addresses that translators and tunnels make of it."""
    yield address
    if address in _ENDS_IN_V4:
        yield _v4(address.value)
    if address in _SIX_TO_FOUR:
        yield _v4(address.value >> 80)
    if address in _TEREDO:  # its server, and its client with all bits turned (RFC 4380 section 4)
        yield _v4(address.value >> 64)
        yield _v4(~address.value)


def _v4(value: int) -> Address:
    return parse_address(str(ipaddress.IPv4Address(value & _LOW_32)))


def _parsed(host: str) -> Address | None:
    """The address that a host is; None for a name. A port behind it makes it a name."""
    bare = host.partition("%")[0]
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        return None
    return parse_address(bare)
