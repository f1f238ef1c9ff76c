"""Where the gateway itself may connect to: what a name resolves to is somebody else's to say. Pure.

An address that stands in the operator's file is trusted, and so is `localhost`; a name has to lead to a public address,
or to one that the operator allows. Addresses by which machines are administered are never called, however they are
written.
"""

import ipaddress
from collections.abc import Iterator

from gateway.domain.network import Blocks, parse_address

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

# Link-local, and the metadata services that are not: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-instance-addressing.html
_NEVER = tuple(
    ipaddress.ip_network(block)
    for block in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "100.100.100.200/32",
        "0.0.0.0/32",
        "::/128",
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # https://www.rfc-editor.org/rfc/rfc6052
_LOW_32 = (1 << 32) - 1


def is_literal(host: str) -> bool:
    """Whether a host is an address, or the one name that always is this machine (RFC 6761 section 6.3)."""
    if host.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_never_called(host: str) -> bool:
    """Whether nothing may ever connect there: link-local, metadata, unspecified, multicast. A name is none of them."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return any(
        each.is_multicast or any(each in block for block in _NEVER if block.version == each.version)
        for each in _meanings(address)
    )


def may_be_called(address: str, allowed: Blocks) -> bool:
    """Whether a name that resolves to this address may be connected to: it is public, or `allowed`."""
    if is_never_called(address):
        return False
    if parse_address(address) in allowed:
        return True
    return all(
        each.is_global for each in _meanings(ipaddress.ip_address(address.partition("%")[0]))
    )


def _meanings(address: _Ip) -> Iterator[_Ip]:
    """An address, and the IPv4 addresses that it stands for."""
    yield address
    if isinstance(address, ipaddress.IPv4Address):
        return
    for inside in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())):
        if inside is not None:
            yield inside
    if address in _NAT64:
        yield ipaddress.IPv4Address(int(address) & _LOW_32)
