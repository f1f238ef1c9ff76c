"""The objects of the catalog's answers (pure). No key is in them, only its last four characters."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urlsplit

import orjson

from admin_api.tokens.objects import limit_object, usd
from gateway.catalog_entries import Entries, Kind, Row, Settings
from gateway.catalog_settings import (
    GroupSettings,
    LimitSettings,
    ModelSettings,
    PriceSettings,
    UpstreamSettings,
)
from gateway.catalog_source import limit_of
from gateway.config import Loaded
from gateway.domain.catalog import Catalog, Model, Price

_PRICES: Final = tuple(PriceSettings.model_fields)
_BOOK_FROM, _API_FROM = 1000, 1_000_000_000
_NOT_SAID: Final[Mapping[Kind, Settings]] = {
    "upstream": UpstreamSettings.model_construct(name="", base_url=""),
    "model": ModelSettings.model_construct(name=""),
    "group": GroupSettings(),
}


class Shown(NamedTuple):
    """An entry that is to be shown: one of the file has no row."""

    kind: Kind
    name: str
    settings: Settings
    row: Row | None = None
    broken: str | None = None

    @property
    def source(self) -> Literal["file", "api"]:
        """Where it is from."""
        return "file" if self.row is None else "api"


def shown_of(kind: Kind, loaded: Loaded, entries: Entries, rows: Sequence[Row]) -> list[Shown]:
    """Every entry of a kind, the broken ones too."""
    here: Mapping[Kind, Mapping[str, Settings]] = {
        "upstream": entries.upstreams,
        "model": entries.models,
        "group": entries.groups,
    }
    own = {row.name: row for row in rows if row.kind == kind}
    found = [
        Shown(kind, name, settings)
        for name, settings in here[kind].items()
        if (kind, name) not in entries.made
    ]
    found += [
        Shown(
            kind,
            name,
            here[kind].get(name, _NOT_SAID[kind])
            if (kind, name) in entries.made
            else _NOT_SAID[kind],
            row,
            entries.broken.get((kind, name)),
        )
        for name, row in own.items()
    ]
    if kind == "upstream":
        left_out = "the variable of its key is empty in the environment of this process"
        found += [
            Shown(kind, each.name, each, broken=left_out)
            for each in loaded.left_out
            if each.name not in own
        ]
    return found


def upstream_object(shown: Shown, known_keys: Sequence[str]) -> dict[str, Any]:
    """An upstream; `known_keys` is what is shown of those that this process has from its environment."""
    settings = shown.settings
    assert isinstance(settings, UpstreamSettings)
    is_of_file = shown.row is None
    keys = list(known_keys) if shown.row is None else list(shown.row.key_hints)
    values = settings.model_dump(
        exclude={"name", "proxy", "api_key_env", "api_key_envs", *_FILE_ONLY}, mode="json"
    )
    return {
        **_entry(shown),
        **values,
        "headers": {name: "…" if is_of_file else each for name, each in settings.headers.items()},
        "api_key": keys[0] if keys else None,
        "api_keys": keys,
        "file_only": {
            "api_key_envs": list(settings.key_names),
            "proxy": _without_user(settings.proxy.get_secret_value()),
            **{name: getattr(settings, name) for name in _FILE_ONLY},
        }
        if is_of_file
        else None,
    }


_FILE_ONLY: Final = ("unix_socket", "ca_file", "cert_file", "key_file")


def group_object(shown: Shown, group_id: int) -> dict[str, Any]:
    """A group."""
    settings = shown.settings
    assert isinstance(settings, GroupSettings)
    defaults = settings.token_defaults
    return {
        **_entry(shown),
        "id": group_id,
        "description": settings.description,
        "users": settings.users,
        "models": settings.models,
        "upstreams": settings.upstreams,
        "ratio": json_number(settings.ratio),
        "limits": _limits(settings.limits),
        "max_concurrency": settings.max_concurrency,
        "token_defaults": {
            "models": defaults.models,
            "allow_ips": defaults.allow_ips,
            "deny_ips": defaults.deny_ips,
            "limits": _limits(defaults.limits),
            "max_concurrency": defaults.max_concurrency,
            "quota_usd": json_number(defaults.quota_usd),
            "expires_in_days": defaults.expires_in_days,
        },
        "subscription": {"quota_usd": json_number(settings.subscription.quota_usd)},
        "groups": settings.groups,
    }


def model_object(
    name: str, shown: Shown | None, catalog: Catalog, serving: Sequence[str]
) -> dict[str, Any]:
    """A model; without an entry of its own it is one that upstreams serve."""
    broken = None if shown is None else shown.broken
    known = catalog.models.get(name) if broken is None else None
    settings = ModelSettings(name=name) if shown is None else shown.settings
    assert isinstance(settings, ModelSettings)
    entry = {"name": name, "broken": None, "version": 0, "created_time": 0}
    if shown is None:
        entry["source"] = "upstream" if known is None or known.price is None else "book"
    else:
        entry = _entry(shown)
    return {
        **entry,
        **{field: json_number(_own(settings, field)) for field in (*_PRICES, "request_usd")},
        "tiers": [
            {
                field: json_number(value) if isinstance(value, Decimal) else value
                for field, value in tier.model_dump(exclude_unset=True).items()
            }
            for tier in settings.tiers
        ]
        or None,
        **{field: _own(settings, field) for field in _BOUNDS},
        "members": list(settings.members) or None,
        "upstreams": serving,
        "effective": None
        if broken is not None or settings.members
        else _effective(known or Model(name)),
    }


_BOUNDS: Final = (
    *("max_output_tokens", "default_output_tokens", "max_input_tokens", "max_output_field"),
    *("bytes_per_token", "image_max_tokens", "hides_output"),
)


def past_price(row: Mapping[str, Any]) -> dict[str, Any]:
    """A price that a model was given."""
    return {
        "version": row["version"],
        "created_time": int(row["created_at"].timestamp()),
        "price": row["spec"],
    }


def _entry(shown: Shown) -> dict[str, Any]:
    row = shown.row
    return {
        "name": shown.name,
        "source": shown.source,
        "broken": shown.broken,
        "version": 0 if row is None else row.version,
        "created_time": 0 if row is None else int(row.created_at.timestamp()),
    }


def _effective(model: Model) -> dict[str, Any]:
    price = model.price
    version = 0 if price is None else price.version
    source = "book" if _BOOK_FROM <= version < _API_FROM else "api" if version else None
    return {
        "price": None if price is None else _price(price),
        "tiers": [] if price is None else _tiers(price),
        "price_version": version,
        "price_source": "file" if 0 < version < _BOOK_FROM else source,
        "max_output_tokens": model.max_output_tokens,
        "default_output_tokens": model.default_output_tokens,
        "max_input_tokens": model.max_input_tokens,
        "image_max_tokens": model.image_max_tokens,
        "hides_output": model.hides_output,
    }


def published_object(provider: str, name: str, model: Model) -> dict[str, Any]:
    """What a provider publishes of a model."""
    assert model.price is not None
    return {
        "provider": provider,
        "model": name,
        "price": _price(model.price),
        "tiers": _tiers(model.price),
        "max_input_tokens": model.max_input_tokens,
    }


def _tiers(price: Price) -> list[dict[str, Any]]:
    return [
        {**_price(tier.price), "above_input_tokens": tier.above_input_tokens}
        for tier in price.tiers
    ]


def _price(price: Price) -> dict[str, Any]:
    told: dict[str, Any] = {"request_usd": usd(price.request_nusd)}
    for field in _PRICES:
        nusd: int | None = getattr(price, field.replace("_usd_per_mtok", "_nusd"))
        told[field] = None if nusd is None else usd(nusd)
    return told


def _limits(limits: Sequence[LimitSettings]) -> list[dict[str, Any]]:
    return [limit_object(limit_of(each)) for each in limits]


def _own(settings: Settings, field: str) -> Any:
    """What was said of a field; None where nothing was."""
    return getattr(settings, field) if field in settings.model_fields_set else None


def json_number(value: Decimal | None) -> orjson.Fragment | None:
    """A decimal as a JSON number, exact."""
    return None if value is None else orjson.Fragment(format(value, "f"))


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if url else ""
