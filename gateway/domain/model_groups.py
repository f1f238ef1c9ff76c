"""Model groups: a name that stands for an ordered list of models. Pure.

Callers ask for the name; the first of its models that can be had is called. What it may cost is held at the dearest of
those that may be called, what it cost is charged at the price of the one that answered.
"""

from collections.abc import Sequence

from gateway.domain.catalog import Catalog, Dialects, Model, dearest
from gateway.domain.token import Token


def reachable(
    token: Token, group: Model, catalog: Catalog, dialects: Dialects | None
) -> tuple[Model, ...]:
    """The models behind a group's name that a token can call in some dialects, the first to be called first.

    A list of models that names some of them leaves out the others; one that names the group alone means all. A capped
    token calls none that has no price, if there are others.
    """
    names = group.members
    served_by = catalog.serving(token.group, group.name, dialects)
    for allowed in (token.models, served_by.models):
        if allowed is not None and not allowed.isdisjoint(names):
            names = tuple(name for name in names if name in allowed)
    models = [
        catalog.model(name) for name in names if catalog.candidates(served_by, name, dialects)
    ]
    priced = [model for model in models if model.price is not None]
    return tuple(priced if token.capped and priced else models)


def as_one(name: str, models: Sequence[Model]) -> Model:
    """A model that bounds every one of these: what holds for it holds for each."""
    prices = [model.price for model in models if model.price is not None]
    windows = [model.max_input_tokens for model in models if model.max_input_tokens is not None]
    maxima = [model.max_output_tokens for model in models if model.max_output_tokens is not None]
    return Model(
        name,
        dearest(prices) if prices and len(prices) == len(models) else None,
        max_output_tokens=max(maxima) if maxima and len(maxima) == len(models) else None,
        default_output_tokens=min(
            min(model.default_output_tokens, model.max_output_tokens or model.default_output_tokens)
            for model in models
        ),
        max_input_tokens=max(windows) if windows and len(windows) == len(models) else None,
        bytes_per_token=min(model.bytes_per_token for model in models),
        image_max_tokens=max(model.image_max_tokens for model in models),
        hides_output=any(model.hides_output for model in models),
        members=tuple(model.name for model in models),
    )
