"""Warnings as they are shown (pure)."""

from typing import Any
from urllib.parse import urlsplit

import asyncpg

from admin_api.tokens.objects import usd
from admin_api.warnings.events import scope_of, upstream_of

_NAMES = ("token_name", "username", "account_name", "group")
_IDS = ("token_id", "user_id", "account_id", "group_id", "upstream")


def warning_object(row: asyncpg.Record) -> dict[str, Any]:
    """A warning that was told, with its messages."""
    data, subject = row["data"], row["subject"]
    return {
        "id": row["id"],
        "time": row["time"],
        "kind": row["kind"],
        "scope": None if upstream_of(subject) else scope_of(subject).kind,
        **{name: row[name] for name in _NAMES},
        **{name: data.get(name) for name in _IDS},
        "token_name": row["token_name"] or data.get("token_name"),
        "data": data,
        "deliveries": [_delivery(each) for each in row["deliveries"] or []],
    }


def standing_object(row: asyncpg.Record) -> dict[str, Any]:
    """Something that stands now."""
    kind, value, bound = row["kind"], row["value"], row["bound"]
    is_quota = kind == "quota"
    return {
        "kind": kind,
        "told_time": row["told_at"],
        "scope": None if kind == "upstream" else _scope(row),
        **{name: row[name] for name in (*_NAMES, *_IDS)},
        "percent": value * 100 // bound if is_quota else None,
        "used_usd": usd(value) if is_quota else None,
        "granted_usd": usd(bound) if is_quota else None,
        "expires_time": bound if kind == "expiry" else None,
        "out_since": value if kind == "upstream" else None,
    }


def host_of(url: str) -> str:
    """A webhook as others see it: the rest of its URL may let somebody in."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"


def _scope(row: asyncpg.Record) -> str:
    if row["token_id"] is not None:
        return "token"
    if row["group_id"] is not None:
        return "subscription"
    return "account" if row["user_id"] is None else "member"


def _delivery(sent: dict[str, Any]) -> dict[str, Any]:
    target = sent["target"]
    if sent["channel"] == "webhook":
        target = host_of(target)
    return {**sent, "target": target, "error": None if sent["state"] == "sent" else sent["error"]}
