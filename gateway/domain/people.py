"""Users as administrators manage them: the stored row, a new one, a change, and who may make it. Pure."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from gateway.domain.edit import UNCHANGED, Unchanged
from gateway.domain.rejection import Problem, Rejected, rejected
from gateway.domain.roles import ROLES, Permission, may_manage
from gateway.domain.rules import Rule
from gateway.domain.token import ENABLED


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDraft:
    """A user to be made.

    Without `account_id` they get an account of their own with `granted` nano-dollars (None = uncapped); with it they
    become its member.
    """

    username: str
    display_name: str = ""
    email: str | None = None
    role: str = "user"
    group: str = "default"
    account_id: int | None = None
    granted: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class UserChange:
    """What becomes of a user; `status` is 1 or 2, `email` None takes it away."""

    display_name: str | Unchanged = UNCHANGED
    email: str | Unchanged | None = UNCHANGED
    group: str | Unchanged = UNCHANGED
    role: str | Unchanged = UNCHANGED
    status: int | Unchanged = UNCHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow:
    """A user as they are stored, with the money of their account: nano-dollars, `granted` None = uncapped."""

    id: int
    username: str
    display_name: str
    email: str | None
    email_verified_at: datetime | None
    role: str
    status: int
    group: str
    account_id: int
    password_once: bool
    version: int
    created_at: datetime
    granted: int | None
    used: int

    @property
    def rules(self) -> bool:
        """Whether they are an owner who can act."""
        return self.role == "owner" and self.status == ENABLED

    def after(self, change: UserChange) -> dict[str, Any]:
        """Every changeable field as it will be."""
        wanted = {each.name: getattr(change, each.name) for each in fields(change)}
        return {
            name: getattr(self, name) if value is UNCHANGED else value
            for name, value in wanted.items()
        }


def reaches(role: str | None, other: str) -> bool:
    """Whether somebody of `role` edits users of the role `other`; None is somebody who is gone."""
    return role is not None and Permission.USER_WRITE in ROLES[role] and may_manage(role, other)


def check_role(role: str | None, given: str) -> None:
    """Raises `Rejected` unless somebody of `role` may give the role `given`."""
    if not reaches(role, given):
        raise rejected(Problem.ROLE_NOT_ALLOWED, "role", Rule.ROLE_NOT_YOURS, given=given)


def last_owner() -> Rejected:
    """What the last enabled owner is told, or who would end them."""
    return rejected(Problem.LAST_OWNER, None, Rule.LAST_OWNER)
