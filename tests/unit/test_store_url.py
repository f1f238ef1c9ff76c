"""The forms of `redis.url`, and what is said of one that is none."""

import pytest

from gateway.domain.store_url import Layout, read_store_url


@pytest.mark.parametrize(
    "url",
    ["redis://h:1/3", "rediss://u:p@h", "unix:///run/v.sock?db=2", "unix://:p@/v.sock", "redis://"],
)
def test_the_url_of_one_server_is_left_as_it_is(url):
    parts = read_store_url(url)
    assert (parts.layout, parts.urls) == (Layout.SERVER, (url,))
    assert parts.database == {"redis://h:1/3": 3, "unix:///run/v.sock?db=2": 2}.get(url, 0)


def test_a_cluster_is_named_by_some_of_its_nodes():
    parts = read_store_url("redis+cluster://u:p%40%7B@h1,h2:7001,[::1]:7002?ssl_cert_reqs=none")
    login, query = "redis://u:p%40%7B@", "/0?ssl_cert_reqs=none"
    assert parts.layout is Layout.CLUSTER
    assert parts.urls == tuple(f"{login}{h}{query}" for h in ("h1:6379", "h2:7001", "[::1]:7002"))
    assert parts.at("10.0.0.1", 7) == f"{login}10.0.0.1:7{query}"
    assert parts.at("fd00::1", 7) == f"{login}[fd00::1]:7{query}"


def test_sentinels_are_asked_for_a_service_and_have_a_login_of_their_own():
    parts = read_store_url(
        "rediss+sentinel://u:p@s1,s2:7/quota/2?sentinel_username=a&sentinel_password=b%2Fc&ssl_ca_certs=/ca"
    )
    assert (parts.layout, parts.service, parts.database) == (Layout.SENTINEL, "quota", 2)
    assert parts.urls == tuple(
        f"rediss://a:b%2Fc@{host}/0?ssl_ca_certs=%2Fca" for host in ("s1:26379", "s2:7")
    )
    assert parts.at("h", 6) == "rediss://u:p@h:6/2?ssl_ca_certs=%2Fca"
    assert read_store_url("redis+sentinel://u:p@s/quota").urls == ("redis://s:26379/0",)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://h", "must begin with redis://"),
        ("redis+ring://h", "must begin with redis://"),
        ("unix+cluster:///s", "must begin with redis://"),
        ("redis+cluster://", "must name its hosts"),
        ("redis+cluster://h1,,h2", "must name its hosts"),
        ("redis+cluster://h:x", "must name its hosts"),
        ("redis+cluster://::1:7", "must name its hosts"),
        ("redis+cluster://h:70000", "names port 70000"),
        ("redis+cluster://h:0", "names port 0"),
        ("redis+cluster://h/1", "a cluster has number 0 alone"),
        ("redis+cluster://h/0/0", "may name one database"),
        ("redis+sentinel://h", "must end with the name"),
        ("redis+sentinel://h/quota/x", "may name one database"),
        ("redis+sentinel://h/quota/1?db=2", "may name one database"),
    ],
)
def test_what_is_no_such_url_is_told_its_rule_and_shown_to_nobody(url, said):
    with pytest.raises(ValueError, match=said):
        read_store_url(url)
    with pytest.raises(ValueError) as caught:
        read_store_url(url.replace("://", "://user:hidden@") if "cluster" in url else f"{url}\n")
    assert "hidden" not in str(caught.value)


def test_a_password_is_not_shown():
    assert "secret" not in repr(read_store_url("redis+cluster://u:secret@h"))
