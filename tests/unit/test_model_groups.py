"""Names that stand for several models: which of them a token can call, and what bounds them all."""

from dataclasses import replace
from types import MappingProxyType
from urllib.parse import urlsplit

import pytest

from gateway.domain.catalog import Catalog, Group, Model, Price, Upstream
from gateway.domain.model_groups import as_one, reachable
from tests.quota_rig import token

CHEAP, DEAR, FREE = Price(1, 2, 1, 1), Price(10, 5, 10, 10, request_nusd=7), None
GROUP = Model("best", members=("a", "b", "c", "nowhere"))
MODELS = {
    "a": Model("a", CHEAP, max_output_tokens=100, default_output_tokens=300, max_input_tokens=9),
    "b": Model("b", DEAR, max_output_tokens=500, bytes_per_token=2, max_input_tokens=90),
    "c": Model("c", FREE, hides_output=True),
    "best": GROUP,
}


def catalog(*served: str) -> Catalog:
    upstream = Upstream(
        "u", "openai", urlsplit("http://u/v1"), (), MappingProxyType({n: n for n in served})
    )
    return Catalog(1, MappingProxyType(MODELS), MappingProxyType({}), (upstream,))


def names(of=None, served=("a", "b", "c"), **rules) -> list[str]:
    asking = replace(of or token(), **rules)
    return [model.name for model in reachable(asking, GROUP, catalog(*served), ("openai",))]


def test_those_that_an_upstream_serves_are_called_in_their_order():
    uncapped = token(granted=(False,) * 4)
    assert names(uncapped) == ["a", "b", "c"]
    assert names(uncapped, served=("c", "b")) == ["b", "c"]
    assert names(uncapped, served=()) == []


def test_a_capped_token_calls_none_without_a_price_if_there_are_others():
    assert names() == ["a", "b"]
    assert names(served=("c",)) == ["c"], "and is then refused as for any model without one"


@pytest.mark.parametrize(
    ("allowed", "found"),
    [({"best"}, ["a", "b"]), ({"best", "b"}, ["b"]), ({"best", "b", "a", "x"}, ["a", "b"])],
)
def test_a_list_that_names_some_of_them_leaves_out_the_others(allowed, found):
    assert names(models=frozenset(allowed)) == found
    assert names(group=Group(2, "g", models=frozenset(allowed))) == found


def test_one_model_bounds_them_all():
    bound = as_one("best", [MODELS["a"], MODELS["b"]])
    assert bound.price is not None
    assert (bound.price.input_nusd, bound.price.output_nusd, bound.price.request_nusd) == (10, 5, 7)
    assert (bound.max_output_tokens, bound.default_output_tokens) == (500, 100)
    assert (bound.max_input_tokens, bound.bytes_per_token, bound.hides_output) == (90, 1, False)
    with_free = as_one("best", [MODELS["a"], MODELS["c"]])
    assert (with_free.price, with_free.max_output_tokens, with_free.hides_output) == (
        None,
        None,
        True,
    )


def test_a_group_can_be_called_where_one_of_its_models_can():
    assert catalog("b").candidates(Group(2, "g"), "best", ("openai",))
    assert not catalog().candidates(Group(2, "g"), "best", ("openai",))
    assert catalog("b").names(Group(2, "g")) == ("b", "best")
