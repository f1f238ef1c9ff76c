"""Which edits of the catalog's entries may be made: nothing may name what is not there, or lose what it names. Pure."""

from collections.abc import Iterator
from itertools import islice

from gateway.catalog_entries import Entries, Kind, Settings, beyond
from gateway.catalog_settings import GroupSettings, ModelSettings, UpstreamSettings
from gateway.domain.rejection import Mistake, Problem, invalid, mistake, rejected
from gateway.domain.rules import Rule

_MOST_TOLD = 5


def require_own(name: str, taken: frozenset[str]) -> None:
    """Refuse to edit what the configuration file has. Raises `Rejected`."""
    if name in taken:
        raise rejected(Problem.READ_ONLY, "name", Rule.IN_THE_FILE, given=name)


def check(entries: Entries, name: str, settings: Settings) -> None:
    """Refuse an entry that names what there is not, or what it may not name. Raises `Rejected`."""
    if isinstance(settings, UpstreamSettings):
        _check_reach(entries, settings)
    elif isinstance(settings, ModelSettings):
        _check_members(entries, name, settings)
    elif isinstance(settings, GroupSettings):
        _check_upstreams(entries, settings)
        _check_groups(entries, name, settings)


def uses_of(entries: Entries, kind: Kind, name: str) -> list[Mistake]:
    """What of the catalog keeps an entry from being deleted: the first that name it, or stand for it."""
    return list(islice(_uses_of(entries, kind, name), _MOST_TOLD))


def _uses_of(entries: Entries, kind: Kind, name: str) -> Iterator[Mistake]:
    for by in _standing_for(entries, kind, name):
        yield mistake("name", Rule.STOOD_FOR_BY, given=name, kind=kind, by=by)
    for other, group in sorted(entries.groups.items()):
        if kind == "upstream" and name in group.upstreams:
            yield mistake("name", Rule.NAMED_BY_GROUP, given=name, group=other, where="upstreams")
        if kind == "model" and name in (*group.models, *(group.token_defaults.models or ())):
            yield mistake("name", Rule.NAMED_BY_GROUP, given=name, group=other, where="models")


def _standing_for(entries: Entries, kind: Kind, name: str) -> list[str]:
    """The entries of its kind that stand for one."""
    if kind == "group":
        return sorted(other for other, group in entries.groups.items() if name in group.groups)
    if kind == "model":
        return sorted(other for other, model in entries.models.items() if name in model.members)
    return []


def _check_reach(entries: Entries, settings: UpstreamSettings) -> None:
    bound = entries.upstream_cidrs
    if strange := beyond(settings.allow_cidrs, bound):
        raise invalid(
            "allow_cidrs", Rule.BEYOND_REACH, given=strange, allowed=list(bound) or ["[]"]
        )


def _check_members(entries: Entries, name: str, settings: ModelSettings) -> None:
    if name in settings.members:
        raise invalid("members", Rule.STANDS_FOR_ITSELF, given=name)
    for each in settings.members:
        if each in entries.models and entries.models[each].members:
            raise invalid("members", Rule.STANDS_FOR_OTHERS, given=each)
    if settings.members and (nested := _standing_for(entries, "model", name)):
        raise invalid("members", Rule.IS_STOOD_FOR, by=nested[0])


def _check_upstreams(entries: Entries, settings: GroupSettings) -> None:
    known = {*entries.upstreams, *(name for kind, name in entries.broken if kind == "upstream")}
    if unknown := sorted({*settings.upstreams} - known - {"*"}):
        told = sorted(known) or ["none"]
        raise invalid("upstreams", Rule.NO_UPSTREAM, given=unknown[0], known=told)


def _check_groups(entries: Entries, name: str, settings: GroupSettings) -> None:
    for each in settings.groups:
        other = entries.groups.get(each)
        if other is None or other.groups or each == name:
            raise invalid("groups", Rule.NO_PLAIN_GROUP, given=each)
    if settings.groups and (nested := _standing_for(entries, "group", name)):
        raise invalid("groups", Rule.IS_STOOD_FOR, by=nested[0])
