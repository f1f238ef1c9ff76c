"""What is in `data` of the answers about accounts, members, subscriptions, grants and codes."""

from typing import Literal

from admin_api.answers import Answer, Limit, Page, ScopeMoney, Seconds

Role = Literal["owner", "admin", "member"]


class Wallet(Answer):
    """Money, in dollars."""

    quota_usd: float | None
    """What is granted; null is no cap."""
    used_usd: float
    remain_usd: float | None
    """Granted and not used; below 0 where the grant was lowered; null is no cap."""
    held_usd: float | None
    """What running calls hold, of what is left; null while the quota store cannot be asked."""


class Account(Wallet):
    """An account."""

    id: int
    name: str
    status: Literal[1, 2]
    """1 enabled, 2 disabled."""
    role: Role | None
    """Yours in it; null where you see it as an administrator."""
    owner: str | None
    """The name of its first owner; null where there is none, and for plain members."""
    member_total: int | None
    """How many members it has; null for plain members."""
    created_time: Seconds
    version: int
    """Goes up with every change; for `If-Match`."""


class Member(Wallet):
    """A user in an account, and the cap that they have there."""

    account_id: int
    user_id: int
    username: str
    display_name: str
    role: Role
    limits: list[Limit]
    max_concurrency: int | None
    version: int
    """Goes up with every change; for `If-Match`."""


class Subscription(Wallet):
    """An account in a group."""

    account_id: int
    group: str
    implied: bool
    """It only came with a token, and opens the group to nobody."""
    active: bool
    """Whether it is in force now."""
    starts_time: int | None
    """Unix seconds; null: it has begun."""
    ends_time: int | None
    """Unix seconds; null: it has no end."""
    limits: list[Limit]
    """Beside those of the group."""
    max_concurrency: int | None
    version: int
    """Goes up with every change; for `If-Match`."""


class AccountDetails(Account):
    """An account with its members and groups."""

    quota: ScopeMoney
    members: list[Member]
    """The first 100, owners first; plain members see themselves alone."""
    subscriptions: list[Subscription]


class AccountPage(Page):
    """A page of accounts."""

    items: list[Account]


class MemberPage(Page):
    """A page of members."""

    items: list[Member]


class Entry(Answer):
    """A change of a grant."""

    id: int
    time: Seconds
    account_id: int
    scope: Literal["account", "member", "subscription", "token"]
    user_id: int | None
    group: str | None
    token_id: int | None
    amount_usd: float
    """Below 0 where it was taken back."""
    amount_nusd: int
    kind: str
    """create, edit, cap, uncap, grant, top_up, redeem or refund."""
    actor: str
    """Who did it: `user:1`, `cli`, `system`."""
    actor_name: str | None
    """The user's name, if it was one."""
    reference: str | None
    """The payment's."""
    note: str


class Granted(Answer):
    """What was booked, and the money as it is now."""

    entry: Entry
    quota_usd: float | None
    used_usd: float
    remain_usd: float | None


class History(Answer):
    """Changes of a grant, the newest first."""

    items: list[Entry]
    next_cursor: str | None
    """For the next part; null at the end."""


class Codes(Answer):
    """New codes, whole, this once."""

    batch_id: int
    amount_usd: float
    """Of each."""
    amount_nusd: int
    expired_time: int
    """Unix seconds; -1 is never."""
    codes: list[str]


class Code(Answer):
    """A code. It is not shown whole."""

    id: int
    batch_id: int
    code: str
    """Its beginning."""
    amount_usd: float
    state: Literal["unused", "used", "expired", "revoked"]
    note: str
    created_time: Seconds
    expired_time: int
    """Unix seconds; -1 is never."""
    used_time: Seconds
    """Unix seconds; 0 is never."""
    used_by: int | None
    """The user who redeemed it."""
    used_by_name: str | None
    """Their name."""
    account_id: int | None
    """The account that it was added to."""
    actor: str
    """Who made it."""


class CodePage(Page):
    """A page of codes."""

    items: list[Code]
