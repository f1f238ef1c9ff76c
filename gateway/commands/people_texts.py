"""What the admin API answers about people, as texts for people (pure)."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import orjson

from gateway.commands.texts import STATUS, dollars, when

Object = Mapping[str, Any]
Table = tuple[list[str], list[list[str]]]


def user(of: Object) -> str:
    """One line that tells one user from others."""
    return (
        f'user {of["id"]} "{of["username"]}": {STATUS[of["status"]]}, {of["role"]}, '
        f"group {of['group']}, account {of['account_id']}"
    )


def user_table(users: Iterable[Object], per_usd: int) -> Table:
    """Columns and cells of a list."""
    return (
        ["ID", "Name", "Shown as", "E-mail", "Role", "Status", "Group", "Used", "Left"],
        [
            [
                *(str(each["id"]), each["username"], each["display_name"], each["email"] or "-"),
                *(each["role"], STATUS[each["status"]], each["group"]),
                *(_used(each, per_usd), _left(each, per_usd)),
            ]
            for each in users
        ],
    )


def user_details(of: Object, per_usd: int) -> list[tuple[str, str]]:
    """Everything of a user, a line each."""
    email = of["email"] or "none"
    if of["email"] and not of["email_verified"]:
        email += " (not verified)"
    return [
        ("User", str(of["id"])),
        ("Name", of["username"]),
        ("Shown as", of["display_name"]),
        ("E-mail", email),
        ("Role", of["role"]),
        ("Status", STATUS[of["status"]]),
        ("Group", of["group"]),
        ("Account", str(of["account_id"])),
        ("Quota", f"{_left(of, per_usd)} left, {_used(of, per_usd)} used"),
        ("Password", "a one-time one" if of["password_change_required"] else "their own"),
        ("Created", when(of["created_time"])),
        ("Version", str(of["version"])),
    ]


def access_token_table(rows: Iterable[Object]) -> Table:
    """Columns and cells of a list."""
    return (
        ["ID", "Name", "Scopes", "From", "Created", "Last used", "Expires"],
        [
            [
                *(str(each["id"]), each["name"], ", ".join(each["scopes"]) or "all"),
                *(", ".join(each["allow_ips"]) or "anywhere", when(each["created_time"])),
                *(when(each["last_used_time"]), when(each["expired_time"])),
            ]
            for each in rows
        ],
    )


def audit_table(rows: Iterable[Object]) -> Table:
    """Columns and cells of the audit."""
    return (
        ["When", "Who", "Did", "To", "From", "Before", "After"],
        [
            [
                *(when(each["at"]), each["actor_name"] or each["actor"], each["action"]),
                *(f"{each['object_kind']} {each['object_id']}", each["address"] or "-"),
                *(_document(each["before"]), _document(each["after"])),
            ]
            for each in rows
        ],
    )


def _used(of: Object, per_usd: int) -> str:
    return dollars(Decimal(of["used_quota"]) / per_usd)


def _left(of: Object, per_usd: int) -> str:
    return "unlimited" if of["unlimited_quota"] else dollars(Decimal(of["quota"]) / per_usd)


def _document(of: Object | None) -> str:
    return "-" if of is None else orjson.dumps(of, default=float).decode()
