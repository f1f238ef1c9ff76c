"""Each check refuses one thing, by the facts alone."""

import json
from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pytest

from gateway.domain.ask import Ask, read_ask
from gateway.domain.catalog import Catalog, Group, Model, Price, Upstream
from gateway.domain.checks import (
    require_known_price,
    require_live,
    require_model,
    require_network,
    require_price,
)
from gateway.domain.errors import Reason, Refusal
from gateway.domain.limits import Limit, Metric
from gateway.domain.network import Blocks, parse_address
from gateway.domain.openai_ask import OpenAIForm
from gateway.domain.token import DISABLED, ENABLED, Token

NOW = 1_000_000.0
ANY = Blocks.of([])


def token(**fields: Any) -> Token:
    facts: dict[str, Any] = {
        "id": 1,
        "account_id": 2,
        "user_id": 3,
        "name": "test",
        "group": Group(4, "default"),
        "status": ENABLED,
        "expires_at": None,
        "account_live": True,
        "user_live": True,
        "models": None,
        "allow": ANY,
        "deny": ANY,
        "limits": (),
        "concurrency": (0, 0, 0, 0),
        "granted": (False, False, False, False),
        "versions": (1, 1, 1, 1),
    }
    return Token(**facts | fields)


def catalog(*names: str, upstreams: Iterable[str] = ("u",)) -> Catalog:
    """Upstreams that serve the models `names`; `m` has a price."""
    served = MappingProxyType({name: name for name in names})
    return Catalog(
        generation=1,
        models=MappingProxyType({"m": Model("m", Price(1, 1, 1, 1))}),
        groups=MappingProxyType({}),
        upstreams=tuple(
            Upstream(name, "openai", urlsplit("http://u/v1"), (), served) for name in upstreams
        ),
    )


def reason(refusal: Refusal | None) -> Reason | None:
    assert refusal is None or refusal.message
    return None if refusal is None else refusal.reason


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"expires_at": NOW + 0.001}, None),
        ({"expires_at": NOW}, Reason.KEY_EXPIRED),
        ({"secret_expires_at": NOW + 0.001}, None),
        ({"secret_expires_at": NOW}, Reason.KEY_EXPIRED),
        ({"group_from": NOW}, None),
        ({"group_from": NOW + 0.001}, Reason.GROUP_NOT_ALLOWED),
        ({"group_until": NOW + 0.001}, None),
        ({"group_until": NOW}, Reason.GROUP_NOT_ALLOWED),
        ({"member_live": False}, Reason.ACCOUNT_DISABLED),
        ({"member_live": False, "group_until": NOW}, Reason.ACCOUNT_DISABLED),
        ({"status": DISABLED}, Reason.KEY_DISABLED),
        ({"status": DISABLED, "expires_at": NOW - 1}, Reason.KEY_DISABLED),
        ({"account_live": False}, Reason.ACCOUNT_DISABLED),
        ({"user_live": False}, Reason.ACCOUNT_DISABLED),
    ],
)
def test_a_key_must_be_live(fields, expected):
    assert reason(require_live(token(**fields), NOW)) is expected


def test_an_expiry_is_told_with_its_instant():
    refusal = require_live(token(expires_at=0.0), NOW)
    assert refusal is not None
    assert "1970-01-01T00:00:00Z" in refusal.message


@pytest.mark.parametrize(
    ("allow", "deny", "address", "passes"),
    [
        ([], [], "192.0.2.1", True),
        (["192.0.2.0/24"], [], "192.0.2.255", True),
        (["192.0.2.0/24"], [], "192.0.3.0", False),
        ([], ["192.0.2.0/24"], "192.0.2.1", False),
        ([], ["192.0.2.0/24"], "192.0.3.1", True),
        (["192.0.2.0/24"], ["192.0.2.7"], "192.0.2.7", False),
        (["192.0.2.0/24"], ["192.0.2.7"], "192.0.2.8", True),
        (["2001:db8::/32"], [], "2001:db8::1", True),
        (["2001:db8::/32"], [], "2001:db9::1", False),
        (["192.0.2.0/24"], [], "::ffff:192.0.2.1", True),
        ([], ["192.0.2.0/24"], "::ffff:192.0.2.1", False),
        (["192.0.2.0/24"], [], "2001:db8::1", False),
    ],
)
def test_the_network_denies_before_it_allows(allow, deny, address, passes):
    of = token(allow=Blocks.of(allow), deny=Blocks.of(deny))
    expected = None if passes else Reason.IP_NOT_ALLOWED
    assert reason(require_network(of, parse_address(address))) is expected


def test_an_address_that_is_unknown_passes_only_where_none_matters():
    assert require_network(token(), None) is None
    for blocks in ({"allow": Blocks.of(["0.0.0.0/0"])}, {"deny": Blocks.of(["192.0.2.1"])}):
        assert reason(require_network(token(**blocks), None)) is Reason.IP_NOT_ALLOWED


@pytest.mark.parametrize(
    ("own", "groups", "served", "expected", "words"),
    [
        (None, None, ["m"], None, ""),
        (frozenset({"m"}), frozenset({"m"}), ["m"], None, ""),
        (frozenset({"n"}), None, ["m"], Reason.MODEL_NOT_ALLOWED, "own model list"),
        (frozenset(), None, ["m"], Reason.MODEL_NOT_ALLOWED, "own model list"),
        (None, frozenset({"n"}), ["m"], Reason.MODEL_NOT_ALLOWED, "group 'default'"),
        (frozenset({"m"}), frozenset({"n"}), ["m"], Reason.MODEL_NOT_ALLOWED, "group 'default'"),
        (None, None, ["n"], Reason.MODEL_NOT_FOUND, "does not exist"),
        (None, None, ["m*"], None, ""),
        (None, None, ["mm*"], Reason.MODEL_NOT_FOUND, "does not exist"),
    ],
)
def test_a_model_must_be_in_every_list_and_served(own, groups, served, expected, words):
    of = token(models=own, group=Group(4, "default", models=groups))
    refusal = require_model(of, "m", catalog(*served))
    assert reason(refusal) is expected
    if refusal is not None:
        assert words in refusal.message
        assert refusal.param == "model"


def test_only_the_groups_upstreams_serve():
    of = token(group=Group(4, "default", upstreams=frozenset({"v"})))
    assert reason(require_model(of, "m", catalog("m"))) is Reason.MODEL_NOT_FOUND
    assert require_model(of, "m", catalog("m", upstreams=("u", "v"))) is None


@pytest.mark.parametrize(
    "cap",
    [
        {"granted": (True, False, False, False)},
        {"granted": (False, False, False, True)},
        {"limits": ((0, Limit(Metric.REQUESTS, "1m", 1)),)},
        {"concurrency": (0, 0, 3, 0)},
    ],
)
def test_a_capped_key_cannot_call_what_has_no_price(cap):
    of = token(**cap)
    free, priced = Model("free"), Model("m", Price(1, 1, 1, 1))
    assert reason(require_price(of, free)) is Reason.MODEL_NOT_PRICED
    assert require_price(of, priced) is None
    uncapped = replace(of, granted=(False,) * 4, limits=(), concurrency=(0, 0, 0, 0))
    assert require_price(uncapped, free) is None


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({}, None),
        ({"background": False, "service_tier": "flex"}, None),
        ({"background": True}, "background"),
        ({"service_tier": "priority"}, "service_tier"),
    ],
)
def test_what_the_models_price_says_nothing_of_is_refused_with_a_remedy(members, param):
    asked = read_ask(json.dumps({"model": "m", **members}).encode(), OpenAIForm())
    assert isinstance(asked, Ask)
    assert require_known_price(token(), asked) is None
    refusal = require_known_price(token(granted=(True, False, False, False)), asked)
    assert (refusal and refusal.param) == param
    assert refusal is None or refusal.reason is Reason.UNSUPPORTED_PARAMETER
    assert refusal is None or "eave it out" in refusal.message
