"""The price book's rules, on made-up providers; the real book, and that nothing is fetched."""

import subprocess
import sys
from datetime import date, time
from decimal import Decimal
from pathlib import Path

import pytest
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
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.catalog import Price
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
)
def test_of_tiers_the_dearest_counts(base: Decimal, tiers: list[Decimal]) -> None:
    steps = [Tier(start=1000 * step, price=price) for step, price in enumerate(tiers, 1)]
    price = price_of(ModelPrice(input_mtok=TieredPrices(base=base, tiers=steps)))
    assert price is not None
    assert price.input_nusd == max(base, *tiers) * USD


def test_of_modalities_and_lifetimes_the_dearest_counts() -> None:
    price = price_of(
        usd(
            input_mtok="0.3",
            input_audio_mtok="1",
            output_mtok="2.5",
            output_image_mtok="30",
            cache_read_mtok="0.03",
            cache_audio_read_mtok="0.1",
            cache_write_mtok="3.75",
            cache_write_1h_mtok="6",
        )
    )
    assert price is not None
    assert (price.input_nusd, price.output_nusd) == (USD, 30 * USD)
    assert (price.cached_input_nusd, price.cache_write_nusd) == (USD // 10, 6 * USD)


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
