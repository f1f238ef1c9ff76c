"""What groups offer to those who may use them: each model once, with its price in each of the groups (pure)."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, get_args

import orjson

from gateway.domain.catalog import PPM, Catalog, Dialect, Group, Price
from gateway.domain.routes import dialects_called

_FIGURES: Final = {
    "input_usd_per_mtok": "input_nusd",
    "output_usd_per_mtok": "output_nusd",
    "cached_input_usd_per_mtok": "cached_input_nusd",
    "cache_write_usd_per_mtok": "cache_write_nusd",
    "request_usd": "request_nusd",
}
_DIGITS: Final = -15  # a nano-dollar times a millionth


def offers_of(catalog: Catalog, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The models that the groups can call, by name. The first group that offers a model gives it its own figures."""
    names: dict[str, list[Group]] = {}
    for group in groups:
        for name in catalog.names(group):
            names.setdefault(name, []).append(group)
    return [_offer(catalog, name, names[name]) for name in sorted(names)]


def _offer(catalog: Catalog, name: str, groups: Sequence[Group]) -> dict[str, Any]:
    model = catalog.model(name)
    prices = [_priced(catalog, name, group, model.price) for group in groups]
    return {
        "name": name,
        "groups": [group.name for group in groups],
        "dialects": [*_dialects(catalog, name, groups)],
        "members": list(model.members) or None,
        "max_input_tokens": model.max_input_tokens,
        "max_output_tokens": model.max_output_tokens,
        **{figure: prices[0][figure] for figure in _FIGURES},
        "prices": prices,
    }


def _priced(catalog: Catalog, name: str, group: Group, price: Price | None) -> dict[str, Any]:
    ratio_ppm = catalog.serving(group, name).ratio_ppm
    tiers = () if price is None else price.tiers
    return {
        "group": group.name,
        "ratio": ratio_ppm / PPM,
        **_figures(price, ratio_ppm),
        "tiers": [
            {"above_input_tokens": tier.above_input_tokens, **_figures(tier.price, ratio_ppm)}
            for tier in tiers
        ],
    }


def _figures(price: Price | None, ratio_ppm: int) -> dict[str, orjson.Fragment | None]:
    if price is None:
        return dict.fromkeys(_FIGURES)
    return {shown: _usd(getattr(price, name) * ratio_ppm) for shown, name in _FIGURES.items()}


def _usd(product: int) -> orjson.Fragment:
    """Nano-dollars times parts per million as a JSON number of dollars, exact."""
    return orjson.Fragment(format(Decimal(product).scaleb(_DIGITS).normalize(), "f"))


def _dialects(catalog: Catalog, name: str, groups: Sequence[Group]) -> Iterator[Dialect]:
    for dialect in get_args(Dialect):
        if any(catalog.candidates(group, name, dialects_called(dialect)) for group in groups):
            yield dialect
