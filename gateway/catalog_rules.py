"""Which edits of the catalog's entries may be made: nothing may name what is not there, or lose what it names. Pure."""

from collections.abc import Iterator

from gateway.catalog_entries import DEFAULT_GROUP, Entries, Kind, Settings
from gateway.catalog_settings import GroupSettings, ModelSettings
from gateway.domain.rejection import Problem, Rejected, invalid


def require_own(kind: Kind, name: str, taken: frozenset[str]) -> None:
    """Refuse to edit what the configuration file has. Raises `Rejected`."""
    if name in taken:
        remedy = (
            "a [groups.default] in the file says more of it"
            if (kind, name) == ("group", DEFAULT_GROUP)
            else "edit it there and start again, or take it out and make it here"
        )
        raise Rejected(
            Problem.READ_ONLY,
            f"name: the {kind} {name!r} is in the configuration file and cannot be changed here; {remedy}.",
            "name",
        )


def check(entries: Entries, name: str, settings: Settings) -> None:
    """Refuse an entry that names what there is not, or what it may not name. Raises `Rejected`."""
    if isinstance(settings, ModelSettings):
        _check_members(entries, name, settings)
    elif isinstance(settings, GroupSettings):
        _check_upstreams(entries, settings)
        _check_groups(entries, name, settings)


def users_of(entries: Entries, kind: Kind, name: str) -> list[str]:
    """The entries that name this one, in words."""
    return sorted(_users_of(entries, kind, name))


def in_use(kind: Kind, name: str, users: list[str]) -> Rejected:
    """What is told of an entry that cannot be deleted."""
    shown = ", ".join(users[:5]) + (f" and {len(users) - 5} more" if len(users) > 5 else "")  # noqa: PLR2004
    return Rejected(
        Problem.IN_USE,
        f"name: the {kind} {name!r} is in use: {shown}. Change or delete these first.",
        "name",
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


def _check_members(entries: Entries, name: str, settings: ModelSettings) -> None:
    if name in settings.members:
        raise invalid("members", f"{name!r} cannot stand for itself.")
    for each in settings.members:
        if each in entries.models and entries.models[each].members:
            raise invalid("members", f"{each!r} stands for others itself; name those.")
    users = users_of(entries, "model", name) if settings.members else []
    if nested := [each for each in users if "stands for it" in each]:
        raise invalid("members", f"{nested[0]}, so it cannot stand for others itself.")


def _check_upstreams(entries: Entries, settings: GroupSettings) -> None:
    known = {*entries.upstreams, *(name for kind, name in entries.broken if kind == "upstream")}
    if unknown := sorted({*settings.upstreams} - known - {"*"}):
        raise invalid(
            "upstreams",
            f"no upstream is named {unknown[0]!r}; there are {', '.join(sorted(known)) or 'none'}.",
        )


def _check_groups(entries: Entries, name: str, settings: GroupSettings) -> None:
    for each in settings.groups:
        other = entries.groups.get(each)
        if other is None or other.groups or each == name:
            raise invalid("groups", f"{each!r} is no group, or stands for others itself.")
    if settings.groups and (users := users_of(entries, "group", name)):
        raise invalid("groups", f"{users[0]}, so it cannot stand for others itself.")
