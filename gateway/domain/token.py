"""The row that a key opens, as decisions need it: everything inherited is already resolved.

Scopes are always in the order token, member, subscription, account.
"""

from dataclasses import dataclass

from gateway.domain.catalog import Group
from gateway.domain.limits import Limit
from gateway.domain.network import Address, Blocks

ENABLED, DISABLED, EXPIRED, EXHAUSTED = 1, 2, 3, 4
"""Effective states, numbered as New-API's `status`. Only the first two are stored."""

SCOPES = ("token", "member", "subscription", "account")
SCOPE_LETTERS = dict(zip("tmga", SCOPES, strict=True))
"""A scope's kind by the first letter of its name in the stores."""
SHARDS = 256


@dataclass(frozen=True, slots=True)
class Token:
    """A token with its owner, group and effective rules.

    `limits` are (scope index, limit); `concurrency` has 0 where a scope has no limit; `granted` says of each
    scope whether it has a grant; `versions` are compared inside the reserve script; `estimates`: its owner is trusted,
    and its calls are held for what they may ordinarily cost. `member_live`: its user still is a member of the account.
    `group_from` and `group_until`: the time for which the account has subscribed to the group, Unix seconds.
    `console_address`: the secret is one of the console's, which calls for whoever is there.
    """

    id: int
    account_id: int
    user_id: int
    name: str
    group: Group
    status: int
    expires_at: float | None
    account_live: bool
    user_live: bool
    models: frozenset[str] | None
    allow: Blocks
    deny: Blocks
    limits: tuple[tuple[int, Limit], ...]
    concurrency: tuple[int, int, int, int]
    granted: tuple[bool, bool, bool, bool]
    versions: tuple[int, int, int, int]
    secret_expires_at: float | None = None
    estimates: bool = False
    member_live: bool = True
    group_from: float | None = None
    group_until: float | None = None
    console_address: Address | None = None

    @property
    def capped(self) -> bool:
        """Whether some scope has a grant, a limit that refuses or a concurrency limit."""
        return (
            any(self.granted)
            or any(not limit.shadow for _, limit in self.limits)
            or any(self.concurrency)
        )

    @property
    def strict(self) -> bool:
        """Whether its calls are held for the most that they can cost."""
        return self.capped and not self.estimates

    @property
    def shard(self) -> int:
        """The shard of the quota store: all scopes of one account live in one."""
        return self.account_id % SHARDS

    @property
    def scope_ids(self) -> tuple[str, str, str, str]:
        """The names of the four scopes in the quota store."""
        account = self.account_id
        return (
            f"t{self.id}",
            f"m{account}.{self.user_id}",
            f"g{account}.{self.group.id}",
            f"a{account}",
        )


def effective_status(
    status: int, expires_at: float | None, remaining_nusd: int | None, now: float
) -> int:
    """The state that callers see; `remaining_nusd` is None for an uncapped token."""
    if status == DISABLED:
        return DISABLED
    if expires_at is not None and now >= expires_at:
        return EXPIRED
    if remaining_nusd is not None and remaining_nusd <= 0:
        return EXHAUSTED
    return ENABLED
