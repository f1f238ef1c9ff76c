"""Addresses, blocks, and who the caller is behind proxies."""

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.network import (
    Blocks,
    caller,
    hops_of,
    parse_address,
    parse_blocks,
)
from gateway.domain.rejection import BrokenRule


@pytest.mark.parametrize(
    ("text", "canonical", "is_v4"),
    [
        ("203.0.113.7", "203.0.113.7", True),
        (" 203.0.113.7 ", "203.0.113.7", True),
        ("203.0.113.7:443", "203.0.113.7", True),
        ("2001:DB8::1", "2001:db8::1", False),
        ("[2001:db8::1]", "2001:db8::1", False),
        ("[2001:db8::1]:443", "2001:db8::1", False),
        ("fe80::1%eth0", "fe80::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("[::ffff:203.0.113.7]:1", "203.0.113.7", True),
        ("::ffff:cb00:7107", "203.0.113.7", True),
    ],
)
def test_an_address_has_one_form(text, canonical, is_v4):
    address = parse_address(text)
    assert (address.text, address.is_v4) == (canonical, is_v4)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "1.2.3", "1.2.3.4.5", "01.2.3.4", "300.1.1.1", "1.2.3.4/8", "::g", "unknown"),
        *(
            "1.2.3.4:",
            "1.2.3.4:x",
            "1.2.3.4:-1",
            "1.2.3.4:123456",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[1.2.3.4]evil",
        ),
        *(
            "_hidden",
            "0x7f.0.0.1",
            "2130706433",
            "1.2.3.4 5.6.7.8",
            "::1]",
            "\uff11.2.3.4",
            "1.2.3.4\x00",
        ),
        *(" " * 90 + "1.2.3.4" + " " * 90, "fe80::1%" + "z" * 200),
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError):
        parse_address(text)


@given(st.ip_addresses())
def test_every_address_survives_being_written_and_read(address):
    mapped = getattr(address, "ipv4_mapped", None)
    assert parse_address(str(address)).text == str(mapped or address)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("", ()),
        ("\n , \r\n", ()),
        ("10.0.0.1", ("10.0.0.1",)),
        ("10.0.0.1,10.0.0.2", ("10.0.0.1", "10.0.0.2")),
        ("10.0.0.1\r\n 10.0.0.0/8 \n", ("10.0.0.1", "10.0.0.0/8")),
        ("2001:DB8:0::/32", ("2001:db8::/32",)),
        ("10.0.0.0/255.0.0.0", ("10.0.0.0/8",)),
        ("::ffff:10.0.0.1", ("10.0.0.1",)),
        (["10.0.0.1", " 10.0.0.2 "], ("10.0.0.1", "10.0.0.2")),
        ("0.0.0.0/0", ("0.0.0.0/0",)),
    ],
)
def test_blocks_are_normalised(text, blocks):
    assert parse_blocks(text) == blocks


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("nonsense", 1, "no IPv4 or IPv6 address"),
        ("10.0.0.1\n\nx", 2, "no IPv4 or IPv6 address"),
        ("10.0.0.1,10.0.0.0/33", 2, "no IPv4 or IPv6 address"),
        ("10.0.0.5/8", 1, "the block is 10.0.0.0/8"),
        ("2001:db8::5/32", 1, "the block is 2001:db8::/32"),
        ("::ffff:10.0.0.0/104", 1, "write 10.0.0.0/"),
        ("http://10.0.0.1", 1, "no IPv4 or IPv6 address"),
        (f"fe80::%{'1' * 100}", 1, "no IPv4 or IPv6 address"),
    ],
)
def test_a_bad_line_is_named_with_its_number_and_the_remedy(text, line, said):
    with pytest.raises(BrokenRule) as caught:
        parse_blocks(text)
    assert caught.value.params["line"] == line
    assert str(caught.value).startswith(f"line {line}: ")
    assert said in str(caught.value)


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 128))
def test_blocks_agree_with_the_standard_library(address, base, prefix):
    prefix = min(prefix, base.max_prefixlen)
    network = ipaddress.ip_network((int(base), prefix), strict=False)
    if base.version == 6:
        network = ipaddress.IPv6Network((int(base), prefix), strict=False)
    mapped = getattr(address, "ipv4_mapped", None) or address
    assert (parse_address(str(address)) in Blocks.of([str(network)])) == (mapped in network)


@given(st.ip_addresses(), st.integers(0, 128), st.ip_addresses(), st.integers(0, 128))
def test_a_block_is_covered_by_one_that_holds_all_of_it(inner, short, outer, long):
    blocks = [
        ipaddress.ip_network((int(base), min(prefix, base.max_prefixlen)), strict=False)
        if base.version == 4
        else ipaddress.IPv6Network((int(base), prefix), strict=False)
        for base, prefix in ((inner, short), (outer, long))
    ]
    same = blocks[0].version == blocks[1].version
    assert Blocks.of([str(blocks[1])]).covers(str(blocks[0])) == (
        same and blocks[0].subnet_of(blocks[1])
    )
    both = Blocks.of([str(blocks[0])]) | Blocks.of([str(blocks[1])])
    assert both.covers(str(blocks[0]))
    assert both.covers(str(blocks[1]))


def test_families_never_cover_each_other():
    everything_v4, everything_v6 = Blocks.of(["0.0.0.0/0"]), Blocks.of(["::/0"])
    v4, v6 = parse_address("203.0.113.7"), parse_address("2001:db8::1")
    mapped = parse_address("::ffff:203.0.113.7")
    assert v4 in everything_v4
    assert mapped in everything_v4
    assert v6 not in everything_v4
    assert v6 in everything_v6
    assert v4 not in everything_v6
    assert mapped not in everything_v6


def test_no_blocks_are_falsy_and_hold_nothing():
    assert not Blocks()
    assert parse_address("10.0.0.1") not in Blocks()
    assert Blocks.of(["10.0.0.1"])


TRUSTED = Blocks.of(["10.0.0.0/8", "2001:db8::/32"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("198.51.100.1", [], "198.51.100.1"),
        ("198.51.100.1", ["203.0.113.7"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["1.2.3.4, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["1.2.3.4", "203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, 10.0.0.9, 10.0.0.8"], "203.0.113.7"),
        ("10.0.0.1", ["10.0.0.9"], "10.0.0.9"),
        ("10.0.0.1", ["203.0.113.7:5555"], "203.0.113.7"),
        ("10.0.0.1", ["[2001:db9::1]:5555"], "2001:db9::1"),
        ("10.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("2001:db8::1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, unknown"], None),
        ("10.0.0.1", [""], None),
        ("10.0.0.1", ["unknown, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [", ".join(["203.0.113.7"] + ["10.0.0.2"] * 40)], "10.0.0.2"),
    ],
)
def test_the_caller_is_the_last_hop_that_is_not_ours(peer, forwarded, found):
    address = caller(parse_address(peer), forwarded, TRUSTED)
    assert (None if address is None else address.text) == found


@given(st.lists(st.text(max_size=40), max_size=5))
def test_no_header_can_be_believed_from_an_untrusted_peer(forwarded):
    peer = parse_address("198.51.100.1")
    assert caller(peer, forwarded, TRUSTED) == peer


# Fuzz: what callers and proxies can write, by the rule said another way (N01 to N04, N06).

PEER = parse_address("10.0.0.1")
HEADERS = ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip")
HOP = st.one_of(
    st.ip_addresses().map(str),
    st.ip_addresses(v=4, network="10.0.0.0/8").map(str),
    st.ip_addresses(v=6, network="2001:db8::/32").map(lambda each: f"[{each}]:443"),
    st.ip_addresses(v=4).map(lambda each: f"::ffff:{each}"),
    st.sampled_from(
        ["unknown", "", "_hidden", "fe80::1%eth0", "1.2.3.4:80", "[::1", "a b", '"', "\x00"]
    ),
    st.text(max_size=20),
)


def read(text: str) -> str | None:
    try:
        return parse_address(text.strip()).text
    except ValueError:
        return None


def expected(hops: list[str]) -> str | None:
    """The rightmost that is not trusted; nobody knows, once one cannot be read."""
    hops = hops[-32:]
    found: str | None = PEER.text
    for text in reversed(hops):
        found = read(text)
        if found is None or parse_address(found) not in TRUSTED:
            return found
    return found


@given(st.lists(HOP, min_size=1, max_size=40), st.integers(0, 40))
def test_the_caller_is_who_the_rule_says_for_any_hops(hops, cut):
    cut = min(cut, len(hops) - 1)
    lines = [",".join(hops[: cut + 1]), *([",".join(hops[cut + 1 :])] if hops[cut + 1 :] else [])]
    flat = ",".join(lines).split(",")
    found = caller(PEER, hops_of("x-forwarded-for", lines), TRUSTED)
    assert (None if found is None else found.text) == expected(flat)


@given(st.lists(HOP, max_size=10), st.ip_addresses().filter(lambda each: str(each) != ""))
def test_whatever_a_caller_writes_before_the_proxys_own_hop_changes_nothing(written, real):
    text = read(str(real))
    assert text
    forged = [*written, str(real)]
    for lines in ([", ".join(forged)], forged):
        if parse_address(text) not in TRUSTED:
            found = caller(PEER, hops_of("x-forwarded-for", lines), TRUSTED)
            assert found is not None
            assert found.text == text


@given(st.text(), st.ip_addresses(v=4))
def test_nor_does_what_stands_before_it_in_forwarded(written, real):
    """Quotes that a caller leaves open cannot swallow what the proxy adds behind a comma."""
    if parse_address(str(real)) not in TRUSTED:
        found = caller(PEER, hops_of("forwarded", [written, f"for={real};proto=https"]), TRUSTED)
        assert found is not None
        assert found.text == str(real)


@given(st.sampled_from(HEADERS), st.lists(st.text(), max_size=4))
def test_any_header_is_read(header, lines):
    hops = hops_of(header, lines)
    assert len(hops) <= 32
    caller(PEER, hops, TRUSTED)


@given(st.text())
def test_any_text_is_an_address_with_one_form_or_none(text):
    once = read(text)
    assert once is None or read(once) == once


@given(st.text() | st.lists(st.text(max_size=30), max_size=5))
def test_any_text_is_blocks_or_refused(text):
    blocks: tuple[str, ...] = ()
    with contextlib.suppress(BrokenRule):
        blocks = parse_blocks(text)
    assert parse_blocks(list(blocks)) == blocks
    Blocks.of(blocks)


def test_a_header_of_a_megabyte_is_read_from_its_end():
    hops = hops_of("x-forwarded-for", ["10.0.0.2," * 100_000 + "203.0.113.7"])
    assert len(hops) == 32
    assert caller(PEER, hops, TRUSTED) == parse_address("203.0.113.7")


@pytest.mark.parametrize(
    ("header", "lines", "hops"),
    [
        ("x-forwarded-for", ["1.1.1.1, 2.2.2.2", "3.3.3.3"], ["1.1.1.1", "2.2.2.2", "3.3.3.3"]),
        ("cf-connecting-ip", ["1.1.1.1"], ["1.1.1.1"]),
        (
            "forwarded",
            ['for=1.1.1.1;proto=https, For="[2001:db8::1]:47"', "by=x;for=3.3.3.3"],
            ["1.1.1.1", "[2001:db8::1]:47", "3.3.3.3"],
        ),
        ("forwarded", ["proto=https", "for=_hidden"], ["unknown", "_hidden"]),
    ],
)
def test_each_header_tells_the_hops_in_its_own_way(header, lines, hops):
    assert hops_of(header, lines) == hops


def test_a_hop_that_nobody_can_read_leaves_the_caller_unknown():
    trusted = Blocks.of(["10.0.0.0/8"])
    peer = parse_address("10.0.0.1")
    assert caller(peer, hops_of("forwarded", ["for=1.1.1.1, for=_hidden"]), trusted) is None
    assert caller(peer, hops_of("forwarded", ["for=1.1.1.1, for=10.1.1.1"]), trusted) == (
        parse_address("1.1.1.1")
    )
