"""Who may do what: permissions, the roles that give them, and who stands above whom. Pure.

A role is a user's in the whole installation; what somebody may do within a wallet is their role as its member.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Permission(StrEnum):
    """What a route asks for; each access token may be confined to some (`scopes`)."""

    PUBLIC = "public"
    SELF = "self"
    """One's own profile, password, sessions and access tokens."""
    TOKEN_READ = "token.read"  # noqa: S105 -- a permission
    TOKEN_WRITE = "token.write"  # noqa: S105 -- a permission
    TOKEN_REVEAL = "token.reveal"  # noqa: S105 -- a permission
    TOKEN_READ_ANY = "token.read_any"  # noqa: S105 -- a permission
    TOKEN_WRITE_ANY = "token.write_any"  # noqa: S105 -- a permission
    ACCOUNT_READ = "account.read"
    """The wallets that one is a member of."""
    ACCOUNT_WRITE = "account.write"
    """Likewise, as far as one's role in the wallet goes; and redeeming codes."""
    ACCOUNT_READ_ANY = "account.read_any"
    ACCOUNT_WRITE_ANY = "account.write_any"
    """Every wallet, and the money on it: grants, top-ups, codes."""
    USER_READ = "user.read"
    USER_WRITE = "user.write"
    CATALOG_READ = "catalog.read"
    """Models and groups as callers see them."""
    CATALOG_READ_ANY = "catalog.read_any"
    """Upstreams, models, prices and groups as they are set up."""
    CATALOG_WRITE = "catalog.write"
    AUDIT_READ = "audit.read"


_VIEWER: Final = frozenset(
    {
        Permission.SELF,
        Permission.TOKEN_READ,
        Permission.TOKEN_READ_ANY,
        Permission.ACCOUNT_READ,
        Permission.ACCOUNT_READ_ANY,
        Permission.USER_READ,
        Permission.CATALOG_READ,
        Permission.CATALOG_READ_ANY,
        Permission.AUDIT_READ,
    }
)
_USER: Final = frozenset(
    {
        Permission.SELF,
        Permission.TOKEN_READ,
        Permission.TOKEN_WRITE,
        Permission.TOKEN_REVEAL,
        Permission.ACCOUNT_READ,
        Permission.ACCOUNT_WRITE,
        Permission.CATALOG_READ,
    }
)
_EVERYTHING: Final = frozenset(Permission)

ROLES: Final[Mapping[str, frozenset[Permission]]] = {
    "owner": _EVERYTHING,
    "admin": _EVERYTHING,
    "operator": _VIEWER | _USER | {Permission.CATALOG_WRITE},
    "viewer": _VIEWER,
    "user": _USER,
}
"""What each role may do. Owners differ from admins in rank alone."""

MEMBER_ROLES: Final = ("owner", "admin", "member")
"""What a user may be in one account: owners manage everybody, admins the plain members, members nobody."""

_RANKS: Final = {"owner": 3, "admin": 2, "operator": 1, "viewer": 0, "user": 0}


def may_manage(role: str, other: str) -> bool:
    """Whether somebody of `role` may edit a user of the role `other`, or give it to one.

    Nobody manages their own rank or a higher one; but owners, above whom nobody stands, manage each other.
    """
    return role == "owner" or _RANKS[role] > _RANKS[other]


def may_manage_member(role: str | None, other: str) -> bool:
    """Whether somebody of `role` in an account may edit a member of the role `other` there, or give it to one.

    None is who reaches every account. As above, owners manage each other.
    """
    return role in {None, "owner"} or (role == "admin" and other == "member")
