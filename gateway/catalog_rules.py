"""Which edits of the catalog's entries may be made: nothing may name what is not there, or lose what it names. Pure."""

from collections.abc import Iterator

from gateway.catalog_entries import Entries, Kind, Settings, beyond
from gateway.catalog_settings import GroupSettings, ModelSettings, UpstreamSettings
from gateway.domain.rejection import Problem, Rejected, invalid, rejected
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


def users_of(entries: Entries, kind: Kind, name: str) -> list[str]:
    """The entries that name this one, in words."""
    return sorted(_users_of(entries, kind, name))


def in_use(name: str, users: list[str]) -> Rejected:
    """What is told of an entry that cannot be deleted."""
    more = [f"and {len(users) - _MOST_TOLD} more"] if len(users) > _MOST_TOLD else []
    return rejected(
        Problem.IN_USE, "name", Rule.ENTRY_IN_USE, given=name, users=users[:_MOST_TOLD] + more
    )


def _users_of(entries: Entries, kind: Kind, name: str) -> Iterator[str]:
    for other, group in entries.groups.items():
        if kind == "upstream" and name in group.upstreams:
            yield f"the group {other!r} names it in upstreams"
        if kind == "group" and name in group.groups:
            yield f"the group {other!r} stands for it"
        if kind == "model" and name in (*group.models, *(group.token_defaults.models or ())):
            yield f"the group {other!r} names it in models"
    for other, model in entries.models.items():
        if kind == "model" and name in model.members:
            yield f"the model {other!r} stands for it"


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
    users = users_of(entries, "model", name) if settings.members else []
    if nested := [each for each in users if "stands for it" in each]:
        raise invalid("members", Rule.IS_STOOD_FOR, user=nested[0])


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
    if settings.groups and (users := users_of(entries, "group", name)):
        raise invalid("groups", Rule.IS_STOOD_FOR, user=users[0])
