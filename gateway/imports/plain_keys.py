"""Rows of `name,key` and more: any other gateway's keys, with the fields of POST /api/token/ as columns."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from gateway.catalog_settings import LimitSettings
from gateway.catalog_source import limit_of
from gateway.domain.catalog import nusd
from gateway.domain.edit import TokenDraft
from gateway.domain.key import Foreign, foreign_by_sha256
from gateway.domain.limits import MAX_EXACT, Limit
from gateway.domain.network import parse_blocks
from gateway.domain.rejection import BrokenRule
from gateway.domain.token import DISABLED, ENABLED
from gateway.imports import cells
from gateway.imports.cells import Row, invalid
from gateway.imports.plan import (
    MAX_CONCURRENCY,
    Candidate,
    Choices,
    Findings,
    Left,
    merged,
    nusd_of_units,
    read_row,
    with_origin,
)

COLUMNS = ("name",)
"""What a source must have; and `key`, or `sha256` where only that is known."""

KNOWN = frozenset(
    {
        *(
            "name",
            "key",
            "sha256",
            "status",
            "group",
            "quota_usd",
            "remain_quota",
            "unlimited_quota",
        ),
        *("expired_time", "expires_in_days", "model_limits", "allow_ips", "deny_ips", "limits"),
        *("max_concurrency", "reserve", "metadata"),
    }
)
"""What a column may be called: a word that is not understood might be a restriction."""

NOTES = ()

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_SEPARATORS = re.compile(r"[,\r\n]+")
_NEVER = frozenset({-1, 0})
_MAX_DAYS = 36_500
_MAX_SECONDS = 10**11  # more are milliseconds


def read(row: Row, choices: Choices) -> Candidate | Left:
    """What becomes of a row; `line` is where it stands in the file."""
    name = cells.text(row, "name")
    return read_row(row, f"line {row['line']}", name, _read, choices)


def _read(row: Row, findings: Findings) -> tuple[Foreign, TokenDraft]:
    models = findings.models("model_limits", _entries(row, "model_limits")) or None
    status = cells.integer(row, "status") or ENABLED
    if status not in {ENABLED, DISABLED}:
        raise invalid("status", f"must be 1 (enabled) or 2 (disabled), it is {status}.")
    draft = TokenDraft(
        name=findings.name(cells.text(row, "name"), f"imported {row['line']}"),
        status=status,
        granted=_granted(row, findings.choices),
        expires_at=_expires_at(row, findings.choices),
        group=findings.group("group", cells.text(row, "group")),
        models=models,
        models_enabled=models is not None,
        allow_ips=_blocks(row, "allow_ips"),
        deny_ips=_blocks(row, "deny_ips"),
        limits=_limits(row),
        max_concurrency=_concurrency(row),
        reserve=_reserve(row),
        metadata=cells.document(row, "metadata"),
    )
    return _secret(row, findings), with_origin(draft, {"from": "keys"})


def _secret(row: Row, findings: Findings) -> Foreign:
    key, sha256 = cells.text(row, "key"), cells.text(row, "sha256")
    if key or not sha256:
        return findings.secret("key", key)
    if not _HASH.fullmatch(sha256):
        raise invalid("sha256", "must be 64 hexadecimal digits.")
    return foreign_by_sha256(bytes.fromhex(sha256))


def _granted(row: Row, choices: Choices) -> int | None:
    """No quota at all is unlimited; `quota_usd` 0, too, and `remain_quota` 0 is nothing."""
    usd, remaining = cells.number(row, "quota_usd"), cells.integer(row, "remain_quota")
    unlimited = cells.choice(row, "unlimited_quota")
    if unlimited or (usd is None and remaining is None):
        if unlimited is False:
            raise invalid("unlimited_quota", "is false, but no quota is given.")
        return None
    if usd is not None and remaining is not None:
        raise invalid("quota_usd", "and remain_quota are both given; keep one.")
    if usd is not None and (usd < 0 or usd >= MAX_EXACT):
        raise invalid("quota_usd", f"must be 0 (unlimited) or more dollars, it is {usd}.")
    granted = nusd(usd) if usd is not None else nusd_of_units(remaining or 0, choices.units_per_usd)
    if usd is not None and granted == 0:
        return None
    if not 0 <= granted < MAX_EXACT:
        name = "remain_quota" if usd is None else "quota_usd"
        raise invalid(
            name, "the grant must be 0 or more, and less than 2^52 nano-dollars ($4.5 million)."
        )
    return granted


def _expires_at(row: Row, choices: Choices) -> datetime | None:
    seconds, days = cells.integer(row, "expired_time") or 0, cells.integer(row, "expires_in_days")
    if seconds not in _NEVER and days:
        raise invalid("expires_in_days", "and expired_time are both given; keep one.")
    if days:
        if not 0 < days <= _MAX_DAYS:
            raise invalid("expires_in_days", f"must be 0 to {_MAX_DAYS:,}, it is {days}.")
        return choices.now.replace(microsecond=0) + timedelta(days=days)
    if seconds in _NEVER:
        return None
    if not 0 < seconds < _MAX_SECONDS:
        raise invalid("expired_time", f"must be Unix seconds, or -1 for never, it is {seconds}.")
    return datetime.fromtimestamp(seconds, UTC)


def _blocks(row: Row, column: str) -> tuple[str, ...] | None:
    try:
        return tuple(dict.fromkeys(parse_blocks(cells.text(row, column)))) or None
    except BrokenRule as error:
        raise invalid(column, f"{error}.") from None


def _entries(row: Row, column: str) -> list[str]:
    found = cells.text(row, column)
    listed = cells.names(row, column) if found.startswith("[") else _SEPARATORS.split(found)
    return list(listed)


def _limits(row: Row) -> tuple[Limit, ...] | None:
    """A JSON array as POST /api/token/ takes it."""
    said: Any = cells.structure(row, "limits")
    if said is None:
        return None
    if not isinstance(said, list):
        raise invalid("limits", "must be a JSON array of limits.")
    try:
        limits = [limit_of(LimitSettings.model_validate(each)) for each in said]
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(str(part) for part in detail["loc"])
        raise invalid(
            "limits", f"{place}: {detail['msg'].removeprefix('Value error, ')}."
        ) from None
    if any(not limit.limit > 0 or limit.bound >= MAX_EXACT for limit in limits):
        raise invalid("limits", "each must be above 0 and below 2^52 (nano-dollars, or a count).")
    return merged(limits) or ()


def _concurrency(row: Row) -> int | None:
    most = cells.integer(row, "max_concurrency")
    if most is not None and not 0 <= most <= MAX_CONCURRENCY:
        raise invalid("max_concurrency", f"must be 0 (none) to {MAX_CONCURRENCY:,}, it is {most}.")
    return most


def _reserve(row: Row) -> str | None:
    reserve = cells.text(row, "reserve")
    if reserve not in {"", "strict", "estimate"}:
        raise invalid("reserve", f'must be "strict" or "estimate", it is {reserve[:20]!r}.')
    return reserve or None
