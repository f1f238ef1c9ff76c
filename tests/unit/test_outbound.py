"""Where the gateway may connect to."""

import pytest

from gateway.catalog_settings import UpstreamSettings
from gateway.domain.network import Blocks
from gateway.domain.outbound import is_literal, is_never_called, may_be_called

NOTHING = Blocks()
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
        "100.100.100.200",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
    ],
)
def test_some_addresses_are_never_called(address):
    assert is_never_called(address)
    assert not may_be_called(address, Blocks.of(["0.0.0.0/0", "::/0"]))


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
