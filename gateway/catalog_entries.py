"""The entries of the catalog: those of the configuration file and those that the admin API made, as one. Pure.

What the API made and cannot be had is left out, and named with its reason: no row may take a worker down. Whether an
edit may be made at all is `gateway/catalog_rules.py`'s.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from gateway.catalog_settings import GroupSettings, ModelSettings, UpstreamSettings
from gateway.config import PROVIDER_NAMES, Loaded
from gateway.domain.network import Blocks

DEFAULT_GROUP: Final = "default"
"""The group that exists in any case."""

Kind = Literal["upstream", "model", "group"]
Settings = UpstreamSettings | ModelSettings | GroupSettings

_SettingsT = TypeVar("_SettingsT", bound=BaseModel)


class Row(NamedTuple):
    """An entry as the database has it. Of upstreams: what its keys are sealed in, and what is shown of them."""

    kind: Kind
    name: str
    spec: Mapping[str, Any]
    version: int
    created_at: datetime
    sealed_keys: bytes | None = None
    key_hints: Sequence[str] = ()
    price_version: int | None = None


class KeysUnreadable(Exception):
    """Why the keys of an upstream do not open."""


OpenKeys = Callable[[Row], tuple[str, ...]]
"""Opens the keys of an upstream. Raises `KeysUnreadable`."""


@dataclass(frozen=True, slots=True)
class Entries:
    """What a catalog is made of.

    `made` are those of the API, `broken` those of them that were left out, and why. `upstream_cidrs`: what those of
    the API may allow themselves.
    """

    groups: Mapping[str, GroupSettings]
    models: Mapping[str, ModelSettings]
    upstreams: Mapping[str, UpstreamSettings]
    api_keys: Mapping[str, tuple[str, ...]] = field(repr=False)
    price_versions: Mapping[str, int] = field(default_factory=dict)
    made: frozenset[tuple[Kind, str]] = frozenset()
    broken: Mapping[tuple[Kind, str], str] = field(default_factory=dict)
    upstream_cidrs: tuple[str, ...] = ()


def no_keys(_: Row) -> tuple[str, ...]:
    """For a process that calls no upstream."""
    return ()


def file_names(loaded: Loaded, kind: Kind) -> frozenset[str]:
    """The names that the configuration file has taken, those of left-out upstreams too."""
    config = loaded.config
    if kind == "upstream":
        return frozenset(each.name for each in (*config.upstreams, *loaded.left_out))
    if kind == "model":
        return frozenset(each.name for each in config.models)
    return frozenset({DEFAULT_GROUP, *config.groups})


def taken_names(loaded: Loaded, kind: Kind) -> frozenset[str]:
    """The names that nothing of the API may have: those of the file, and those that an environment may bring."""
    return file_names(loaded, kind) | (PROVIDER_NAMES if kind == "upstream" else frozenset())


def entries_of(loaded: Loaded, rows: Sequence[Row] = (), open_keys: OpenKeys = no_keys) -> Entries:
    """The file's entries with those of the rows."""
    made = _Made(loaded, rows, open_keys)
    config = loaded.config
    groups = {DEFAULT_GROUP: GroupSettings(), **config.groups}
    models = {each.name: each for each in config.models}
    return Entries(
        groups={**groups, **made.groups(groups)},
        models={**models, **made.models(models)},
        upstreams={**{each.name: each for each in config.upstreams}, **made.upstreams()},
        api_keys={**loaded.upstream_keys, **made.api_keys},
        price_versions=made.price_versions,
        made=frozenset((row.kind, row.name) for row in rows) - made.broken.keys(),
        broken=made.broken,
        upstream_cidrs=config.admin.upstream_cidrs,
    )


def beyond(allow_cidrs: Sequence[str], upstream_cidrs: Sequence[str]) -> str | None:
    """The first block that an upstream of the API may not allow itself; None: it may allow all."""
    bound = Blocks.of(upstream_cidrs)
    return next((each for each in allow_cidrs if not bound.covers(each)), None)


def settings_of(kind: Kind, name: str, spec: Mapping[str, Any]) -> Settings:
    """The settings that a row's spec says. Raises pydantic's `ValidationError`."""
    if kind == "upstream":
        return UpstreamSettings.model_validate({**spec, "name": name})
    if kind == "model":
        return ModelSettings.model_validate({**spec, "name": name})
    return GroupSettings.model_validate(spec)


def spec_of(settings: Settings) -> dict[str, Any]:
    """What a row keeps of settings: what was said, in the file's words; dollars as texts, so that they stay exact."""
    return settings.model_dump(mode="json", exclude_unset=True, exclude={"name", "proxy"})


def told(error: ValidationError) -> str:
    """The first problem of a validation, in words."""
    detail = error.errors()[0]
    place = ".".join(str(part) for part in detail["loc"])
    rule = detail["msg"].removeprefix("Value error, ")
    return f"{place}: {rule}" if place else rule


class _Made:
    """The entries of rows, one kind after the other. What cannot be had is noted in `broken`."""

    def __init__(self, loaded: Loaded, rows: Sequence[Row], open_keys: OpenKeys) -> None:
        self._loaded = loaded
        self._rows = rows
        self._open_keys = open_keys
        self.api_keys: dict[str, tuple[str, ...]] = {}
        self.price_versions: dict[str, int] = {}
        self.broken: dict[tuple[Kind, str], str] = {}

    def upstreams(self) -> dict[str, UpstreamSettings]:
        found = self._valid("upstream", UpstreamSettings)
        for row in self._rows:
            if row.kind == "upstream" and row.name in found:
                bound = self._loaded.config.admin.upstream_cidrs
                if strange := beyond(found[row.name].allow_cidrs, bound):
                    self.broken["upstream", row.name] = (
                        f"allow_cidrs: {strange} is not within admin.upstream_cidrs"
                    )
                    del found[row.name]
                    continue
                try:
                    self.api_keys[row.name] = self._open_keys(row)
                except KeysUnreadable as reason:
                    self.broken["upstream", row.name] = str(reason)
                    del found[row.name]
        return found

    def models(self, others: Mapping[str, ModelSettings]) -> dict[str, ModelSettings]:
        found = self._valid("model", ModelSettings)
        known = {**others, **found}
        for name, settings in list(found.items()):
            if nested := [
                each for each in settings.members if each in known and known[each].members
            ]:
                self.broken["model", name] = f"stands for {nested[0]}, a group itself"
                del found[name]
        self.price_versions = {
            row.name: row.price_version
            for row in self._rows
            if row.kind == "model" and row.name in found and row.price_version is not None
        }
        return found

    def groups(self, others: Mapping[str, GroupSettings]) -> dict[str, GroupSettings]:
        found = self._valid("group", GroupSettings)
        plain = {name for name, each in {**others, **found}.items() if not each.groups}
        for name, settings in list(found.items()):
            if strange := [each for each in settings.groups if each not in plain]:
                self.broken["group", name] = (
                    f"groups: {strange[0]} is no group, or stands for others itself"
                )
                del found[name]
        return found

    def _valid(self, kind: Kind, type_: type[_SettingsT]) -> dict[str, _SettingsT]:
        found: dict[str, _SettingsT] = {}
        taken = taken_names(self._loaded, kind)
        for row in self._rows:
            if row.kind != kind:
                continue
            if row.name in taken:
                self.broken[kind, row.name] = "the configuration file has this name, too"
                continue
            try:
                settings = settings_of(kind, row.name, row.spec)
            except ValidationError as error:
                self.broken[kind, row.name] = told(error)
                continue
            assert isinstance(settings, type_)
            found[row.name] = settings
        return found
