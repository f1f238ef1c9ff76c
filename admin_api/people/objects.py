"""The objects of people's answers, by allow-list of fields (pure)."""

from datetime import datetime
from typing import Any

from gateway.domain.people import UserRow
from gateway.domain.units import Units
from gateway.store.access_tokens import AccessToken
from gateway.store.audit_rows import AuditRow
from gateway.store.sessions import Session


def user_object(row: UserRow, units: Units) -> dict[str, Any]:
    """A user as administrators see them."""
    return {
        "id": row.id,
        "username": row.username,
        "display_name": row.display_name or row.username,
        "role": row.role,
        "status": row.status,
        "group": row.group,
        "password_change_required": row.password_once,
        "email": row.email,
        "email_verified": row.email_verified_at is not None,
        "account_id": row.account_id,
        "quota": 0 if row.granted is None else units.remaining(row.granted, row.used),
        "used_quota": units.used(row.used),
        "unlimited_quota": row.granted is None,
        "created_time": _seconds(row.created_at),
        "version": row.version,
    }


def session_object(session: Session) -> dict[str, Any]:
    """A session as its user sees it."""
    return {
        "id": session.id,
        "address": session.address,
        "user_agent": session.user_agent,
        "created_time": _seconds(session.created_at),
        "seen_time": _seconds(session.seen_at),
        "expired_time": _seconds(session.expires_at),
        "current": session.current,
    }


def access_token_object(row: AccessToken) -> dict[str, Any]:
    """An access token, without its secret."""
    return {
        "id": row.id,
        "user_id": row.user_id,
        "name": row.name,
        "scopes": row.scopes,
        "allow_ips": row.allow_ips,
        "created_time": _seconds(row.created_at),
        "expired_time": -1 if row.expires_at is None else _seconds(row.expires_at),
        "last_used_time": 0 if row.last_used_at is None else _seconds(row.last_used_at),
    }


def audit_object(row: AuditRow) -> dict[str, Any]:
    """A row of the audit."""
    shown = {name: row[name] for name in _OF_AUDIT}
    return {**shown, "at": row["at"].timestamp()}


_OF_AUDIT = (
    *("id", "at", "actor", "actor_name", "action", "object_kind", "object_id"),
    *("before", "after", "address", "request_id"),
)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
