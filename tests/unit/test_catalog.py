"""What the configuration says, as the catalog that decisions read."""

import subprocess
import sys
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.catalog_source import build_catalog
from gateway.config import Loaded, load
from gateway.domain.catalog import Catalog, Group, Price, Tier
from gateway.domain.limits import Limit, Metric
from gateway.domain.network import parse_address
from gateway.domain.usage import Usage, cost_nusd
from gateway.settings import Config

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 21)
USD = 1_000_000_000
IDS = {"default": 1, "research": 7}
OPENAI = {"OPENAI_API_KEY": "sk-provider"}
OPENAI_TABLE = """
[[upstreams]]
name = "openai"
base_url = "https://api.openai.com/v1"
"""
LOCAL_TABLE = """
[[upstreams]]
name = "local"
base_url = "http://127.0.0.1:9/v1"
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Any:
    def read(toml: str, environment: dict[str, str] | None = None) -> Loaded:
        path = tmp_path / "config.toml"
        path.write_text(toml)
        return load(environment or {}, str(path))

    return read


@pytest.fixture
def catalog(loaded: Any) -> Any:
    def build(toml: str, environment: dict[str, str] | None = None) -> Catalog:
        return build_catalog(loaded(toml, environment), IDS, on=TODAY)

    return build


def test_a_configured_price_is_exact(catalog: Any) -> None:
    model = catalog("""
[[models]]
name = "m"
input_usd_per_mtok = 0.1
output_usd_per_mtok = 0.3
cached_input_usd_per_mtok = 0.01
cache_write_usd_per_mtok = 0.125
reasoning_usd_per_mtok = 0.4
audio_input_usd_per_mtok = 0.5
audio_output_usd_per_mtok = 0.6
image_input_usd_per_mtok = 0.7
image_output_usd_per_mtok = 0
request_usd = 0.002
max_output_tokens = 4000
default_output_tokens = 2000
max_input_tokens = 9000
max_output_field = "max_completion_tokens"
bytes_per_token = 2
image_max_tokens = 77
hides_output = true
""").model("m")
    assert model.price == Price(
        100_000_000,
        300_000_000,
        10_000_000,
        125_000_000,
        2_000_000,
        1,
        reasoning_nusd=400_000_000,
        audio_input_nusd=500_000_000,
        audio_output_nusd=600_000_000,
        image_input_nusd=700_000_000,
        image_output_nusd=0,
    )
    assert (model.image_max_tokens, model.hides_output) == (77, True)
    assert (model.max_output_tokens, model.default_output_tokens) == (4000, 2000)
    assert (model.max_input_tokens, model.bytes_per_token) == (9000, 2)
    assert model.max_output_field == "max_completion_tokens"


@given(usd=st.decimals("0", "10000", places=12))
def test_no_configured_price_is_rounded_down(usd: Decimal) -> None:
    toml = f"[[models]]\nname='m'\ninput_usd_per_mtok={usd:f}\noutput_usd_per_mtok={usd:f}\n"
    config = Config.model_validate(tomllib.loads(toml, parse_float=Decimal))
    price = build_catalog(Loaded(config, None, {}, ()), IDS, on=TODAY).model("m").price
    assert price is not None
    assert price.input_nusd == price.output_nusd
    assert usd * USD <= price.input_nusd < usd * USD + 1


def test_cached_input_costs_what_input_does_unless_said(catalog: Any) -> None:
    toml = "[[models]]\nname = 'm'\ninput_usd_per_mtok = 2\noutput_usd_per_mtok = 8\n"
    assert catalog(toml).model("m").price == Price(2 * USD, 8 * USD, 2 * USD, 2 * USD)
    free = catalog(toml + "cached_input_usd_per_mtok = 0\n").model("m").price
    assert free.cached_input_nusd == 0


def test_configured_tiers_are_whole_prices_in_order(catalog: Any) -> None:
    model = catalog("""
[[models]]
name = "m"
input_usd_per_mtok = 1
output_usd_per_mtok = 4
cached_input_usd_per_mtok = 0.1
request_usd = 0.002
tiers = [
  { above_input_tokens = 500, input_usd_per_mtok = 3, output_usd_per_mtok = 9, cached_input_usd_per_mtok = 1 },
  { above_input_tokens = 200, input_usd_per_mtok = 2, output_usd_per_mtok = 6, reasoning_usd_per_mtok = 7 },
]
""").model("m")
    assert model.price == Price(
        USD,
        4 * USD,
        USD // 10,
        USD,
        2_000_000,
        tiers=(
            Tier(200, Price(2 * USD, 6 * USD, 2 * USD, 2 * USD, 2_000_000, reasoning_nusd=7 * USD)),
            Tier(500, Price(3 * USD, 9 * USD, USD, 3 * USD, 2_000_000)),
        ),
    )


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("reasoning_usd_per_mtok = 1", "belong together"),
        ("input_usd_per_mtok = 1", "belong together"),
        ("tiers = [{ above_input_tokens = 1 }]", "a tier needs"),
        (
            "tiers = [{ above_input_tokens = 1, input_usd_per_mtok = 1, output_usd_per_mtok = 1 }]",
            "tiers need",
        ),
        (
            (
                "input_usd_per_mtok = 1\noutput_usd_per_mtok = 1\ntiers = ["
                "{ above_input_tokens = 1, input_usd_per_mtok = 1, output_usd_per_mtok = 1 },"
                "{ above_input_tokens = 1, input_usd_per_mtok = 2, output_usd_per_mtok = 1 }]"
            ),
            "the same above_input_tokens",
        ),
    ],
)
def test_half_a_price_is_refused(toml: str, words: str) -> None:
    members = tomllib.loads(f"[[models]]\nname = 'm'\n{toml}\n", parse_float=Decimal)
    with pytest.raises(ValidationError, match=words):
        Config.model_validate(members)


def test_the_price_book_prices_what_the_configuration_does_not(catalog: Any) -> None:
    built = catalog(
        OPENAI_TABLE + "models = ['gpt-5.4', 'nobody-knows']\n"
        "[[models]]\nname = 'gpt-5.4'\nmax_output_tokens = 100\n"
    )
    model = built.model("gpt-5.4")
    assert model.price.version >= 1000
    assert model.max_output_tokens == 100
    assert model.max_input_tokens == 1_050_000
    assert built.model("nobody-knows").price is None


def test_a_configured_price_goes_before_the_books(catalog: Any) -> None:
    built = catalog(
        OPENAI_TABLE
        + "[[models]]\nname = 'gpt-5.4'\ninput_usd_per_mtok = 1\noutput_usd_per_mtok = 2\n"
    )
    assert built.model("gpt-5.4").price == Price(USD, 2 * USD, USD, USD)
    assert built.model("gpt-5.4-mini").price.version >= 1000


def test_a_mapped_model_has_the_price_of_what_it_is_mapped_to(catalog: Any) -> None:
    built = catalog(OPENAI_TABLE + "models = { fast = 'gpt-5.4-mini' }\n")
    direct = catalog(OPENAI_TABLE + "models = ['gpt-5.4-mini']\n")
    assert built.model("fast").price == direct.model("gpt-5.4-mini").price
    assert built.model("gpt-5.4-mini").price is None


def test_a_wildcard_serves_the_books_models_that_it_covers(loaded: Any) -> None:
    built = build_catalog(loaded("", OPENAI), IDS, on=TODAY)
    names = built.names(built.groups[1])
    assert "gpt-5.4" in names
    assert "whisper-1" not in names
    assert all(built.model(name).price is not None for name in names)


def test_a_dated_name_that_nobody_lists_has_its_models_price(loaded: Any) -> None:
    built = build_catalog(loaded("", {"ANTHROPIC_API_KEY": "k"}), IDS, on=TODAY)
    assert "claude-haiku-4-5-20251001" not in built.names(built.groups[1])
    dated = built.model("claude-haiku-4-5-20251001")
    assert dated.name == "claude-haiku-4-5-20251001"
    assert dated.price == built.model("claude-haiku-4-5").price
    assert dated.price is not None


@pytest.mark.parametrize("name", ["gpt-unheard-of", "claude-haiku-4-5", "gpt-5.4" * 1000, ""])
def test_a_name_that_the_book_does_not_know_has_no_price(loaded: Any, name: str) -> None:
    built = build_catalog(loaded("", OPENAI), IDS, on=TODAY)
    assert built.model(name).price is None
    assert name not in built.models


def test_at_two_providers_the_dearer_price_counts(catalog: Any) -> None:
    router = "[[upstreams]]\nname = 'r'\nbase_url = 'https://openrouter.ai/api/v1'\n"
    mapped = "models = { m = 'openai/gpt-5.4' }\n"
    here = catalog(OPENAI_TABLE + "models = { m = 'gpt-4o' }\n").model("m").price
    there = catalog(router + mapped).model("m").price
    both = catalog(OPENAI_TABLE + "models = { m = 'gpt-4o' }\n" + router + mapped).model("m").price
    assert here != there
    assert both.input_nusd == max(here.input_nusd, there.input_nusd)
    assert both.output_nusd == max(here.output_nusd, there.output_nusd)


def test_at_two_providers_the_dearer_price_counts_in_every_tier(catalog: Any) -> None:
    google = "[[upstreams]]\nname='g'\nbase_url='https://generativelanguage.googleapis.com/v1beta/openai'\n"
    tables = (OPENAI_TABLE + "models={m='gpt-5.4'}\n", google + "models={m='gemini-2.5-pro'}\n")
    both = catalog("".join(tables)).model("m").price
    starts = {tier.above_input_tokens for tier in both.tiers}
    assert starts == {200_000, 272_000}
    for table in tables:
        alone = catalog(table).model("m").price
        for tokens in (1, 200_000, 200_001, 272_001):
            usage = Usage(tokens, 100, cached_input_tokens=tokens // 2, reasoning_tokens=50)
            assert cost_nusd(usage, alone) <= cost_nusd(usage, both)


@pytest.mark.parametrize(
    ("theirs", "hides"),
    [
        ("o3", True),
        ("o4-mini-2025-04-16", True),
        ("gpt-5.4-mini", True),
        ("openai/gpt-6", True),
        ("gemini-2.5-flash", True),
        ("gemini-3-pro-preview", True),
        ("gpt-4o", False),
        ("gemini-2.0-flash", False),
        ("olmo-3", False),
    ],
)
def test_what_thinks_unseen_is_known_by_the_upstreams_name_unless_said(
    catalog: Any, theirs: str, hides: bool
) -> None:
    table = LOCAL_TABLE + f"models = {{ fast = '{theirs}' }}\n"
    listed = "[[models]]\nname = 'fast'\n"
    assert catalog(table + listed).model("fast").hides_output is hides
    for said in (True, False):
        toml = table + listed + f"hides_output = {str(said).lower()}\n"
        assert catalog(toml).model("fast").hides_output is said


def test_what_is_documented_of_the_books_models_is_known_of_them(loaded: Any) -> None:
    built = build_catalog(loaded("", OPENAI), IDS, on=TODAY)
    assert built.model("gpt-5.4").hides_output
    assert not built.model("gpt-4o").hides_output
    assert built.model("gpt-4o").image_max_tokens == 16_384
    assert built.model("gpt-4o-mini").image_max_tokens == 48_169


def test_a_model_that_one_upstream_has_no_price_for_has_none(catalog: Any) -> None:
    named = "models = ['gpt-5.4']\n"
    assert catalog(OPENAI_TABLE + named).model("gpt-5.4").price is not None
    assert catalog(OPENAI_TABLE + named + LOCAL_TABLE + named).model("gpt-5.4").price is None


def test_the_demo_has_a_price(loaded: Any) -> None:
    built = build_catalog(
        loaded("", {"TOLLHOUSE_DEMO_URL": "http://127.0.0.1:9/v1"}), IDS, on=TODAY
    )
    assert built.names(built.groups[1]) == ("demo", "demo-embedding")
    assert built.model("demo").price.output_nusd > 0
    assert built.model("demo-embedding").price.input_nusd > 0
    # A call that names no maximum has to fit into the $1 of the first key several times.
    demo = built.model("demo")
    assert demo.price.output_nusd * demo.default_output_tokens // 1_000_000 < USD // 5


def test_there_is_no_demo_beside_a_provider(loaded: Any) -> None:
    built = build_catalog(loaded("", OPENAI), IDS, on=TODAY)
    assert "demo" not in built.models


def test_the_book_stays_closed_where_every_model_has_a_price() -> None:
    program = """
import sys
from gateway.catalog_source import build_catalog
from gateway.config import load
loaded = load({"TOLLHOUSE_DEMO_URL": "http://127.0.0.1:9/v1"})
assert build_catalog(loaded, {"default": 1}).models["demo"].price
assert not [name for name in sys.modules if name.startswith("genai_prices")]
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_there_is_always_a_default_group(catalog: Any) -> None:
    groups = catalog("").groups
    assert groups == {1: Group(id=1, name="default")}
    assert set(catalog("[groups.research]\n").groups) == {1, 7}


def test_a_group_is_what_the_configuration_says(catalog: Any) -> None:
    built = catalog(
        LOCAL_TABLE
        + """
[groups.research]
models = ["a", "b"]
upstreams = ["local"]
ratio = 1.2345678
max_concurrency = 5
limits = [{ metric = "usd", window = "30d", limit = 0.1 }]
[groups.research.token_defaults]
models = ["a"]
allow_ips = ["10.0.0.0/8"]
deny_ips = ["10.1.0.0/16"]
max_concurrency = 2
[[groups.research.token_defaults.limits]]
metric = "tokens"
window = "1d"
limit = 1000
mode = "calendar"
models = ["a"]
time_zone = "Europe/Berlin"
[[groups.research.token_defaults.limits]]
metric = "requests"
window = "1m"
limit = 60
models = ["*"]
"""
    )
    group = built.groups[7]
    assert (group.name, group.models, group.upstreams) == (
        "research",
        frozenset({"a", "b"}),
        frozenset({"local"}),
    )
    assert group.ratio_ppm == 1_234_568
    assert (group.max_concurrency, group.token_max_concurrency) == (5, 2)
    assert group.limits == (Limit(Metric.USD, "30d", 100_000_000),)
    assert group.token_limits == (
        Limit(Metric.TOKENS, "1d", 1000, "calendar", frozenset({"a"}), "Europe/Berlin"),
        Limit(Metric.REQUESTS, "1m", 60),
    )
    assert group.token_models == frozenset({"a"})
    assert parse_address("10.2.3.4") in group.token_allow
    assert parse_address("10.1.3.4") in group.token_deny


def test_a_star_is_no_restriction(catalog: Any) -> None:
    group = catalog(
        "[groups.default]\nmodels = ['x', '*']\n[groups.default.token_defaults]\nmodels = ['*']\n"
    ).groups[1]
    assert (group.models, group.upstreams, group.token_models) == (None, None, None)


def test_an_upstream_has_its_key_and_settings(loaded: Any) -> None:
    toml = (
        OPENAI_TABLE
        + """
api_key_env = "MY_KEY"
models = ["gpt-5.4", "gpt-4*"]
weight = 3
priority = 2
ca_file = "/ca.pem"
connect_timeout_s = 1
first_byte_timeout_s = 2
idle_timeout_s = 3
total_timeout_s = 4
on_disconnect = "drain"
max_connections = 5
breaker_failures = 6
breaker_open_s = 7
breaker_longest_s = 8
retry_after_budget_s = 9
retry_unanswered = true
"""
    )
    (upstream,) = build_catalog(loaded(toml, {"MY_KEY": "secret"}), IDS, on=TODAY).upstreams
    assert upstream.api_keys == ("secret",)
    assert "secret" not in repr(upstream)
    assert upstream.base_url.netloc == "api.openai.com"
    assert upstream.models == MappingProxyType({"gpt-5.4": "gpt-5.4", "gpt-4*": "gpt-4*"})
    assert upstream.model_name("gpt-4o") == "gpt-4o"
    assert (upstream.weight, upstream.priority, upstream.ca_file) == (3, 2, "/ca.pem")
    assert (upstream.connect_timeout_s, upstream.first_byte_timeout_s) == (1, 2)
    assert (upstream.idle_timeout_s, upstream.total_timeout_s) == (3, 4)
    assert (upstream.dialect, upstream.on_disconnect) == ("openai", "drain")
    assert (upstream.max_connections, upstream.breaker_failures) == (5, 6)
    assert (upstream.breaker_open_s, upstream.breaker_longest_s) == (7, 8)
    assert (upstream.retry_after_budget_s, upstream.retry_unanswered) == (9, True)


def test_the_generation_is_the_one_handed_in(loaded: Any) -> None:
    assert build_catalog(loaded(""), IDS, 42, on=TODAY).generation == 42
