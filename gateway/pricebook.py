"""The price book: what providers publish, as github.com/pydantic/genai-prices collects it.

Mapped here once to our own prices; nothing else imports that package, and nothing is fetched. Where
a provider has several prices for one kind of token (long-context tiers, text and audio, lifetimes
of cached input, hours of the day), the dearest counts: a cap must hold whatever the call turns out
to be. Left out is what is no price per token or per request: server tools such as web search, and
service tiers above the standard one. Must not know configuration, upstreams or catalogs.

Importing this module takes 0.3 s and 15 MB: import it where a price is missing, nowhere else.
"""

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from importlib.metadata import version
from typing import Self

from genai_prices.data import providers as _published
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices

from gateway.domain.catalog import Model, Price, nusd

_INPUT = re.compile(r"input_(\w+_)?mtok")
_OUTPUT = re.compile(r"output_(\w+_)?mtok")
_CACHE_READ = re.compile(r"cache_(\w+_)?read_mtok")
_CACHE_WRITE = re.compile(r"cache_(\w+_)?write_(\w+_)?mtok")
_REQUESTS = re.compile(r"requests_kcount")
_SERVER_TOOLS = re.compile(r"(web|storage)_searches_kcount")
_CHARGEABLE = (_INPUT, _OUTPUT, _CACHE_READ, _CACHE_WRITE, _REQUESTS, _SERVER_TOOLS)

_Sold = list[tuple[str, Decimal | TieredPrices]]


class PriceBook:
    """The prices of the providers at one address, as they stand on one day."""

    def __init__(self, providers: Iterable[Provider], on: date) -> None:
        self._providers = tuple(providers)
        self._on = on

    @classmethod
    def of(cls, base_url: str, on: date) -> Self:
        """The book for an upstream's base URL; empty where no known provider has that address."""
        return cls((each for each in _published if re.match(each.api_pattern, base_url)), on)

    def find(self, name: str) -> Model | None:
        """The model that the provider calls `name`, a dated or older spelling included.

        None where the book has no such model, or no price that tokens and requests amount to.
        """
        for provider in self._providers:
            if (model := provider.find_model(name)) is not None:
                return _priced(name, model, self._on)
        return None

    def names(self) -> tuple[str, ...]:
        """The models that have a price and are not deprecated, by the providers' first names."""
        return tuple(
            model.id
            for provider in self._providers
            for model in provider.models
            if not model.deprecated
            and not model.id.endswith("-")  # a family of fine-tuned models, not a model
            and _priced(model.id, model, self._on) is not None
        )


def book_version() -> int:
    """The number of the book on ledger rows: 0.2.3 is 2003. A configured price's is below 1000."""
    major, minor, patch = (int(part) for part in re.findall(r"\d+", version("genai-prices"))[:3])
    return major * 1_000_000 + minor * 1_000 + patch


_BOOK_VERSION = book_version()


def _priced(name: str, model: ModelInfo, on: date) -> Model | None:
    price = _price(_in_force(model, on))
    return None if price is None else Model(name, price, max_input_tokens=model.context_window)


def _in_force(model: ModelInfo, on: date) -> list[ModelPrice]:
    """The price that began last, and those that replace it at some hours of the day."""
    if not isinstance(model.prices, list):
        return [model.prices]
    found = []
    # Later entries take precedence, and the first applies where none does: ModelInfo.get_prices.
    for conditional in reversed(model.prices):
        constraint = conditional.constraint
        if isinstance(constraint, StartDateConstraint) and constraint.start_date > on:
            continue
        found.append(conditional.prices)
        if constraint is None or isinstance(constraint, StartDateConstraint):
            return found
    return [*found, *(conditional.prices for conditional in model.prices[:1])]


def _price(prices: list[ModelPrice]) -> Price | None:
    """The dearest of each kind of token; None where something is sold by another measure."""
    sold: _Sold = [
        (unit, value)
        for price in prices
        for unit, value in vars(price).items()
        if value is not None
    ]
    if not all(any(kind.fullmatch(unit) for kind in _CHARGEABLE) for unit, _ in sold):
        return None
    if not any(_INPUT.fullmatch(unit) for unit, _ in sold):
        return None
    per_input_mtok = _dearest(_INPUT, sold, Decimal(0))
    return Price(
        input_nusd=nusd(per_input_mtok),
        output_nusd=nusd(_dearest(_OUTPUT, sold, Decimal(0))),
        cached_input_nusd=nusd(_dearest(_CACHE_READ, sold, per_input_mtok)),
        cache_write_nusd=nusd(_dearest(_CACHE_WRITE, sold, per_input_mtok)),
        request_nusd=nusd(_dearest(_REQUESTS, sold, Decimal(0)) / 1000),
        version=_BOOK_VERSION,
    )


def _dearest(kind: re.Pattern[str], sold: _Sold, absent: Decimal) -> Decimal:
    figures = (figure for unit, value in sold if kind.fullmatch(unit) for figure in _figures(value))
    return max(figures, default=absent)


def _figures(value: Decimal | TieredPrices) -> list[Decimal]:
    if isinstance(value, TieredPrices):
        return [value.base, *(tier.price for tier in value.tiers)]
    return [value]
