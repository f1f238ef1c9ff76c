"""Accounts as wallets, as values: their rows, what is to change of them, and what becomes of a grant. Pure.

Money is nano-dollars; `granted` None = uncapped.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from gateway.domain.edit import UNCHANGED, Unchanged
from gateway.domain.limits import MAX_EXACT, Limit
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule


@dataclass(frozen=True, slots=True)
class Regrant:
    """What a caller wants of a grant, by the field that asks for it.

    `to` is the whole grant (None uncaps), `add` is added to it (negative takes back), `remain` is what is to be left.
    """

    field: str
    how: Literal["to", "add", "remain"]
    amount: int | None

    def of(self, granted: int | None, used: int) -> int | None:
        """The new grant. Called while the account is locked, so `used` stands still. Raises `Rejected`."""
        if self.amount is None:
            return None
        if self.how == "add" and granted is None:
            raise invalid(self.field, Rule.NO_CAP)
        base = {"to": 0, "add": granted or 0, "remain": used}[self.how]
        new = base + self.amount
        if not 0 <= new < MAX_EXACT:
            raise invalid(self.field, Rule.GRANT_BEYOND_BOUNDS, given=new)
        return new


def regranted(wish: Regrant | None, granted: int | None, used: int) -> int | None:
    """The grant after a change that may ask for none."""
    return granted if wish is None else wish.of(granted, used)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """An account. `role` is what the caller is in it; None where they reach it as an administrator.

    `owner` is the username of its first owner, `members` how many there are; None for plain members.
    """

    id: int
    name: str
    status: int
    granted: int | None
    gver: int
    used: int
    version: int
    created_at: datetime
    role: str | None = None
    owner: str | None = None
    members: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChange:
    """What becomes of an account; `status` is 1 or 2."""

    name: str | Unchanged = UNCHANGED
    status: int | Unchanged = UNCHANGED
    regrant: Regrant | None = None

    @property
    def by_administrators(self) -> bool:
        """Whether it changes what no member may."""
        return self.status is not UNCHANGED or self.regrant is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A user in an account."""

    account_id: int
    user_id: int
    username: str
    display_name: str
    role: str
    limits: tuple[Limit, ...]
    max_concurrency: int | None
    granted: int | None
    gver: int
    used: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberChange:
    """What becomes of a member."""

    role: str | Unchanged = UNCHANGED
    limits: tuple[Limit, ...] | Unchanged = UNCHANGED
    max_concurrency: int | Unchanged | None = UNCHANGED
    regrant: Regrant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRow:
    """An account in a group. `implied`: it came with a token and opens the group to nobody."""

    account_id: int
    group_id: int
    group: str
    implied: bool
    starts_at: datetime | None
    ends_at: datetime | None
    limits: tuple[Limit, ...]
    max_concurrency: int | None
    granted: int | None
    gver: int
    used: int
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChange:
    """What becomes of a subscription."""

    starts_at: datetime | Unchanged | None = UNCHANGED
    ends_at: datetime | Unchanged | None = UNCHANGED
    limits: tuple[Limit, ...] | Unchanged = UNCHANGED
    max_concurrency: int | Unchanged | None = UNCHANGED
    regrant: Regrant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A change of a grant. `scope` is the kind's letter, `scope_id` what it is of within the account."""

    id: int
    scope: str
    account_id: int
    scope_id: int
    delta: int
    kind: str
    actor: str
    actor_name: str | None
    note: str
    reference: str | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBatch:
    """Codes to be made: how many, of how much each."""

    count: int
    amount: int
    note: str = ""
    prefix: str = ""
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRow:
    """A code as lists show it: never whole. `state` is unused, used, expired or revoked."""

    id: int
    batch_id: int
    display: str
    amount: int
    note: str
    state: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    used_by: int | None
    used_by_name: str | None
    account_id: int | None
    actor: str = field(repr=False, default="")
