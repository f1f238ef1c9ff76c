"""Addresses and blocks of addresses, and who the caller is behind proxies.

IPv4-mapped IPv6 addresses (`::ffff:10.0.0.1`) are their IPv4 address everywhere; an IPv4 block never covers an
IPv6 address and the other way round. Decisions are on integers: `ipaddress` objects cost microseconds.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from gateway.domain.rejection import BrokenRule
from gateway.domain.rules import Rule

_SEPARATORS = re.compile(r"[\n\r,]+")
_MAX_HOPS = 32
_MAX_CHARACTERS = 100  # the longest address with a zone, brackets and a port; what is longer would only fill the cache
_PORT = re.compile(r":[0-9]{1,5}")


class Address(NamedTuple):
    """An address as decisions and logs need it."""

    value: int
    is_v4: bool
    text: str


@dataclass(frozen=True, slots=True)
class Blocks:
    """A set of CIDR blocks, as (network, netmask) integers by family."""

    v4: tuple[tuple[int, int], ...] = ()
    v6: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, blocks: Iterable[str]) -> "Blocks":
        """Blocks from normalised text, as `parse_blocks` gives it."""
        v4: list[tuple[int, int]] = []
        v6: list[tuple[int, int]] = []
        for text in blocks:
            network = ipaddress.ip_network(text)
            pair = (int(network.network_address), int(network.netmask))
            (v4 if network.version == 4 else v6).append(pair)  # noqa: PLR2004
        return cls(tuple(v4), tuple(v6))

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    def __or__(self, other: "Blocks") -> "Blocks":
        return Blocks(self.v4 + other.v4, self.v6 + other.v6)

    def covers(self, text: str) -> bool:
        """Whether a whole block, in normalised text, is within one of these."""
        network = ipaddress.ip_network(text)
        value, mask = int(network.network_address), int(network.netmask)
        pairs = self.v4 if network.version == 4 else self.v6  # noqa: PLR2004
        return any(value & outer == base and outer & mask == outer for base, outer in pairs)

    def __contains__(self, address: Address) -> bool:
        value = address.value
        # A loop, since any() over a generator costs three times as much.
        for network, mask in self.v4 if address.is_v4 else self.v6:  # noqa: SIM110
            if value & mask == network:
                return True
        return False


@lru_cache(maxsize=65536)
def parse_address(text: str) -> Address:
    """The address in `text`, without brackets, zone and mapping.

    Raises `ValueError` for anything that is no IPv4 or IPv6 address.
    """
    if len(text) > _MAX_CHARACTERS:
        raise ValueError("too long for an address")
    bare, port = text.strip(), ""
    if bare.startswith("["):
        bare, closed, port = bare[1:].partition("]")
        if not closed:
            raise ValueError("a bracket is not closed")
    elif bare.count(":") == 1:
        bare, _, number = bare.partition(":")
        port = f":{number}"
    if port and not _PORT.fullmatch(port):
        raise ValueError("what stands behind the address is no port")
    parsed = ipaddress.ip_address(bare.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return Address(int(parsed), parsed.version == 4, str(parsed))  # noqa: PLR2004


def parse_blocks(text: str | Sequence[str]) -> tuple[str, ...]:
    """Normalised blocks from lines (or commas, or a list): an address stays one, a block is written canonically.

    Raises `BrokenRule` naming the offending line.
    """
    return tuple(parse_block(*each) for each in numbered_lines(text))


def numbered_lines(text: str | Sequence[str]) -> Iterable[tuple[int, str]]:
    """The lines that are not empty, counted from 1."""
    lines = _SEPARATORS.split(text) if isinstance(text, str) else list(text)
    return enumerate((entry for line in lines if (entry := line.strip())), start=1)


def parse_block(line: int, text: str) -> str:
    """One of them. Raises `BrokenRule`."""
    try:
        network = ipaddress.ip_network(text, strict=False)
        if "/" not in text:
            return parse_address(text).text
    except ValueError:
        raise BrokenRule(Rule.NO_BLOCK, line=line, given=text) from None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped:
        address = str(network.network_address.ipv4_mapped)
        raise BrokenRule(Rule.MAPPED_BLOCK, line=line, given=text, address=address)
    if ipaddress.ip_interface(text).ip != network.network_address:
        raise BrokenRule(Rule.HOST_BITS, line=line, given=text, block=str(network))
    return str(network)


_FOR = re.compile(r'(?:^|;)\s*for="?([^";]*)"?', re.IGNORECASE)


def hops_of(header: str, lines: Sequence[str]) -> list[str]:
    """What a header's lines say of the way of a call, the farthest first, as `caller` takes it.

    `header` is `forwarded` (RFC 7239), or one whose values are addresses with commas between them.
    """
    hops = [hop.strip() for hop in ",".join(lines).rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]]
    if header != "forwarded":
        return hops
    return [found[1].strip() if (found := _FOR.search(hop)) else "unknown" for hop in hops]


# https://www.rfc-editor.org/rfc/rfc1918, 4193, 1122 (loopback), 3927 and 4291 (link-local)
_PRIVATE = Blocks.of(
    (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16"),
        *("fc00::/7", "::1/128", "fe80::/10"),
    )
)


def is_private(address: Address) -> bool:
    """Whether it is of a private network, of this machine or of this link: no router of the Internet passes it on."""
    return address in _PRIVATE


def caller(peer: Address, forwarded: Sequence[str], trusted: Blocks) -> Address | None:
    """The caller's address: the peer, or behind trusted proxies the rightmost untrusted hop.

    `forwarded` are the hops that a header tells, in order; they are believed only from a trusted peer. `None`
    when a hop cannot be read: the caller is then unknown, and rules on addresses refuse.
    """
    if not forwarded or peer not in trusted:
        return peer
    hops = ",".join(forwarded).rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]
    hop = peer
    for text in reversed(hops):
        try:
            hop = parse_address(text)
        except ValueError:
            return None
        if hop not in trusted:
            return hop
    return hop
