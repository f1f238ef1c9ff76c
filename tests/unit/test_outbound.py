"""Where the gateway may connect to (N15)."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog_settings import UpstreamSettings
from gateway.domain.network import Blocks
from gateway.domain.outbound import (
    is_literal,
    is_never_called,
    may_be_called,
    trusted_literal,
)

NOTHING = Blocks()
EVERYTHING = Blocks.of(["0.0.0.0/0", "::/0"])
INSIDE = Blocks.of(["10.0.0.0/8", "127.0.0.0/8", "fd12::/16", "169.254.0.0/16"])


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "LOCALHOST", "fe80::1%eth0"])
def test_an_address_needs_no_name(host):
    assert is_literal(host)


@pytest.mark.parametrize(
    "host", ["example.com", "localhost.example.com", "0x7f000001", "2130706433"]
)
def test_whatever_else_is_a_name(host):
    assert not is_literal(host)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_a_name_may_lead_to_a_public_address(address):
    assert may_be_called(address, NOTHING)


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "127.0.0.1",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "::1",
        "fd12::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",  # 10.0.0.1 by NAT64
        "2002:a00:1::",  # by 6to4
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",  # by Teredo
        "::10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b:1::a00:1",
        "fec0::1",
        "3fff::1",
        "5f00::1",
        "100::1",
        "2001:db8::1",
        "4000::1",
        "0.1.2.3",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.1",
        "240.0.0.1",
        "provider.example",
        "1.1.1.1:80",
        "",
    ],
)
def test_a_name_may_not_lead_inside(address):
    assert not may_be_called(address, NOTHING)


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "fd12::1", "::ffff:10.0.0.1"])
def test_unless_the_operator_allows_it(address):
    assert may_be_called(address, INSIDE)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "fe80::1",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:42::42",
        "fd00:a9fe:a9fe::1",
        "fd00:100::100:200",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:5601:5601",
        "fe80::a9fe:a9fe%eth0",
        "0.0.0.0",
        "255.255.255.255",
        "::",
        "224.0.0.1",
        "ff02::1",
    ],
)
def test_some_addresses_are_never_called(address):
    assert is_never_called(address)
    assert not may_be_called(address, EVERYTHING)


def embedded(v4: ipaddress.IPv4Address) -> list[str]:
    """The ways in which an IPv6 address can stand for an IPv4 one."""
    value = int(v4)
    low = (
        "::ffff:0:0",
        "::",
        "::ffff:0:0:0",
        "64:ff9b::",
        "64:ff9b:1::",
    )
    forms = [int(ipaddress.IPv6Address(prefix)) | value for prefix in low]
    forms.append(0x2002 << 112 | value << 80 | 1)
    forms.append(0x20010000 << 96 | value << 64)
    forms.append(0x20010000 << 96 | 0x08080808 << 64 | (~value & 0xFFFFFFFF))
    return [str(ipaddress.IPv6Address(form)) for form in forms]


@given(st.ip_addresses(v=4, network="169.254.0.0/16"))
def test_link_local_is_never_called_in_whatever_way_it_is_written(address):
    for form in [str(address), *embedded(address)]:
        assert is_never_called(form), form
        assert not may_be_called(form, EVERYTHING), form


@given(
    st.sampled_from(["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8"]).flatmap(
        lambda block: st.ip_addresses(v=4, network=block)
    )
)
def test_a_private_address_is_called_by_leave_only_in_whatever_way_it_is_written(address):
    for form in [str(address), *embedded(address)]:
        assert not may_be_called(form, NOTHING), form


@given(st.ip_addresses())
def test_what_the_standard_library_holds_to_be_private_is_not_public(address):
    if may_be_called(str(address), NOTHING):
        inside = getattr(address, "ipv4_mapped", None) or address
        assert inside.is_global
        assert not inside.is_multicast
        assert not inside.is_private


@given(st.text(max_size=60))
def test_any_text_is_judged(text):
    assert may_be_called(text, NOTHING) <= (not is_never_called(text))
    assert isinstance(is_literal(text), bool)


def test_what_stands_in_the_operators_file_as_an_address_is_allowed_by_that():
    assert may_be_called("10.1.2.3", trusted_literal("10.1.2.3"))
    assert not may_be_called("10.1.2.4", trusted_literal("10.1.2.3"))
    assert may_be_called("::1", trusted_literal("localhost"))
    assert may_be_called("127.0.0.1", trusted_literal("LOCALHOST"))
    assert may_be_called("fd00::1", trusted_literal(f"fd00::1%{'1' * 200}"))
    assert not trusted_literal("provider.example")
    assert not may_be_called("169.254.169.254", trusted_literal("169.254.169.254"))


def test_the_file_cannot_name_them_either():
    with pytest.raises(ValueError, match="never called"):
        UpstreamSettings(name="u", base_url="http://169.254.169.254/v1")
    with pytest.raises(ValueError, match="host bits"):
        UpstreamSettings(name="u", base_url="http://u/v1", allow_cidrs=("10.0.0.1/8",))
    assert UpstreamSettings(name="u", base_url="http://localhost:1/v1")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"proxy": "socks5://x"}, "http://"),
        ({"proxy": "http://x", "unix_socket": "/run/x"}, "two ways"),
        ({"headers": {"Host": "x"}}, "itself"),
        ({"headers": {"X-A": "a\r\nb: c"}}, "pattern"),
        ({"headers": {"X A": "a"}}, "pattern"),
    ],
)
def test_a_way_that_is_none_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        UpstreamSettings(name="u", base_url="http://u/v1", **fields)
