"""Builds the catalog from its entries and, where they name no price, from the price book.

Must not know stores: the ids of groups and the generation are handed in.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import urlsplit

from gateway.catalog_entries import Entries, entries_of
from gateway.catalog_settings import (
    GroupSettings,
    LimitSettings,
    ModelSettings,
    PriceSettings,
    RouteSettings,
    UpstreamSettings,
)
from gateway.config import Loaded
from gateway.domain.catalog import PPM, Catalog, Group, Model, Price, Tier, Upstream, dearest, nusd
from gateway.domain.limits import Limit, Metric
from gateway.domain.network import Blocks
from gateway.domain.outbound import trusted_literal
from gateway.domain.passages import Metering, Rule
from gateway.model_traits import hides_output, image_max_tokens

DEMO_UPSTREAM = "demo"

_CONFIGURED_PRICE = (
    1  # Price.version; the price book's numbers begin at 1000, the admin API's at 1,000,000,000
)
_LONGEST_NAME = 256  # of a model that the price book is asked for: matching costs time
_REMEMBERED_NAMES = 4096

# Dear, and short, so that a few hundred calls show a $1 key running out.
_DEMO_MODELS = {
    model.name: model
    for model in (
        Model(
            "demo",
            Price(nusd(Decimal(10)), nusd(Decimal(100)), nusd(Decimal(10)), nusd(Decimal(10))),
            max_output_tokens=1024,
            default_output_tokens=1024,
        ),
        Model(
            "demo-embedding",
            Price(nusd(Decimal(10)), 0, nusd(Decimal(10)), nusd(Decimal(10))),
        ),
    )
}


def build_catalog(
    loaded: Loaded,
    group_ids: Mapping[str, int],
    generation: int = 1,
    *,
    on: date | None = None,
) -> Catalog:
    """The catalog of a configuration alone. Parameters as in `catalog_of`."""
    return catalog_of(entries_of(loaded), group_ids, generation, on=on)


def catalog_of(
    entries: Entries,
    group_ids: Mapping[str, int],
    generation: int = 1,
    *,
    on: date | None = None,
) -> Catalog:
    """The catalog of entries.

    `group_ids` has the id of each group. Prices of the price book are those of the day `on`, today (UTC) unless given.
    """
    upstreams = tuple(_upstream(entries, each) for each in entries.upstreams.values())
    models = _models(entries, upstreams, on or datetime.now(UTC).date())
    return Catalog(
        generation=generation,
        models=MappingProxyType(models),
        groups=MappingProxyType(_groups(entries.groups, group_ids)),
        upstreams=upstreams,
    )


def rules_of(settings: Iterable[RouteSettings]) -> tuple[Rule, ...]:
    """The operator's rules for passages."""
    return tuple(
        Rule(
            each.path,
            frozenset(each.methods),
            Metering(each.metering),
            nusd(each.request_usd or Decimal(0)),
        )
        for each in settings
    )


class _WithBook(Mapping[str, Model]):
    """The listed models and, by lookup only, whatever else the price book knows.

    Providers accept more names than anybody lists: `claude-haiku-4-5` is also
    `claude-haiku-4-5-20251001`, and next month's snapshot has the same price.
    """

    def __init__(self, listed: Mapping[str, Model], find: Callable[[str], Model | None]) -> None:
        self._listed = listed
        self._find = lru_cache(maxsize=_REMEMBERED_NAMES)(find)

    def __getitem__(self, name: str) -> Model:
        model = self._listed.get(name)
        if model is None and len(name) <= _LONGEST_NAME:
            model = self._find(name)
        if model is None:
            raise KeyError(name)
        return model

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


def _models(entries: Entries, upstreams: tuple[Upstream, ...], on: date) -> Mapping[str, Model]:
    listed = {
        name: _model(model, upstreams, entries.price_versions.get(name, _CONFIGURED_PRICE))
        for name, model in entries.models.items()
    }
    if any(upstream.name == DEMO_UPSTREAM for upstream in upstreams):
        listed = {**_DEMO_MODELS, **listed}
    served = [name for upstream in upstreams for name in upstream.models]
    named = {*listed, *(name for name in served if not name.endswith("*"))}
    named.update(*(model.members for model in listed.values()))
    unpriced = [
        name
        for name in named
        if name not in listed or (listed[name].price is None and not listed[name].members)
    ]
    if not unpriced and not any(name.endswith("*") for name in served):
        return listed
    return _with_book(listed, unpriced, upstreams, on)


def _with_book(
    listed: dict[str, Model], unpriced: Iterable[str], upstreams: tuple[Upstream, ...], on: date
) -> Mapping[str, Model]:
    from gateway.pricebook import PriceBook  # noqa: PLC0415  (see there what it costs)

    books = [(upstream, PriceBook.of(upstream.base_url.geturl(), on)) for upstream in upstreams]

    def find(name: str) -> Model | None:
        """The model at the dearest of the upstreams that serve it; None if one has no price."""
        found = [
            book.find(theirs)
            for upstream, book in books
            if (theirs := upstream.model_name(name)) is not None
        ]
        known = [model for model in found if model is not None]
        if not known or len(known) < len(found):
            return None
        return _as_served(_dearest(name, known), upstreams)

    offered = {
        name
        for upstream, book in books
        for name in book.names()
        if upstream.model_name(name) is not None and name not in listed
    }
    for name in sorted({*unpriced, *offered}):
        if (model := find(name)) is not None:
            listed[name] = _completed(listed.get(name), model)
    return _WithBook(listed, find)


def _dearest(name: str, models: list[Model]) -> Model:
    prices = [model.price for model in models if model.price is not None]
    windows = [model.max_input_tokens for model in models if model.max_input_tokens is not None]
    return Model(
        name,
        dearest(prices),
        max_input_tokens=max(windows) if len(windows) == len(models) else None,
    )


def _as_served(model: Model, upstreams: tuple[Upstream, ...]) -> Model:
    """The model with what is documented of it under the names that its upstreams have for it."""
    names = [upstream.model_name(model.name) or "" for upstream in upstreams]
    return dataclasses.replace(
        model,
        image_max_tokens=max(image_max_tokens(name) for name in [*names, ""]),
        hides_output=any(hides_output(name) for name in names),
    )


def _completed(configured: Model | None, model: Model) -> Model:
    """What the configuration says of a model, with the book's price."""
    if configured is None:
        return model
    return dataclasses.replace(
        configured,
        price=model.price,
        max_input_tokens=configured.max_input_tokens or model.max_input_tokens,
    )


def _model(settings: ModelSettings, upstreams: tuple[Upstream, ...], price_version: int) -> Model:
    if settings.members:
        return Model(settings.name, members=settings.members)
    served = _as_served(Model(settings.name), upstreams)
    return Model(
        name=settings.name,
        price=_price(settings, price_version),
        max_output_tokens=settings.max_output_tokens,
        default_output_tokens=settings.default_output_tokens,
        max_input_tokens=settings.max_input_tokens,
        max_output_field=settings.max_output_field,
        bytes_per_token=settings.bytes_per_token,
        image_max_tokens=settings.image_max_tokens or served.image_max_tokens,
        hides_output=(
            served.hides_output if settings.hides_output is None else settings.hides_output
        ),
    )


def _price(settings: ModelSettings, version: int) -> Price | None:
    if settings.input_usd_per_mtok is None or settings.output_usd_per_mtok is None:
        return None
    per_request = nusd(settings.request_usd)
    tiers = (
        Tier(tier.above_input_tokens, _per_mtok(tier, per_request, version))
        for tier in settings.tiers
    )
    return dataclasses.replace(
        _per_mtok(settings, per_request, version),
        tiers=tuple(sorted(tiers, key=lambda tier: tier[0])),
    )


def _per_mtok(settings: PriceSettings, request_nusd: int, version: int) -> Price:
    input_usd = settings.input_usd_per_mtok or Decimal(0)
    return Price(
        input_nusd=nusd(input_usd),
        output_nusd=nusd(settings.output_usd_per_mtok or Decimal(0)),
        cached_input_nusd=nusd(_or(settings.cached_input_usd_per_mtok, input_usd)),
        cache_write_nusd=nusd(_or(settings.cache_write_usd_per_mtok, input_usd)),
        request_nusd=request_nusd,
        version=version,
        reasoning_nusd=_nusd(settings.reasoning_usd_per_mtok),
        audio_input_nusd=_nusd(settings.audio_input_usd_per_mtok),
        audio_output_nusd=_nusd(settings.audio_output_usd_per_mtok),
        image_input_nusd=_nusd(settings.image_input_usd_per_mtok),
        image_output_nusd=_nusd(settings.image_output_usd_per_mtok),
        cache_write_1h_nusd=_nusd(settings.cache_write_1h_usd_per_mtok),
    )


def _nusd(usd: Decimal | None) -> int | None:
    return None if usd is None else nusd(usd)


def _or(value: Decimal | None, default: Decimal) -> Decimal:
    return default if value is None else value


def _upstream(entries: Entries, settings: UpstreamSettings) -> Upstream:
    models = settings.models
    return Upstream(
        name=settings.name,
        dialect=settings.dialect,
        base_url=urlsplit(settings.base_url),
        api_keys=entries.api_keys.get(settings.name, ()),
        models=MappingProxyType(
            dict(models) if isinstance(models, dict) else {name: name for name in models}
        ),
        weight=settings.weight,
        priority=settings.priority,
        connect_timeout_s=settings.connect_timeout_s,
        first_byte_timeout_s=settings.first_byte_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
        ca_file=settings.ca_file,
        total_timeout_s=settings.total_timeout_s,
        max_line_bytes=settings.max_line_bytes,
        unix_socket=settings.unix_socket,
        affinity=settings.affinity,
        allow_cidrs=_allowed(entries, settings),
        proxy=settings.proxy.get_secret_value(),
        cert_file=settings.cert_file,
        key_file=settings.key_file,
        headers=tuple(settings.headers.items()),
        on_disconnect=settings.on_disconnect,
        max_connections=settings.max_connections,
        breaker_failures=settings.breaker_failures,
        breaker_open_s=settings.breaker_open_s,
        breaker_longest_s=settings.breaker_longest_s,
        retry_after_budget_s=settings.retry_after_budget_s,
        retry_unanswered=settings.retry_unanswered,
        azure_api_version=settings.azure_api_version,
        translate=settings.translate,
        leave_out=frozenset(settings.leave_out),
        form=settings.form,
    )


def _allowed(entries: Entries, settings: UpstreamSettings) -> Blocks:
    """Where it may be called though that is not public: an address of the operator's file is the operator's word."""
    allowed = Blocks.of(settings.allow_cidrs)
    if ("upstream", settings.name) in entries.made:
        return allowed
    return allowed | trusted_literal(urlsplit(settings.base_url).hostname or "")


def _groups(
    settings: Mapping[str, GroupSettings], group_ids: Mapping[str, int]
) -> dict[int, Group]:
    made = {name: _group(group_ids[name], name, each) for name, each in settings.items()}
    return {
        group.id: dataclasses.replace(
            group, groups=tuple(made[name] for name in settings[group.name].groups)
        )
        for group in made.values()
    }


def _group(group_id: int, name: str, settings: GroupSettings) -> Group:
    defaults = settings.token_defaults
    return Group(
        id=group_id,
        name=name,
        models=_names(settings.models),
        upstreams=_names(settings.upstreams),
        ratio_ppm=int((settings.ratio * PPM).to_integral_value(ROUND_CEILING)),
        limits=_limits(settings.limits),
        max_concurrency=settings.max_concurrency,
        token_limits=_limits(defaults.limits),
        token_max_concurrency=defaults.max_concurrency,
        token_models=None if defaults.models is None else _names(defaults.models),
        token_allow=Blocks.of(defaults.allow_ips),
        token_deny=Blocks.of(defaults.deny_ips),
    )


def _names(names: tuple[str, ...]) -> frozenset[str] | None:
    """None where `*` is among them: all."""
    return None if "*" in names else frozenset(names)


def _limits(limits: tuple[LimitSettings, ...]) -> tuple[Limit, ...]:
    return tuple(limit_of(settings) for settings in limits)


def limit_of(settings: LimitSettings) -> Limit:
    """A limit as decisions need it: dollars become nano-dollars, `*` among the models becomes all of them."""
    units = nusd if settings.metric == "usd" else int
    return Limit(
        metric=Metric(settings.metric),
        window=settings.window,
        limit=units(settings.limit),
        mode=settings.mode,
        models=None if settings.models is None else _names(settings.models),
        time_zone=settings.time_zone,
        burst=None if settings.burst is None else units(settings.burst),
        shadow=settings.shadow,
    )
