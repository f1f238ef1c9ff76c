"""The catalog: models, prices, groups and upstreams as one immutable object.

A worker swaps it whole; a request keeps the one it began with.
"""

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType
from typing import Literal
from urllib.parse import SplitResult

from gateway.domain.limits import Limit
from gateway.domain.network import Blocks

PPM = 1_000_000
NUSD_PER_USD = 1_000_000_000
Dialect = Literal["openai", "anthropic", "gemini"]


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per million tokens, and per request. `version` names the price on each ledger row."""

    input_nusd: int
    output_nusd: int
    cached_input_nusd: int
    cache_write_nusd: int
    request_nusd: int = 0
    version: int = 1


@dataclass(frozen=True, slots=True)
class Model:
    """A model as callers name it. `price` is None where nobody set one.

    `hides_output`: it produces output that its streams do not show, such as thoughts.
    """

    name: str
    price: Price | None = None
    max_output_tokens: int | None = None
    default_output_tokens: int = 16_384
    max_input_tokens: int | None = None
    max_output_field: str | None = None
    bytes_per_token: int = 1
    hides_output: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider that calls are forwarded to.

    `models` maps a caller's name to the upstream's; a name that ends in `*` takes all that begin so, unmapped.
    """

    name: str
    dialect: Dialect
    base_url: SplitResult
    api_key: str = field(repr=False)
    models: MappingProxyType[str, str]
    weight: int = 1
    priority: int = 0
    connect_timeout_s: float = 5
    first_byte_timeout_s: float = 60
    idle_timeout_s: float = 120
    ca_file: str = ""
    total_timeout_s: float = 900
    on_disconnect: Literal["abort", "drain"] = "abort"

    def model_name(self, model: str) -> str | None:
        """The upstream's own name for `model`; None where it does not serve it."""
        mapped = self.models.get(model)
        if mapped is not None:
            return mapped
        for name in self.models:
            if name.endswith("*") and model.startswith(name[:-1]):
                return model
        return None


@dataclass(frozen=True, slots=True)
class Group:
    """Which models and upstreams a token reaches, at what ratio, and what applies where the token is silent."""

    id: int
    name: str
    models: frozenset[str] | None = None
    upstreams: frozenset[str] | None = None
    ratio_ppm: int = PPM
    limits: tuple[Limit, ...] = ()
    max_concurrency: int | None = None
    token_limits: tuple[Limit, ...] = ()
    token_max_concurrency: int | None = None
    token_models: frozenset[str] | None = None
    token_allow: Blocks = field(default_factory=Blocks)
    token_deny: Blocks = field(default_factory=Blocks)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that configuration and the admin API say of models, groups and upstreams."""

    generation: int
    models: MappingProxyType[str, Model]
    groups: MappingProxyType[int, Group]
    upstreams: tuple[Upstream, ...]

    def model(self, name: str) -> Model:
        """The model's settings; those of an unlisted model are unpriced and unbounded."""
        return self.models.get(name) or Model(name)

    def candidates(self, group: Group, model: str) -> tuple[Upstream, ...]:
        """The group's upstreams that serve `model`, by priority (low first), then weight (high first)."""
        serving = (
            upstream
            for upstream in self.upstreams
            if upstream.model_name(model) is not None
            and (group.upstreams is None or upstream.name in group.upstreams)
        )
        return tuple(sorted(serving, key=lambda upstream: (upstream.priority, -upstream.weight)))

    def names(self, group: Group) -> tuple[str, ...]:
        """The names of models that the group can call, sorted: those listed and those that upstreams name."""
        listed = set(self.models)
        for upstream in self.upstreams:
            listed.update(name for name in upstream.models if not name.endswith("*"))
        return tuple(
            sorted(
                name
                for name in listed
                if (group.models is None or name in group.models) and self.candidates(group, name)
            )
        )


def nusd(usd: Decimal) -> int:
    """Nano-dollars from dollars, rounded up where finer."""
    return int((usd * NUSD_PER_USD).to_integral_value(ROUND_CEILING))
