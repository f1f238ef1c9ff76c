"""Administrative edits of tokens, as values: the stored row, a new one, and a change.

What is inherited is not resolved here: None in a rule means that the group's defaults apply, an
empty value that the token has none of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Final, NamedTuple

from gateway.domain.limits import Limit
from gateway.domain.token import ENABLED, effective_status


class Unchanged(Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
"""In a change: the field stays as it is."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change, and what they reach.

    `label` is what the audit keeps: `user:1`, `cli`, `system`. `user_id` None reaches everybody's
    tokens; `any_group` may use every group there is.
    """

    label: str
    user_id: int | None = None
    any_group: bool = False
    address: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDraft:
    """A token to be made.

    `granted`: nano-dollars, None = unlimited; `group` None: the user's; `reserve`: strict, estimate or None: as
    configured; `account_id` None: the user's.
    """

    name: str
    granted: int | None
    expires_at: datetime | None = None
    group: str | None = None
    models: tuple[str, ...] | None = None
    models_enabled: bool = False
    allow_ips: tuple[str, ...] | None = None
    deny_ips: tuple[str, ...] | None = None
    limits: tuple[Limit, ...] | None = None
    max_concurrency: int | None = None
    reserve: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    status: int = ENABLED
    account_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChange:
    """What becomes of a token; fields as in `TokenDraft`, `status` is 1 or 2."""

    name: str | Unchanged = UNCHANGED
    status: int | Unchanged = UNCHANGED
    granted: int | Unchanged | None = UNCHANGED
    expires_at: datetime | Unchanged | None = UNCHANGED
    group: str | Unchanged | None = UNCHANGED
    models: tuple[str, ...] | Unchanged | None = UNCHANGED
    models_enabled: bool | Unchanged = UNCHANGED
    allow_ips: tuple[str, ...] | Unchanged | None = UNCHANGED
    deny_ips: tuple[str, ...] | Unchanged | None = UNCHANGED
    limits: tuple[Limit, ...] | Unchanged | None = UNCHANGED
    max_concurrency: int | Unchanged | None = UNCHANGED
    reserve: str | Unchanged | None = UNCHANGED
    metadata: Mapping[str, Any] | Unchanged = UNCHANGED


class TokenRow(NamedTuple):
    """A token as it is stored. Money is nano-dollars, `granted` None = unlimited.

    `group` is the token's own, None where it follows its user's, which is `user_group`. `display`
    is the mask of its newest secret, `recoverable` says whether that one is kept sealed. `overlap_until` is
    when the last of its older secrets ends that a rotation left in force, None where there is none.
    """

    id: int
    account_id: int
    user_id: int
    name: str
    status: int
    group: str | None
    user_group: str
    expires_at: datetime | None
    models: tuple[str, ...] | None
    models_enabled: bool
    allow_ips: tuple[str, ...] | None
    deny_ips: tuple[str, ...] | None
    limits: tuple[Limit, ...] | None
    max_concurrency: int | None
    reserve: str | None
    metadata: Mapping[str, Any]
    granted: int | None
    gver: int
    used: int
    version: int
    created_at: datetime
    accessed_at: datetime | None
    display: str
    recoverable: bool
    username: str
    overlap_until: datetime | None

    @property
    def effective_group(self) -> str:
        """The group whose rules apply."""
        return self.user_group if self.group is None else self.group

    def effective_status(self, now: float) -> int:
        """The state that callers see at `now`, Unix seconds."""
        expires_at = None if self.expires_at is None else self.expires_at.timestamp()
        remaining = None if self.granted is None else self.granted - self.used
        return effective_status(self.status, expires_at, remaining, now)
