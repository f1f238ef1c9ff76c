"""By what a token's calls of one model are priced and held, and where they may go; `explain` asks, too. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.domain.ask import Ask
from gateway.domain.catalog import Catalog, Group, Model, Price, Upstream
from gateway.domain.checks import require_known_price, require_price
from gateway.domain.errors import Refusal
from gateway.domain.model_groups import as_one, reachable
from gateway.domain.quota import Hold, estimated_hold, hold
from gateway.domain.routes import Route
from gateway.domain.token import Token
from gateway.domain.usage import ONE_CALL, cost_nusd


class Candidate(NamedTuple):
    """An upstream that can serve a model, and its own name for it.

    Those of lower `place` go first: an earlier model of a group of models, and for each what needs no translation.
    """

    upstream: Upstream
    model_name: str
    model: Model
    place: int = 0


@dataclass(frozen=True, slots=True)
class Pricing:
    """What a token's calls of one model are held and charged by.

    `strict`: they are held for the most that they can cost. `steps`: a stream may be held for in steps.
    """

    model: Model
    ratio_ppm: int
    capped: bool
    strict: bool
    steps: bool


def price(
    token: Token, name: str, catalog: Catalog, route: Route
) -> tuple[Pricing, tuple[Candidate, ...]]:
    """The pricing of a model's calls, and the upstreams that may serve them."""
    models = _models(token, name, catalog, route)
    group = catalog.serving(token.group, name, route.dialects)
    candidates = tuple(_candidates(catalog, group, models, route))
    model = models[0] if len(models) == 1 else as_one(name, models)
    pricing = Pricing(
        model=model,
        ratio_ppm=group.ratio_ppm,
        capped=token.capped,
        strict=token.strict,
        # Whoever reads on without a caller has nobody to stop for; what is not shown is not metered.
        steps=not model.hides_output
        and all(each.upstream.on_disconnect == "abort" for each in candidates),
    )
    return pricing, candidates


def hold_of(
    token: Token, pricing: Pricing, route: Route, ask: Ask, step_tokens: int, estimated_tokens: int
) -> Hold | Refusal:
    """What a call is held for, or the refusal of one that cannot be bounded in cost.

    A stream that is held for in steps begins with `step_tokens`; an estimate has `estimated_tokens` of output.
    """
    if route.metering == "free":
        return _NOTHING_HELD
    refusal = require_price(token, pricing.model)
    if refusal is None:
        refusal = require_known_price(token, ask)
    if refusal is not None:
        return refusal
    if not pricing.strict:
        output = estimated_tokens if route.has_output else 0
        return estimated_hold(ask, pricing.model, pricing.ratio_ppm, output)
    in_steps = ask.stream and pricing.steps and not ask.hides_output and route.early_end is not None
    return hold(
        ask,
        pricing.model,
        pricing.ratio_ppm,
        has_output=route.has_output,
        default_output_tokens=route.default_max_output,
        step_tokens=step_tokens if in_steps else None,
    )


def hold_of_passage(pricing: Pricing, route: Route, ask: Ask) -> Hold:
    """What a passage is held for: the price of a call, or nothing."""
    per_call = pricing.model.price
    if route.metering != "call" or per_call is None:
        return _NOTHING_HELD
    amount = cost_nusd(
        ONE_CALL,
        per_call,
        pricing.ratio_ppm,
        has_audio=ask.has_audio,
        has_images=ask.has_images,
    )
    return Hold(amount, 0)


_NOTHING_HELD = Hold(0, 0)


def _models(token: Token, name: str, catalog: Catalog, route: Route) -> tuple[Model, ...]:
    """The model that a call asks for, or those that its name stands for.

    A passage's price is its own, whatever model it names: one for each call, or none.
    """
    model, rule = catalog.model(name), route.rule
    models: tuple[Model, ...] = (model,)
    if model.members:
        models = reachable(token, model, catalog, route.dialects) or models
    if rule is None:
        return models
    own = Price(0, 0, 0, 0, request_nusd=rule.request_nusd)
    return tuple(replace(each, price=own) for each in models)


def _candidates(
    catalog: Catalog, group: Group, models: Sequence[Model], route: Route
) -> Iterator[Candidate]:
    for number, model in enumerate(models):
        for upstream in catalog.candidates(group, model.name, route.dialects):
            place = 2 * number + (upstream.dialect != route.dialect)
            yield Candidate(upstream, upstream.model_name(model.name) or model.name, model, place)
