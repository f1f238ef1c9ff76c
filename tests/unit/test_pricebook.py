"""The price book's rules, on made-up providers; the real book, and that nothing is fetched."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices.data import providers as published
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
    Usage,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.catalog import Price
from gateway.domain.usage import Usage as Ours
from gateway.domain.usage import cost_nusd
from gateway.pricebook import PriceBook, book_version

ROOT = Path(__file__).parents[2]
TODAY = date(2026, 11, 21)
USD = 1_000_000_000


def book(*models: ModelInfo, on: date = TODAY) -> PriceBook:
    return PriceBook([Provider(id="p", name="P", api_pattern="https://p", models=[*models])], on)


def priced(prices: ModelPrice | list[ConditionalPrice], name: str = "m") -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(equals=name), prices=prices)


def price_of(prices: ModelPrice | list[ConditionalPrice], on: date = TODAY) -> Price | None:
    model = book(priced(prices), on=on).find("m")
    return model and model.price


def usd(**units: str) -> ModelPrice:
    return ModelPrice(**{unit: Decimal(value) for unit, value in units.items()})


def test_dollars_become_nano_dollars_without_loss() -> None:
    price = price_of(
        usd(
            input_mtok="1.25",
            output_mtok="10",
            cache_read_mtok="0.125",
            cache_write_mtok="1.5625",
            requests_kcount="5",
        )
    )
    assert price == Price(
        input_nusd=1_250_000_000,
        output_nusd=10 * USD,
        cached_input_nusd=125_000_000,
        cache_write_nusd=1_562_500_000,
        request_nusd=5_000_000,
        version=book_version(),
    )


def test_cached_input_costs_what_input_does_where_nothing_else_is_published() -> None:
    price = price_of(usd(input_mtok="3", output_mtok="15"))
    assert price is not None
    assert (price.cached_input_nusd, price.cache_write_nusd) == (3 * USD, 3 * USD)


def test_a_free_cache_is_free() -> None:
    price = price_of(usd(input_mtok="3", cache_read_mtok="0"))
    assert price is not None
    assert price.cached_input_nusd == 0


@given(
    base=st.decimals("0.01", "100", places=2),
    tiers=st.lists(st.decimals("0.01", "100", places=2), min_size=1, max_size=4),
    input_tokens=st.integers(0, 5000),
)
def test_the_tier_that_the_input_reaches_prices_every_token(
    base: Decimal, tiers: list[Decimal], input_tokens: int
) -> None:
    steps = [Tier(start=1000 * step, price=price) for step, price in enumerate(tiers, 1)]
    published = ModelPrice(
        input_mtok=TieredPrices(base=base, tiers=steps), output_mtok=Decimal("1.5")
    )
    price = price_of(published)
    assert price is not None
    theirs = published.calc_price(Usage(input_tokens=input_tokens, output_tokens=7))
    assert cost_nusd(Ours(input_tokens, 7), price) == -(-theirs["total_price"] * USD // 1)


def test_what_a_usage_tells_apart_is_priced_apart() -> None:
    price = price_of(
        usd(
            input_mtok="0.3",
            input_audio_mtok="1",
            input_image_mtok="2",
            output_mtok="2.5",
            output_audio_mtok="8",
            output_image_mtok="30",
            output_reasoning_mtok="3",
        )
    )
    assert price == Price(
        300_000_000,
        2_500_000_000,
        300_000_000,
        300_000_000,
        version=book_version(),
        reasoning_nusd=3 * USD,
        audio_input_nusd=USD,
        audio_output_nusd=8 * USD,
        image_input_nusd=2 * USD,
        image_output_nusd=30 * USD,
    )


def test_of_what_no_usage_tells_apart_the_dearest_counts() -> None:
    price = price_of(
        usd(
            input_mtok="0.3",
            input_video_mtok="1",
            output_mtok="2",
            output_video_mtok="17",
            output_citation_mtok="3",
            cache_read_mtok="0.03",
            cache_audio_read_mtok="0.1",
            cache_write_mtok="3.75",
            cache_write_1h_mtok="6",
        )
    )
    assert price is not None
    assert (price.input_nusd, price.output_nusd) == (USD, 17 * USD)
    assert (price.cached_input_nusd, price.cache_write_nusd) == (30_000_000, 3_750_000_000)
    assert price.cache_write_1h_nusd == 6 * USD


@pytest.mark.parametrize("unit", ["audio_hours", "input_mchars", "input_document_kpages"])
def test_what_is_sold_by_another_measure_has_no_price(unit: str) -> None:
    assert price_of(usd(input_mtok="1", output_mtok="2", **{unit: "0.36"})) is None


def test_server_tools_do_not_take_the_price_away() -> None:
    assert price_of(usd(input_mtok="1", web_searches_kcount="10")) is not None


def test_without_a_price_for_input_there_is_none() -> None:
    assert price_of(usd(output_mtok="1")) is None
    assert price_of(usd()) is None


@pytest.mark.parametrize(
    ("on", "expected"),
    [(date(2026, 1, 31), 1), (date(2026, 2, 1), 2), (date(2026, 3, 1), 3), (date(2027, 1, 1), 3)],
)
def test_a_price_counts_from_its_day_on(on: date, expected: int) -> None:
    price = price_of(
        [
            ConditionalPrice(prices=usd(input_mtok="1")),
            ConditionalPrice(StartDateConstraint(date(2026, 2, 1)), prices=usd(input_mtok="2")),
            ConditionalPrice(StartDateConstraint(date(2026, 3, 1)), prices=usd(input_mtok="3")),
        ],
        on,
    )
    assert price is not None
    assert price.input_nusd == expected * USD


def test_before_the_first_day_of_all_the_first_price_counts() -> None:
    later = StartDateConstraint(date(2027, 1, 1))
    price = price_of([ConditionalPrice(later, prices=usd(input_mtok="4"))])
    assert price is not None
    assert price.input_nusd == 4 * USD


@pytest.mark.parametrize(("by_night", "expected"), [("1", 2), ("3", 3)])
def test_of_hours_of_the_day_the_dearest_counts(by_night: str, expected: int) -> None:
    night = TimeOfDateConstraint(time(16, 30), time(0, 30))
    price = price_of(
        [
            ConditionalPrice(prices=usd(input_mtok="9")),
            ConditionalPrice(StartDateConstraint(date(2026, 1, 1)), prices=usd(input_mtok="2")),
            ConditionalPrice(night, prices=usd(input_mtok=by_night)),
        ]
    )
    assert price is not None
    assert price.input_nusd == expected * USD


def test_of_hours_with_different_tiers_the_dearest_counts_at_every_length() -> None:
    night = TimeOfDateConstraint(time(16, 30), time(0, 30))
    tiered = TieredPrices(base=Decimal(1), tiers=[Tier(start=100, price=Decimal(5))])
    price = price_of(
        [
            ConditionalPrice(prices=usd(input_mtok="2", cache_read_mtok="0.5")),
            ConditionalPrice(night, prices=ModelPrice(input_mtok=tiered)),
        ]
    )
    assert price is not None
    assert (price.at(100).input_nusd, price.at(101).input_nusd) == (2 * USD, 5 * USD)
    assert (price.at(100).cached_input_nusd, price.at(101).cached_input_nusd) == (USD, 5 * USD)


def test_dated_spellings_are_found_under_the_name_that_was_asked() -> None:
    match = ClauseOr([ClauseEquals("m"), ClauseRegex(r"^m-\d{8}$")])
    models = book(
        ModelInfo(id="m", match=match, context_window=200_000, prices=usd(input_mtok="1"))
    )
    dated = models.find("m-20260801")
    assert dated is not None
    assert (dated.name, dated.max_input_tokens) == ("m-20260801", 200_000)
    assert models.find("m-next") is None
    assert models.names() == ("m",)


def test_only_models_that_can_be_called_are_named() -> None:
    deprecated = priced(usd(input_mtok="1"), "old")
    deprecated.deprecated = True
    by_the_hour = priced(usd(audio_hours="1"), "speech")
    family = priced(usd(input_mtok="1"), "ft:base-")
    models = book(deprecated, by_the_hour, family, priced(usd(input_mtok="1"), "new"))
    assert models.names() == ("new",)


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        ("https://api.openai.com/v1", "gpt-5.4"),
        ("https://api.openai.com/v1", "text-embedding-3-small"),
        ("https://api.anthropic.com/v1", "claude-haiku-4-5-20251001"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.5-pro"),
    ],
)
def test_the_book_knows_the_providers_of_the_environment(base_url: str, model: str) -> None:
    found = PriceBook.of(base_url, TODAY).find(model)
    assert found is not None
    assert found.price is not None
    assert found.price.input_nusd > 0


# Kinds that our usage does not tell apart.
UNCLEAR = {"input_video_mtok", "output_video_mtok", "output_citation_mtok", "cache_write_1h_mtok"}


def usages_of(prices: list[ModelPrice]) -> Iterator[dict[str, int]]:
    """Usages on both sides of every threshold, with all that the prices tell apart."""
    figures = [figure for price in prices for figure in vars(price).items()]
    starts = {
        tier.start
        for _, figure in figures
        if isinstance(figure, TieredPrices)
        for tier in figure.tiers
    }
    for count in {1_000, *starts, *(start + 1 for start in starts)}:
        whole = {"input_tokens": count, "output_tokens": 777}
        yield whole
        for unit, parts in (
            ("cache_read_mtok", {"cache_read_tokens": count // 3}),
            ("cache_write_mtok", {"cache_read_tokens": 9, "cache_write_tokens": count // 4}),
            ("output_reasoning_mtok", {"output_reasoning_tokens": 300}),
            ("input_audio_mtok", {"input_audio_tokens": count // 2}),
            ("input_image_mtok", {"input_image_tokens": count // 2}),
            ("output_audio_mtok", {"output_audio_tokens": 111}),
            ("output_image_mtok", {"output_image_tokens": 111}),
        ):
            if unit in dict(figures):
                yield whole | parts


def ours_of(usage: dict[str, int]) -> Ours:
    return Ours(
        usage["input_tokens"],
        usage["output_tokens"],
        usage.get("cache_read_tokens", 0),
        usage.get("cache_write_tokens", 0),
        usage.get("output_reasoning_tokens", 0),
        usage.get("input_audio_tokens", 0),
        usage.get("input_image_tokens", 0),
        usage.get("output_audio_tokens", 0),
        usage.get("output_image_tokens", 0),
    )


def test_no_model_of_the_book_costs_less_here_than_by_the_books_own_sum() -> None:
    moments = [datetime.combine(TODAY, time(hour), UTC) for hour in (3, 12, 17, 23)]
    compared = equal = 0
    for provider, model in ((each, model) for each in published for model in each.models):
        found = PriceBook([provider], TODAY).find(model.id)
        if found is None or found.price is None or provider.find_model(model.id) is not model:
            continue
        in_force: list[ModelPrice] = []
        for price in map(model.get_prices, moments):
            if price not in in_force:
                in_force.append(price)
        units = {unit for price in in_force for unit in vars(price)}
        for usage in usages_of(in_force):
            theirs = USD * max(
                price.calc_price(Usage(**usage))["total_price"] for price in in_force
            )
            cost = cost_nusd(ours_of(usage), found.price)
            assert cost >= theirs, (provider.id, model.id, usage)
            compared += 1
            if len(in_force) == 1 and not units & UNCLEAR:
                # A price finer than a nano-dollar was rounded up before.
                finer = sum(usage.values()) / 1_000_000
                assert cost <= theirs + 1 + Decimal(finer), (provider.id, model.id, usage)
                equal += 1
    assert compared > 2_000
    assert equal > compared * 0.8


def test_an_unknown_address_has_an_empty_book() -> None:
    assert PriceBook.of("http://127.0.0.1:8000/v1", TODAY).names() == ()
    assert PriceBook.of("http://127.0.0.1:8000/v1", TODAY).find("gpt-5.4") is None


def test_the_books_number_stays_clear_of_configured_prices() -> None:
    assert 1000 <= book_version() < 2**31


def test_nothing_is_fetched() -> None:
    program = """
import sys
def forbid(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo"}:
        raise AssertionError(f"{event} {arguments}")
sys.addaudithook(forbid)
import datetime
from gateway.pricebook import PriceBook
book = PriceBook.of("https://api.openai.com/v1", datetime.date(2026, 11, 21))
assert book.find("gpt-5.4") and book.names()
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
