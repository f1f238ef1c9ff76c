"""From a body to an entry as it is to be (pure, but for the seal)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import TypeAdapter, ValidationError

from admin_api import fields
from admin_api.bodies import Body, LimitBody
from admin_api.catalog.bodies import (
    CreateUpstreamBody,
    GroupFields,
    ModelFields,
    TokenDefaultsBody,
    UpdateUpstreamBody,
    UpstreamFields,
)
from gateway.catalog_entries import Kind, Row, Settings, settings_of, told
from gateway.catalog_settings import GroupSettings, ModelSettings, UpstreamSettings
from gateway.domain.rejection import BrokenRule, Problem, Rejected, invalid
from gateway.domain.rules import Rule
from gateway.store.catalog_edits import Draft
from gateway.store.seal import Seal
from gateway.store.upstream_keys import hint_of, seal_keys

_KEYS: Final = frozenset({"api_key", "api_keys"})
_UPSTREAM: Final = frozenset({*UpstreamFields.model_fields, "base_url"} - _KEYS)
_PORTS: Final = {"http": 80, "https": 443}

_SettingsT = TypeVar("_SettingsT", UpstreamSettings, ModelSettings, GroupSettings)


def upstream_draft(
    name: str, body: CreateUpstreamBody | UpdateUpstreamBody, row: Row | None, seal: Seal
) -> Draft:
    """An upstream as the body makes it of the row. Raises `Rejected`."""
    said = _said(body, _UPSTREAM)
    if said.get("base_url") is None:
        said.pop("base_url", None)  # it has no default to go back to
    if "allow_cidrs" in said:
        said["allow_cidrs"] = fields.parse_ips("allow_cidrs", body.allow_cidrs)
    settings = _settings(UpstreamSettings, "upstream", name, said, row)
    keys = _keys(body, () if row is None else row.key_hints)
    if keys is None:
        if (
            row is not None
            and row.key_hints
            and _host(row.spec.get("base_url", "")) != _host(settings.base_url)
        ):
            raise invalid("api_key", Rule.KEY_NEEDED_AGAIN)
        return Draft(settings)
    return Draft(settings, (seal_keys(seal, name, keys), [hint_of(key) for key in keys]))


def model_draft(name: str, body: ModelFields, row: Row | None) -> Draft:
    """A model likewise. Raises `Rejected`."""
    said = _said(body, frozenset(ModelFields.model_fields))
    if body.tiers is not None:
        said["tiers"] = [tier.model_dump(exclude_none=True) for tier in body.tiers]
    return Draft(_settings(ModelSettings, "model", name, said, row))


def group_draft(name: str, body: GroupFields, row: Row | None) -> Draft:
    """A group likewise. Raises `Rejected`."""
    said = _said(body, frozenset(GroupFields.model_fields))
    if body.limits is not None:
        said["limits"] = _limits("limits", body.limits)
    if body.token_defaults is not None:
        said["token_defaults"] = _token_defaults(body.token_defaults)
    if body.subscription is not None:
        said["subscription"] = body.subscription.model_dump(exclude_none=True)
    return Draft(_settings(GroupSettings, "group", name, said, row))


def _said(body: Body, names: frozenset[str]) -> dict[str, Any]:
    """The fields that the body has; None for those that go back to their default."""
    given = body.model_dump(include=set(body.model_fields_set & names))
    return dict(given)


def _settings(
    type_: type[_SettingsT], kind: Kind, name: str, said: Mapping[str, Any], row: Row | None
) -> _SettingsT:
    spec = {} if row is None else {**row.spec}
    spec |= said if row is None else _news(type_, said, row)
    try:
        settings: Settings = settings_of(
            kind, name, {field: value for field, value in spec.items() if value is not None}
        )
    except ValidationError as error:
        raise _told_of(error, type_, kind) from None
    assert isinstance(settings, type_)
    return settings


def _told_of(error: ValidationError, type_: type[Settings], kind: Kind) -> Rejected:
    """What the settings themselves do not take, as a mistake of the field; of several together, of the entry."""
    detail = error.errors()[0]
    if isinstance(broken := detail.get("ctx", {}).get("error"), BrokenRule):
        place = ".".join(str(part) for part in detail["loc"])
        return Rejected(Problem.INVALID_FIELD, broken.at(place or kind))
    field, _, rule = told(error).partition(": ")
    if field.split(".")[0] in type_.model_fields:
        return invalid(field, Rule.NO_SETTING, why=[rule])
    return invalid(kind, Rule.NO_SETTING, why=[told(error)])


def _news(type_: type[Settings], said: Mapping[str, Any], row: Row) -> Mapping[str, Any]:
    """What is said without being so already: GET's object, sent back, says all defaults and means none."""
    try:
        now = settings_of(row.kind, row.name, row.spec)
    except ValidationError:
        return said
    return {
        name: value
        for name, value in said.items()
        if name in row.spec or not _is(type_, name, value, getattr(now, name))
    }


def _is(type_: type[Settings], name: str, value: Any, now: Any) -> bool:
    """Whether a field's value is what it is now, in whatever form it is sent."""
    try:
        return bool(_reader_of(type_, name).validate_python(value) == now)
    except ValidationError:
        return False


@lru_cache
def _reader_of(type_: type[Settings], name: str) -> TypeAdapter[Any]:
    return TypeAdapter(type_.model_fields[name].rebuild_annotation())


def _keys(
    body: CreateUpstreamBody | UpdateUpstreamBody, hints: Sequence[str]
) -> tuple[str, ...] | None:
    """The keys that the body sets; None where it leaves them, or sends back what is shown of them."""
    one = None if body.api_key == next(iter(hints), None) else body.api_key
    several = None if body.api_keys == list(hints) else body.api_keys
    if one is not None and several:
        raise invalid("api_key", Rule.EXCLUDES, other="api_keys")
    keys = (one,) if one is not None else None if several is None else tuple(several)
    if any(key.startswith("…") for key in keys or ()):
        raise invalid("api_key", Rule.KEY_AS_SHOWN)
    if len(set(keys or ())) < len(keys or ()):
        raise invalid("api_keys", Rule.KEY_TWICE)
    return keys


def _host(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _token_defaults(body: TokenDefaultsBody) -> dict[str, Any]:
    said = body.model_dump(exclude_none=True)
    for name in ("allow_ips", "deny_ips"):
        if name in said:
            said[name] = fields.parse_ips(f"token_defaults.{name}", said[name]) or ()
    if body.limits is not None:
        said["limits"] = _limits("token_defaults.limits", body.limits)
    return said


def _limits(field: str, limits: Sequence[LimitBody]) -> list[dict[str, Any]]:
    try:
        fields.parse_limits(
            limits
        )  # two that would share a counter, and sums that no counter holds
    except Rejected as found:
        raise Rejected(
            found.problem,
            *(
                replace(each, field=field + (each.field or "").removeprefix("limits"))
                for each in found.mistakes
            ),
        ) from None
    return [limit.model_dump(exclude={"bound"}, exclude_none=True) for limit in limits]
