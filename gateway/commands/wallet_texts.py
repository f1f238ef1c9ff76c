"""Accounts, members, subscriptions, entries and codes as texts for people (pure)."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from gateway.commands.texts import STATUS, Object, dollars, limit, when

ACCOUNTS: Final = ("ID", "Name", "Status", "Role", "Used", "Held", "Left", "Granted")
MEMBERS: Final = ("User", "Name", "Role", "Used", "Left", "Cap", "Limits")
SUBSCRIPTIONS: Final = ("Group", "State", "From", "Until", "Used", "Left", "Cap", "Limits")
ENTRIES: Final = ("ID", "When", "Kind", "Amount", "By", "Reference", "Note")
CODES: Final = ("ID", "Batch", "Code", "Amount", "State", "Expires", "Account", "Note")
NUMBERS: Final = ("ID", "User", "Batch", "Used", "Held", "Left", "Granted", "Cap", "Amount")


def account(of: Object) -> list[str]:
    """A row of `ACCOUNTS`."""
    return [
        str(of["id"]),
        of["name"],
        STATUS[of["status"]],
        of["role"] or "",
        dollars(of["used_usd"]),
        "-" if of["held_usd"] is None else dollars(of["held_usd"]),
        _amount(of["remain_usd"]),
        _amount(of["quota_usd"]),
    ]


def summary(of: Object) -> str:
    """One line that tells one account from others."""
    left = "no cap" if of["remain_usd"] is None else f"{dollars(of['remain_usd'])} left"
    return f'account {of["id"]} "{of["name"]}": {STATUS[of["status"]]}, {left}'


def member(of: Object) -> list[str]:
    """A row of `MEMBERS`."""
    return [
        str(of["user_id"]),
        of["username"],
        of["role"],
        dollars(of["used_usd"]),
        _amount(of["remain_usd"]),
        _amount(of["quota_usd"]),
        _bounds(of),
    ]


def subscription(of: Object) -> list[str]:
    """A row of `SUBSCRIPTIONS`."""
    state = "implied" if of["implied"] else "active" if of["active"] else "not active"
    return [
        of["group"],
        state,
        when(of["starts_time"] or 0, ""),
        when(of["ends_time"] or 0, ""),
        dollars(of["used_usd"]),
        _amount(of["remain_usd"]),
        _amount(of["quota_usd"]),
        _bounds(of),
    ]


def entry(of: Object) -> list[str]:
    """A row of `ENTRIES`."""
    return [
        str(of["id"]),
        when(of["time"]),
        of["kind"],
        dollars(of["amount_usd"]),
        of["actor"],
        of["reference"] or "",
        of["note"],
    ]


def code(of: Object) -> list[str]:
    """A row of `CODES`."""
    return [
        str(of["id"]),
        str(of["batch_id"]),
        of["code"],
        dollars(of["amount_usd"]),
        of["state"],
        when(of["expired_time"]),
        "" if of["account_id"] is None else str(of["account_id"]),
        of["note"],
    ]


def granted(of: Object) -> str:
    """What was booked, in a line."""
    told, amount = of["entry"], of["entry"]["amount_usd"]
    verb = "Gave" if amount > 0 else "Took back"
    return (
        f"{verb} {dollars(abs(amount))} ({told['scope']} of account {told['account_id']}); "
        f"{_amount(of['remain_usd'])} left."
    )


def _amount(usd: Decimal | None) -> str:
    return "no cap" if usd is None else dollars(usd)


def _bounds(of: Object) -> str:
    told: Iterable[str] = map(limit, of["limits"])
    at_once = of["max_concurrency"]
    return "; ".join([*told, *([f"{at_once} at once"] if at_once else [])])
