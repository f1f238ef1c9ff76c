"""Rows of New-API's table `tokens`, or of One-API's, which has fewer columns and two of its own.

https://github.com/QuantumNous/new-api/blob/main/model/token.go
https://github.com/songquanpeng/one-api/blob/main/model/token.go
"""

import re
from datetime import UTC, datetime

from gateway.domain.edit import TokenDraft
from gateway.domain.key import Foreign
from gateway.domain.token import DISABLED, ENABLED, EXHAUSTED, EXPIRED
from gateway.imports import cells
from gateway.imports.cells import Row, invalid
from gateway.imports.plan import (
    Candidate,
    Choices,
    Findings,
    Left,
    nusd_of_units,
    read_row,
    with_origin,
)

TABLE = "tokens"
COLUMNS = ("id", "key", "status", "expired_time", "remain_quota", "unlimited_quota")
"""What a source must have, so that nothing is read into what is missing."""

KNOWN = frozenset(
    {
        *COLUMNS,
        *("user_id", "name", "created_time", "accessed_time", "used_quota", "deleted_at", "group"),
        *("model_limits_enabled", "model_limits", "allow_ips", "cross_group_retry", "auto_groups"),
        *("models", "subnet"),  # One-API's
    }
)
"""Columns whose meaning is known; any other may be a restriction, and is told."""

NOTES = (
    "A caller that sends a channel behind its key (sk-…-12) is refused: channels do not carry.",
    "A caller that sends its key without sk- is refused: the key carries as sk-….",
)

_NEVER = -1
_LAST_SECOND = 253_402_300_799  # of the year 9999
_LINES = re.compile(r"[\r\n]+")


def read(row: Row, choices: Choices) -> Candidate | Left:
    """What becomes of a row."""
    number = cells.text(row, "id")
    return read_row(row, f"token {number}", cells.text(row, "name"), _read, choices)


def _read(row: Row, findings: Findings) -> tuple[Foreign, TokenDraft]:
    if cells.text(row, "deleted_at"):
        raise invalid("deleted_at", "the token is deleted there.")
    secret = findings.secret("key", _key(row))
    models, enabled = _models(row, findings)
    draft = TokenDraft(
        name=findings.name(cells.text(row, "name"), f"imported {cells.text(row, 'id')}"),
        status=_status(row, findings),
        granted=_granted(row, findings),
        expires_at=_expires_at(row),
        group=findings.group("group", cells.text(row, "group")),
        models=models,
        models_enabled=enabled,
        allow_ips=_allow_ips(row, findings),
    )
    if cells.flag(row, "cross_group_retry"):
        findings.remark("cross_group_retry: a group that stands for others does that here")
    return secret, with_origin(draft, _origin(row))


def _key(row: Row) -> str:
    """As callers send it: `sk-` is not stored there."""
    key = cells.text(row, "key").removeprefix("sk-")
    return f"sk-{key}" if key else ""


def _granted(row: Row, findings: Findings) -> int | None:
    """What remains becomes the grant: what was used there is no charge here."""
    if cells.flag(row, "unlimited_quota"):
        return None
    remaining = cells.integer(row, "remain_quota") or 0
    nusd = nusd_of_units(remaining, findings.choices.units_per_usd)
    return findings.grant("remain_quota", nusd)


def _expires_at(row: Row) -> datetime | None:
    seconds = cells.integer(row, "expired_time")
    if seconds is None or seconds == _NEVER:
        return None
    if not 0 <= seconds <= _LAST_SECOND:
        raise invalid("expired_time", f"{seconds} are no Unix seconds.")
    return datetime.fromtimestamp(seconds, UTC)


def _status(row: Row, findings: Findings) -> int:
    """3 and 4 are worked out here; where quota and expiry do not say the same, there the key is refused."""
    status = cells.integer(row, "status")
    if status == ENABLED:
        return ENABLED
    expires_at = _expires_at(row)
    if status == EXPIRED and expires_at is not None and expires_at <= findings.choices.now:
        return ENABLED
    remaining = cells.integer(row, "remain_quota") or 0
    if status == EXHAUSTED and not cells.flag(row, "unlimited_quota") and remaining <= 0:
        return ENABLED
    if status != DISABLED:
        findings.remark(f"status: {status} refuses its calls there, so it is disabled here")
    return DISABLED


def _models(row: Row, findings: Findings) -> tuple[tuple[str, ...] | None, bool]:
    """One-API has no switch: there a list that is not empty is on."""
    if listed := cells.text(row, "models"):
        return findings.models("models", listed.split(",")), True
    names = findings.models("model_limits", cells.text(row, "model_limits").split(","))
    enabled = cells.flag(row, "model_limits_enabled")
    if enabled and not names:
        findings.reasons.append("model_limits: is switched on and empty, so no model can be called")
    return names or None, enabled


def _allow_ips(row: Row, findings: Findings) -> tuple[str, ...] | None:
    """Lines; a comma separates nothing there, so a line with one allows nobody. One-API has blocks by commas."""
    if subnet := cells.text(row, "subnet"):
        return findings.blocks("subnet", [each.strip() for each in subnet.split(",")]) or None
    lines = [line.replace(" ", "") for line in _LINES.split(cells.text(row, "allow_ips"))]
    return findings.blocks("allow_ips", [line for line in lines if line]) or None


def _origin(row: Row) -> dict[str, object]:
    return {
        "from": "new-api",
        "id": cells.integer(row, "id"),
        "user_id": cells.integer(row, "user_id"),
        "group": cells.text(row, "group"),
        "created_time": cells.integer(row, "created_time"),
        "used_quota": cells.integer(row, "used_quota"),
    }
