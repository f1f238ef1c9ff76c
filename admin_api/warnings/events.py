"""What is told: events for webhooks, and the same in words for e-mail (pure).

An event is `{"type", "timestamp", "data"}` (https://www.standardwebhooks.com). Types are `warning.quota`,
`warning.limit`, `warning.expiry` and `warning.upstream`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from admin_api.tokens.objects import usd, usd_text
from gateway.domain.limits import Metric
from gateway.domain.marks import Reading
from gateway.domain.token import SCOPE_LETTERS
from gateway.store.warning_log import Kind
from gateway.store.windows import read_window_id

QUOTA: Final = "quota"
EXPIRY: Final = "expiry"
OUT: Final = "out"
_UPSTREAM: Final = "u"
_TYPE: Final = "warning."


@dataclass(frozen=True, slots=True)
class Told:
    """A warning in both forms."""

    event: Mapping[str, Any]
    subject: str
    text: str

    @property
    def kind(self) -> Kind:
        """The type of the event without what all have in common."""
        kind: Kind = self.event["type"].removeprefix(_TYPE)
        return kind


@dataclass(frozen=True, slots=True)
class Scope:
    """Which scope a subject is. `account_id` and `user_id` are known for all but accounts' keys: see `scope_of`."""

    kind: str
    account_id: int | None
    user_id: int | None
    token_id: int | None = None
    token_name: str = ""
    group_id: int | None = None

    @property
    def words(self) -> str:
        """How it is called in a sentence."""
        return {
            "token": f"the key “{self.token_name}” (token {self.token_id})",
            "member": f"user {self.user_id} in account {self.account_id}",
            "subscription": f"group {self.group_id} of account {self.account_id}",
            "account": f"account {self.account_id}",
        }[self.kind]

    @property
    def ids(self) -> dict[str, Any]:
        """As events name it."""
        named = {
            "token_id": self.token_id,
            "token_name": self.token_name or None,
            "account_id": self.account_id,
            "user_id": self.user_id,
            "group_id": self.group_id,
        }
        return {name: value for name, value in named.items() if value is not None}


def scope_of(subject: str) -> Scope:
    """The scope that a subject names; of a token its id alone."""
    kind, rest = SCOPE_LETTERS[subject[0]], subject[1:]
    first, _, second = rest.partition(".")
    match kind:
        case "token":
            return Scope(kind, None, None, token_id=int(first))
        case "member":
            return Scope(kind, int(first), int(second))
        case "subscription":
            return Scope(kind, int(first), None, group_id=int(second))
        case _:
            return Scope(kind, int(first), None)


def upstream_of(subject: str) -> str | None:
    """The upstream that a subject names; None where it names a scope."""
    return subject.removeprefix(_UPSTREAM) if subject.startswith(_UPSTREAM) else None


def upstream_subject(name: str) -> str:
    """The subject of an upstream."""
    return _UPSTREAM + name


def told_of(reading: Reading, mark: int, scope: Scope | None, now: datetime) -> Told:
    """The warning that a reading came past `mark`. `scope` is None for an upstream."""
    if scope is None:
        return _upstream_out(reading, now)
    if reading.rule == QUOTA:
        return _quota(reading, mark, scope, now)
    if reading.rule == EXPIRY:
        return _expiring(reading, mark, scope, now)
    return _limit(reading, mark, scope, now)


def _quota(reading: Reading, mark: int, scope: Scope, now: datetime) -> Told:
    used, granted = usd(reading.value), usd(reading.bound)
    data = {
        "scope": scope.kind,
        **scope.ids,
        "percent": mark,
        "used_usd": used,
        "granted_usd": granted,
    }
    return Told(
        _event("warning.quota", data, now),
        f"{mark} % of a quota is used: {scope.words}",
        f"{_begun(scope.words)} has used ${usd_text(reading.value)} of ${usd_text(reading.bound)}, "
        f"which is {mark} % or more. When nothing is left, calls are refused.",
    )


def _limit(reading: Reading, mark: int, scope: Scope, now: datetime) -> Told:
    name = read_window_id(reading.rule)
    money = name.metric is Metric.USD
    used = usd(reading.value) if money else reading.value
    limit = usd(reading.bound) if money else reading.bound
    data = {
        "scope": scope.kind,
        **scope.ids,
        "percent": mark,
        "metric": str(name.metric),
        "window": name.window,
        "used": used,
        "limit": limit,
    }
    amounts = f"{reading.value} of {reading.bound} {name.metric}"
    if money:
        amounts = f"${usd_text(reading.value)} of ${usd_text(reading.bound)}"
    return Told(
        _event("warning.limit", data, now),
        f"{mark} % of a limit is used: {scope.words}",
        f"{_begun(scope.words)} has used {amounts} within {name.window}, which is {mark} % or more. "
        "Beyond the limit calls are refused until the window has room.",
    )


def _expiring(reading: Reading, mark: int, scope: Scope, now: datetime) -> Told:
    at = datetime.fromtimestamp(reading.bound, UTC)
    data = {**scope.ids, "days": mark, "expires_at": reading.bound}
    days = "a day" if mark == 1 else f"{mark} days"
    return Told(
        _event("warning.expiry", data, now),
        f"A key expires within {days}: {scope.words}",
        f"{_begun(scope.words)} expires at {at:%Y-%m-%d %H:%M} UTC. Move its expiry, or make another key in time.",
    )


def _upstream_out(reading: Reading, now: datetime) -> Told:
    name = upstream_of(reading.subject)
    since = int(now.timestamp()) - reading.value
    return Told(
        _event("warning.upstream", {"upstream": name, "since": since}, now),
        f"Upstream out: {name}",
        f"The upstream {name} has failed, or has declined all its keys, for {reading.value} s. "
        "Calls go to others where there are some.",
    )


def _event(kind: str, data: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return {"type": kind, "timestamp": now.isoformat(timespec="seconds"), "data": dict(data)}


def _begun(words: str) -> str:
    return words[0].upper() + words[1:]
