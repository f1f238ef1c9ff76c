"""The catalog: models, prices, groups and upstreams as one immutable object.

A worker swaps it whole; a request keeps the one it began with.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType
from typing import Literal, NamedTuple
from urllib.parse import SplitResult

from gateway.domain.limits import Limit
from gateway.domain.network import Blocks

PPM = 1_000_000
NUSD_PER_USD = 1_000_000_000
Dialect = Literal["openai", "anthropic", "gemini"]
Dialects = tuple[Dialect, ...]
"""A caller's dialect, and behind it those that its call can be translated for."""
Form = Literal["chats", "responses"]
"""How an upstream of OpenAI's dialect takes calls that are translated for it."""


class Tier(NamedTuple):
    """From where on another price holds, for all tokens of the call."""

    above_input_tokens: int
    price: "Price"


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-dollars per million tokens, and per request. `version` names the price on each ledger row.

    None: such tokens cost what other tokens of the same direction do; `has_kinds` says whether some do not. `tiers`
    are whole prices, the lowest threshold first, and have no tiers themselves.
    """

    input_nusd: int
    output_nusd: int
    cached_input_nusd: int
    cache_write_nusd: int
    request_nusd: int = 0
    version: int = 1
    reasoning_nusd: int | None = None
    audio_input_nusd: int | None = None
    audio_output_nusd: int | None = None
    image_input_nusd: int | None = None
    image_output_nusd: int | None = None
    cache_write_1h_nusd: int | None = None
    tiers: tuple[Tier, ...] = ()
    has_kinds: bool = field(init=False, repr=False, compare=False)
    dearest_text_nusd: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note what is asked at each call: is a kind of token priced apart, and what does text cost at most."""
        apart = (
            self.reasoning_nusd,
            self.audio_input_nusd,
            self.audio_output_nusd,
            self.image_input_nusd,
            self.image_output_nusd,
        )
        object.__setattr__(self, "has_kinds", any(figure is not None for figure in apart))
        dearest = max(
            self.input_nusd,
            self.cached_input_nusd,
            self.cache_write_nusd,
            self.cache_write_1h_nusd or 0,
        )
        object.__setattr__(self, "dearest_text_nusd", dearest)

    def at(self, input_tokens: int) -> "Price":
        """The price of a call with so much input."""
        for tier in reversed(self.tiers):
            if input_tokens > tier.above_input_tokens:
                return tier.price
        return self

    def up_to(self, input_tokens: int) -> "tuple[Price, ...]":
        """Every price that a call with at most so much input can have."""
        if not self.tiers:
            return (self,)
        reached = (tier.price for tier in self.tiers if tier.above_input_tokens < input_tokens)
        return (self, *reached)


def dearest(prices: Sequence[Price]) -> Price:
    """A price below which none of `prices` is, whatever a call uses. It has the version of the first."""
    starts = sorted({tier.above_input_tokens for price in prices for tier in price.tiers})
    tiers = tuple(
        Tier(start, _highest([price.at(start + 1) for price in prices])) for start in starts
    )
    return replace(_highest(prices), tiers=tiers)


def _highest(prices: Sequence[Price]) -> Price:
    """The highest figure of each kind."""

    def of(kind: str, *otherwise: str) -> int | None:
        """Of a price that has none of its own for a kind, the dearest that such tokens can cost there."""
        own: list[int | None] = [getattr(price, kind) for price in prices]
        if not any(figure is not None for figure in own):
            return None
        others = [max(getattr(price, name) or 0 for name in otherwise) for price in prices]
        return max(
            other if figure is None else figure for figure, other in zip(own, others, strict=True)
        )

    text = ("input_nusd", "cached_input_nusd", "cache_write_nusd", "cache_write_1h_nusd")
    produced = ("output_nusd", "audio_output_nusd", "image_output_nusd")

    return Price(
        input_nusd=max(price.input_nusd for price in prices),
        output_nusd=max(price.output_nusd for price in prices),
        cached_input_nusd=max(price.cached_input_nusd for price in prices),
        cache_write_nusd=max(price.cache_write_nusd for price in prices),
        request_nusd=max(price.request_nusd for price in prices),
        version=prices[0].version,
        reasoning_nusd=of("reasoning_nusd", *produced),
        audio_input_nusd=of("audio_input_nusd", *text),
        audio_output_nusd=of("audio_output_nusd", *produced),
        image_input_nusd=of("image_input_nusd", *text),
        image_output_nusd=of("image_output_nusd", *produced),
        cache_write_1h_nusd=of("cache_write_1h_nusd", "cache_write_nusd"),
    )


@dataclass(frozen=True, slots=True)
class Model:
    """A model as callers name it. `price` is None where nobody set one.

    `image_max_tokens` bounds what one image of the input counts. `hides_output`: it produces output that its streams
    do not show, such as thoughts. `members`: it is no model, but stands for these, the first to be called first.
    """

    name: str
    price: Price | None = None
    max_output_tokens: int | None = None
    default_output_tokens: int = 16_384
    max_input_tokens: int | None = None
    max_output_field: str | None = None
    bytes_per_token: int = 1
    image_max_tokens: int = 16_384
    hides_output: bool = False
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Upstream:
    """A provider that calls are forwarded to.

    `models` maps a caller's name to the upstream's; a name that ends in `*` takes all that begin so, unmapped. Without
    `api_keys` none is sent. `max_connections`, `breaker_failures` and `retry_after_budget_s` 0: no bound, no breaker,
    no waiting. `allow_cidrs`: what it may be called at though that is not public. `azure_api_version`: it is Azure
    OpenAI of this version. `translate`: calls of other dialects are translated for it, and may be sent without what
    `leave_out` names; in OpenAI's dialect they have this `form`.
    """

    name: str
    dialect: Dialect
    base_url: SplitResult
    api_keys: tuple[str, ...] = field(repr=False)
    models: MappingProxyType[str, str]
    weight: int = 1
    priority: int = 0
    connect_timeout_s: float = 5
    first_byte_timeout_s: float = 60
    idle_timeout_s: float = 120
    ca_file: str = ""
    total_timeout_s: float = 900
    max_line_bytes: int = 1_048_576
    unix_socket: str = ""
    affinity: bool = False
    allow_cidrs: Blocks = field(default_factory=Blocks)
    proxy: str = field(default="", repr=False)
    cert_file: str = ""
    key_file: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    on_disconnect: Literal["abort", "drain"] = "abort"
    max_connections: int = 0
    breaker_failures: int = 5
    breaker_open_s: float = 5
    breaker_longest_s: float = 60
    retry_after_budget_s: float = 2
    retry_unanswered: bool = False
    azure_api_version: str = ""
    translate: bool = True
    leave_out: frozenset[str] = frozenset()
    form: Form = "chats"

    def speaks(self, dialects: Dialects | None) -> bool:
        """Whether it can be called in the first of these, or the call translated for it; None: in whichever."""
        if dialects is None or self.dialect == dialects[0]:
            return True
        return self.translate and self.dialect in dialects

    def max_field(self, model: Model, fields: tuple[str, ...]) -> str:
        """Which of these a maximum is written into.

        OpenAI's newer models refuse `max_tokens`, many other servers know nothing else.
        """
        if model.max_output_field in fields:
            return str(model.max_output_field)
        if (self.base_url.hostname or "").endswith(".openai.com"):
            return fields[0]
        return fields[-1]

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
    """Which models and upstreams a token reaches, at what ratio, and what applies where the token is silent.

    `groups`: it stands for these; a call is of the first that can serve it.
    """

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
    groups: "tuple[Group, ...]" = ()


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

    def serving(self, group: Group, model: str, dialects: Dialects | None = None) -> Group:
        """The group whose upstreams and ratio are a call's: of one that stands for several the first that can serve it.

        Where none can, the group itself. An empty model is any. `dialects` as `candidates` has them.
        """
        for each in group.groups:
            allowed = each.models is None or not model or model in each.models
            if allowed and self.candidates(each, model, dialects):
                return each
        return group

    def candidates(
        self, group: Group, model: str, dialects: Dialects | None = None
    ) -> tuple[Upstream, ...]:
        """The group's upstreams that serve `model`: by priority (low first), then weight (high first).

        Of `dialects` the first is the caller's, whose upstreams come before those that a call is translated for.
        Without any, those of all; of an empty model, those that serve any. Which of them a call goes to is
        `choice.best`'s to say.
        """
        if group.groups:
            one = self.serving(group, model, dialects)
            return () if one is group else self.candidates(one, model, dialects)
        known = self.models.get(model) if model else None
        if known is not None and known.members:
            found = (self.candidates(group, each, dialects) for each in known.members)
            return tuple({upstream.name: upstream for some in found for upstream in some}.values())
        serving = (
            upstream
            for upstream in self.upstreams
            if upstream.speaks(dialects)
            and (not model or upstream.model_name(model) is not None)
            and (group.upstreams is None or upstream.name in group.upstreams)
        )
        own = None if dialects is None else dialects[0]
        return tuple(
            sorted(
                serving,
                key=lambda upstream: (
                    upstream.dialect != own,
                    upstream.priority,
                    -upstream.weight,
                ),
            )
        )

    def names(self, group: Group, dialects: Dialects | None = None) -> tuple[str, ...]:
        """The names of models that the group can call, sorted: those listed and those that upstreams name.

        With dialects, those that can be called in the first, or be translated for one of the others.
        """
        if group.groups:
            return tuple(sorted({n for each in group.groups for n in self.names(each, dialects)}))
        listed = set(self.models)
        for upstream in self.upstreams:
            listed.update(name for name in upstream.models if not name.endswith("*"))
        return tuple(
            sorted(
                name
                for name in listed
                if (group.models is None or name in group.models)
                and self.candidates(group, name, dialects)
            )
        )


def nusd(usd: Decimal) -> int:
    """Nano-dollars from dollars, rounded up where finer."""
    return int((usd * NUSD_PER_USD).to_integral_value(ROUND_CEILING))
