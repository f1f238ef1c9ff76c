"""What the admin API answers, as texts for people (pure)."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import orjson

STATUS: Final = {1: "enabled", 2: "disabled", 3: "expired", 4: "exhausted"}
_NUSD_PER_USD: Final = 10**9
_SCOPES: Final = ("token", "member", "subscription", "account")
_SCOPE_FIGURES: Final = (
    *("granted_nusd", "used_nusd", "pending_nusd"),
    *("held_nusd", "available_nusd"),
)

_AMOUNTS: Final = ("quota", "usd", "amount_nusd")

Object = Mapping[str, Any]


def dollars(amount: Decimal) -> str:
    """Dollars, exact, with two decimals at least."""
    text = format(abs(amount), ",f")
    whole, _, decimals = text.partition(".")
    return f"{'-' if amount < 0 else ''}${whole}.{decimals.rstrip('0'):0<2}"


def nusd(amount: int | None, otherwise: str = "-") -> str:
    """Nano-dollars as dollars."""
    return otherwise if amount is None else dollars(Decimal(amount) / _NUSD_PER_USD)


def when(seconds: float | Decimal, otherwise: str = "never") -> str:
    """Unix seconds as a time of this place."""
    if seconds <= 0:
        return otherwise
    return datetime.fromtimestamp(float(seconds)).astimezone().strftime("%Y-%m-%d %H:%M")


def used(token: Object, per_usd: int) -> str:
    """What the token has used."""
    return dollars(Decimal(token["used_quota"]) / per_usd)


def left(token: Object, per_usd: int) -> str:
    """What the token can still use."""
    if token["unlimited_quota"]:
        return "unlimited"
    return dollars(Decimal(token["remain_quota"]) / per_usd)


def status(token: Object) -> str:
    """The token's state in a word."""
    return STATUS.get(token["status"], str(token["status"]))


def limit(of: Object) -> str:
    """A limit in words."""
    text = f"{_amount(of, of['limit'])} per {of['window']}"
    if of.get("burst") is not None:
        text += f", {_amount(of, of['burst'])} at once"
    if of.get("mode") == "calendar":
        text += f", by the calendar ({of.get('time_zone', 'UTC')})"
    if of.get("models"):
        text += f", of {', '.join(of['models'])}"
    return text + (", only in the shadow" if of.get("shadow") else "")


def summary(token: Object, per_usd: int) -> str:
    """One line that tells one token from others."""
    quota = "unlimited" if token["unlimited_quota"] else f"{left(token, per_usd)} left"
    expiry = when(token["expired_time"], "")
    return (
        f'token {token["id"]} "{token["name"]}": {status(token)}, {quota}, '
        f"{f'expires {expiry}' if expiry else 'never expires'}, group {token['group']}"
    )


def details(token: Object, per_usd: int) -> list[tuple[str, str]]:
    """Everything of a token, a line each; rules as they are in force."""
    inherited = set(token["inherited"])
    effective = token["effective"]

    def rule(name: str, lines: Iterable[str], otherwise: str) -> str:
        return ("\n".join(lines) or otherwise) + (" (the group's)" if name in inherited else "")

    at_once = effective["max_concurrency"]
    return [
        ("Token", f"{token['id']}"),
        ("Name", token["name"]),
        ("Key", token["key"]),
        ("Status", status(token)),
        ("User", f"{token['user_id']} (account {token['account_id']})"),
        ("Group", token["group"] + (" (the user's)" if "group" in inherited else "")),
        ("Quota", _quota(token, per_usd)),
        ("Expires", when(token["expired_time"])),
        ("Models", rule("model_limits", effective["models"] or (), "all")),
        ("Allowed from", rule("allow_ips", effective["allow_ips"] or (), "anywhere")),
        ("Denied from", rule("deny_ips", effective["deny_ips"] or (), "nowhere")),
        ("Limits", rule("limits", map(limit, effective["limits"]), "none")),
        ("Calls at once", rule("max_concurrency", [f"{at_once}"] if at_once else [], "any number")),
        ("Reserve", token["reserve"] or "as configured"),
        ("Metadata", orjson.dumps(token["metadata"], default=float).decode()),
        ("Created", when(token["created_time"])),
        ("Last used", when(token["accessed_time"])),
        ("Version", f"{token['version']}"),
    ]


def scopes(quota: Object) -> list[list[str]]:
    """The money of each scope, a row each."""
    return [
        [scope, *(nusd(quota[scope][name], _unknown(name)) for name in _SCOPE_FIGURES)]
        for scope in _SCOPES
        if scope in quota
    ]


def usage(data: Object) -> tuple[list[str], list[list[str]]]:
    """Columns and cells of a usage series: a row for each point that has calls, then the total."""
    counts = [name for name, sum_ in data["total"].items() if name not in _AMOUNTS and sum_]
    keys = [heading(data["by"])] if data["by"] else []
    zone = ZoneInfo(data["time_zone"])

    def row(start: str, key: str | None, sums: Object) -> list[str]:
        key_cells = ["others" if key is None else str(key)] if keys else []
        figures = [f"{sums[name]:,}" for name in counts]
        return [start, *key_cells, *figures, nusd(sums["amount_nusd"])]

    cells = [
        (point["start"], row(_start(point["start"], zone, data["interval"]), each["key"], point))
        for each in data["series"]
        for point in each["points"]
        if point["requests"] or point["amount_nusd"]
    ]
    shown = [row_ for _, row_ in sorted(cells, key=lambda cell: cell[0])]
    if shown:
        shown.append(row("total", "", data["total"]))
    return ["From", *keys, *map(heading, counts), "Amount"], shown


def refusals(data: Object) -> list[list[str]]:
    """A row for each reason, and what of it was no refusal; then their total."""
    remarks = {"refusals": "", "failures": "let pass, failed at an upstream", "shadow": "let pass"}
    rows = [
        [each["key"], f"{n:,}", remarks[kind]]
        for each in data["series"]
        for kind, n in each["total"].items()
        if n
    ]
    return [*rows, ["refused in all", f"{data['total']['refusals']:,}", ""]]


def decision(of: Object | str) -> str:
    """What an explanation comes to, in a line."""
    if isinstance(of, str):
        return of
    why = [str(of[name]) for name in ("reason", "message") if of.get(name)]
    return ": ".join([of["result"], *why])


def _quota(token: Object, per_usd: int) -> str:
    granted = (
        "unlimited"
        if token["unlimited_quota"]
        else f"{dollars(token['quota_usd'] or Decimal(0))} granted, {left(token, per_usd)} left"
    )
    held = token["held_quota"]
    running = f", {dollars(Decimal(held) / per_usd)} held by running calls" if held else ""
    return f"{granted}, {used(token, per_usd)} used{running}"


def _amount(of: Object, number: int | Decimal) -> str:
    return dollars(Decimal(number)) if of["metric"] == "usd" else f"{number:,} {of['metric']}"


def _unknown(figure: str) -> str:
    return "uncapped" if figure in {"granted_nusd", "available_nusd"} else "-"


def _start(seconds: int, zone: ZoneInfo, interval: str) -> str:
    at = datetime.fromtimestamp(seconds, zone)
    return at.strftime("%Y-%m-%d" if interval == "day" else "%Y-%m-%d %H:%M")


def heading(name: str) -> str:
    """A member's name as a heading."""
    return name.replace("_", " ").capitalize()
