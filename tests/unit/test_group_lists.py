"""Groups that stand for others: each call is of the first that can serve it."""

from types import MappingProxyType
from urllib.parse import urlsplit

import pytest

from gateway.domain.catalog import Catalog, Group, Upstream
from gateway.settings import Config

FIRST = Group(1, "first", upstreams=frozenset({"u"}), ratio_ppm=2)
SECOND = Group(2, "second", models=frozenset({"b", "c"}), ratio_ppm=3)
AUTO = Group(3, "auto", groups=(FIRST, SECOND))


def upstream(name: str, *models: str) -> Upstream:
    served = MappingProxyType({model: model for model in models})
    return Upstream(name, "openai", urlsplit(f"http://{name}/v1"), (), served)


CATALOG = Catalog(
    1,
    MappingProxyType({}),
    MappingProxyType({}),
    (upstream("u", "a", "b"), upstream("v", "b", "c", "d")),
)


@pytest.mark.parametrize(
    ("model", "group", "upstreams"),
    [("a", FIRST, ["u"]), ("b", FIRST, ["u"]), ("c", SECOND, ["v"]), ("d", AUTO, [])],
)
def test_the_first_that_can_serve_a_model_does(model, group, upstreams):
    assert CATALOG.serving(AUTO, model, ("openai",)) is group
    assert [each.name for each in CATALOG.candidates(AUTO, model, ("openai",))] == upstreams


def test_a_group_of_its_own_serves_itself():
    assert CATALOG.serving(SECOND, "a", ("openai",)) is SECOND


def test_what_any_of_them_has_can_be_called():
    assert CATALOG.names(AUTO) == ("a", "b", "c")
    assert CATALOG.candidates(AUTO, "", ("openai",))
    assert not CATALOG.candidates(AUTO, "a", ("gemini",))


@pytest.mark.parametrize(
    "groups",
    [
        {"auto": {"groups": ["nowhere"]}},
        {"auto": {"groups": ["default"], "ratio": 2}},
        {"auto": {"groups": ["default"]}, "more": {"groups": ["auto"]}},
    ],
)
def test_what_cannot_be_a_list_of_groups_is_refused(groups):
    with pytest.raises(ValueError, match="group"):
        Config.model_validate({"groups": groups})
    assert Config.model_validate({"groups": {"auto": {"groups": ["default"]}}})
