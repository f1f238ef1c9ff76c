"""The price book: what providers publish, as github.com/pydantic/genai-prices collects it.

Mapped here once to our own prices; nothing else imports that package, and nothing is fetched. Prices
by the length of the input are tiers; as the package has it, the tier that the whole input reaches is
the price of all tokens. Where the moment decides (hours of the day), or what no usage tells
(lifetimes of cached input, video, citations), the dearest counts: a cap must hold whatever the call
turns out to be. Left out is what is no price per token or per request: server tools such as web
search, and service tiers above the standard one. Must not know configuration, upstreams or catalogs.

Importing this module takes 0.3 s and 15 MB: import it where a price is missing, nowhere else.
"""

import dataclasses
import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import NamedTuple

from genai_prices.data import providers as _published
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices

from gateway.domain.catalog import Model, Price, Tier, dearest, nusd

# Units by the kind of token that a usage tells apart; of several in one kind the dearest counts.
_KINDS = {
    "input_nusd": re.compile(r"input_(video_)?mtok"),
    "output_nusd": re.compile(r"output_(video_|citation_)?mtok"),
    "cached_input_nusd": re.compile(r"cache_read_mtok"),
    "cache_write_nusd": re.compile(r"cache_(\w+_)?write_(?!1h_)(\w+_)?mtok"),
    "cache_write_1h_nusd": re.compile(r"cache_write_1h_mtok"),
    "request_nusd": re.compile(r"requests_kcount"),
    "reasoning_nusd": re.compile(r"output_reasoning_mtok"),
    "audio_input_nusd": re.compile(r"input_audio_mtok"),
    "audio_output_nusd": re.compile(r"output_audio_mtok"),
    "image_input_nusd": re.compile(r"input_image_mtok"),
    "image_output_nusd": re.compile(r"output_image_mtok"),
}
# A usage does not tell which tokens were cached: those of audio and images count as if none was.
_LEFT_OUT = re.compile(r"cache_\w+_read_mtok|(web|storage)_searches_kcount")
_REQUESTS_PER_PRICE = 1000
_REMEMBERED_NAMES = 4096
_REMEMBERED_BOOKS = 32


class PriceBook:
    """The prices of the providers at one address, as they stand on one day."""

    def __init__(self, providers: Iterable[Provider], on: date) -> None:
        self._providers = tuple(providers)
        self._on = on
        # Catalogs are built again and again of the same book, for many upstreams of one provider.
        self._find = lru_cache(maxsize=_REMEMBERED_NAMES)(self._look_up)
        self._names: tuple[str, ...] | None = None

    @staticmethod
    def of(base_url: str, on: date) -> "PriceBook":
        """The book for an upstream's base URL; empty where no known provider has that address."""
        ids = tuple(each.id for each in _published if re.match(each.api_pattern, base_url))
        return _book_of(ids, on)

    def find(self, name: str) -> Model | None:
        """The model that the provider calls `name`, a dated or older spelling included.

        None where the book has no such model, or no price that tokens and requests amount to.
        """
        return self._find(name)

    def _look_up(self, name: str) -> Model | None:
        for provider in self._providers:
            if (model := provider.find_model(name)) is not None:
                return _priced(name, model, self._on)
        return None

    def names(self) -> tuple[str, ...]:
        """The models that have a price and are not deprecated, by the providers' first names."""
        if self._names is None:
            self._names = tuple(
                model.id
                for provider in self._providers
                for model in provider.models
                if not model.deprecated
                and not model.id.endswith("-")  # a family of fine-tuned models, not a model
                and _priced(model.id, model, self._on) is not None
            )
        return self._names


class Published(NamedTuple):
    """A model as one provider sells it."""

    provider: str
    name: str
    """What the provider calls it."""
    model: Model


def published(name: str, on: date) -> list[Published]:
    """What every known provider publishes for a model of this name; deprecated ones too."""
    found = ((each.name, each.find_model(name)) for each in _published)
    priced = (
        (provider, model.id, _priced(name, model, on))
        for provider, model in found
        if model is not None
    )
    return [Published(provider, id_, model) for provider, id_, model in priced if model is not None]


@lru_cache(maxsize=_REMEMBERED_BOOKS)
def _book_of(ids: tuple[str, ...], on: date) -> PriceBook:
    return PriceBook((each for each in _published if each.id in ids), on)


def book_version() -> int:
    """The number of the book on ledger rows: 0.2.3 is 2003. A configured price's is below 1000."""
    major, minor, patch = (int(part) for part in re.findall(r"\d+", version("genai-prices"))[:3])
    return major * 1_000_000 + minor * 1_000 + patch


_BOOK_VERSION = book_version()


def _priced(name: str, model: ModelInfo, on: date) -> Model | None:
    prices = [_price(each) for each in _in_force(model, on)]
    known = [price for price in prices if price is not None]
    if len(known) < len(prices):
        return None
    return Model(name, dearest(known), max_input_tokens=model.context_window)


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


def _price(published: ModelPrice) -> Price | None:
    """None where something is sold by another measure, or input has no price."""
    sold = {unit: value for unit, value in vars(published).items() if value is not None}
    kinds = {unit: _kind_of(unit) for unit in sold if not _LEFT_OUT.fullmatch(unit)}
    if None in kinds.values() or "input_nusd" not in kinds.values():
        return None
    starts = {
        tier.start
        for value in sold.values()
        if isinstance(value, TieredPrices)
        for tier in value.tiers
    }

    def at(input_tokens: int) -> Price:
        figures: dict[str, Decimal] = {}
        for unit, kind in kinds.items():
            if kind is not None:
                figure = _figure(sold[unit], input_tokens)
                figures[kind] = max(figure, figures.get(kind, figure))
        return _price_of(figures)

    tiers = tuple(Tier(start, at(start + 1)) for start in sorted(starts))
    return dataclasses.replace(at(0), tiers=tiers)


def _kind_of(unit: str) -> str | None:
    return next((kind for kind, units in _KINDS.items() if units.fullmatch(unit)), None)


def _figure(value: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    """The price of all tokens of a call with so much input: `genai_prices.types.calc_unit_price`."""
    if not isinstance(value, TieredPrices):
        return value
    reached = [tier.price for tier in value.tiers if input_tokens > tier.start]
    return reached[-1] if reached else value.base


def _price_of(figures: dict[str, Decimal]) -> Price:
    found = {kind: nusd(figure) for kind, figure in figures.items()}
    per_input = found["input_nusd"]
    return Price(
        input_nusd=per_input,
        output_nusd=found.get("output_nusd", 0),
        cached_input_nusd=found.get("cached_input_nusd", per_input),
        cache_write_nusd=found.get("cache_write_nusd", per_input),
        request_nusd=nusd(figures.get("request_nusd", Decimal(0)) / _REQUESTS_PER_PRICE),
        version=_BOOK_VERSION,
        reasoning_nusd=found.get("reasoning_nusd"),
        audio_input_nusd=found.get("audio_input_nusd"),
        audio_output_nusd=found.get("audio_output_nusd"),
        image_input_nusd=found.get("image_input_nusd"),
        image_output_nusd=found.get("image_output_nusd"),
        cache_write_1h_nusd=found.get("cache_write_1h_nusd"),
    )
