"""From a body to a draft or a change: the rules across fields (pure).

Where the documents of New-API's kin disagree, this is where we decide: `remain_quota` 0 is nothing,
`quota_usd` 0 is unlimited. An object that GET gave may be sent back whole: what is as it was
changes nothing, however much was spent meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from admin_api import fields
from admin_api.envelope import json_bytes
from admin_api.mistakes import Mistakes
from admin_api.tokens.bodies import CreateBody, TokenFields, UpdateBody
from gateway.catalog_settings import TokenDefaultSettings
from gateway.domain.edit import UNCHANGED, TokenChange, TokenDraft, TokenRow, Unchanged
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.domain.token import DISABLED
from gateway.domain.units import Units

_MAX_METADATA_BYTES = 16_384
_NO_QUOTA = (
    "The token has no quota, so its calls will be refused: set remain_quota or quota_usd, "
    "or unlimited_quota: true."
)
_IGNORED_REMAIN = "remain_quota is ignored because unlimited_quota is true."

T = TypeVar("T")


def drafts_of(
    body: CreateBody, units: Units, now: datetime, defaults: TokenDefaultSettings
) -> tuple[list[TokenDraft], list[str]]:
    """The tokens to be made, and warnings for the caller. Several are numbered.

    Where the body says nothing of quota or expiry, the `defaults` of its group do. Raises `Rejected` with all mistakes.
    """
    found = Mistakes()
    granted = found.reading(_first_grant, body, units, defaults.quota_usd)
    named = found.reading(_first_models, body)
    draft = TokenDraft(
        name=found.reading(fields.parse_name, body.name),
        granted=granted,
        expires_at=found.reading(_first_expiry, body, now, defaults.expires_in_days),
        group=_group(body),
        allow_ips=found.reading(fields.parse_ips, "allow_ips", body.allow_ips),
        deny_ips=found.reading(fields.parse_ips, "deny_ips", body.deny_ips),
        limits=found.reading(fields.parse_limits, body.limits),
        max_concurrency=body.max_concurrency,
        reserve=body.reserve,
        metadata=found.reading(_metadata, body.metadata or {}),
        account_id=body.account_id,
    )
    found.raise_any(CreateBody.model_fields)
    models, enabled = named
    draft = replace(draft, models=models, models_enabled=enabled)
    warnings = [_NO_QUOTA] if granted == 0 else []
    if granted is None and body.remain_quota:
        warnings.append(_IGNORED_REMAIN)
    if body.count == 1:
        return [draft], warnings
    names = (fields.parse_name(f"{draft.name}-{number}") for number in range(1, body.count + 1))
    return [replace(draft, name=name) for name in names], warnings


def change_of(body: UpdateBody, row: TokenRow, units: Units, now: datetime) -> TokenChange:
    """What the body makes of the row. Raises `Rejected` with all mistakes."""
    found = Mistakes()
    found.reading(_check_key, body, row)
    named = found.reading(_next_models, body, row)
    allowed = found.reading(fields.parse_ips, "allow_ips", body.allow_ips)
    denied = found.reading(fields.parse_ips, "deny_ips", body.deny_ips)
    limits = found.reading(fields.parse_limits, body.limits)
    change = TokenChange(
        name=UNCHANGED if body.name is None else found.reading(fields.parse_name, body.name),
        status=_status(body.status),
        granted=found.reading(_next_grant, body, row, units),
        expires_at=found.reading(_next_expiry, body, row, now),
        group=_next_group(body, row),
        allow_ips=_rule(body, "allow_ips", row.allow_ips, allowed),
        deny_ips=_rule(body, "deny_ips", row.deny_ips, denied),
        limits=_rule(body, "limits", row.limits, limits),
        max_concurrency=_rule(body, "max_concurrency", row.max_concurrency, body.max_concurrency),
        reserve=_rule(body, "reserve", row.reserve, body.reserve),
        metadata=UNCHANGED if body.metadata is None else found.reading(_metadata, body.metadata),
    )
    found.raise_any(UpdateBody.model_fields)
    models, enabled = named
    return replace(change, models=models, models_enabled=enabled)


def status_change_of(body: UpdateBody) -> TokenChange:
    """`?status_only=1`: everything else in the body is ignored. Raises `Rejected`."""
    if body.status is None:
        raise invalid("status", Rule.STATUS_REQUIRED)
    return TokenChange(status=_status(body.status))


def _check_key(body: UpdateBody, row: TokenRow) -> None:
    if body.key is not None and body.key not in {row.display, ""}:
        raise invalid("key", Rule.KEY_NOT_SETTABLE)


def _first_grant(body: CreateBody, units: Units, default_usd: Decimal | None) -> int | None:
    if body.remain_quota is None and body.quota_usd is None and body.unlimited_quota is None:
        return 0 if default_usd is None else fields.grant_of_usd(default_usd)
    if body.remain_quota is not None and body.remain_quota < 0:
        raise _negative(body.remain_quota)
    wishes: dict[str, int | None] = {}
    if body.quota_usd is not None:
        wishes["quota_usd"] = fields.grant_of_usd(body.quota_usd)
    if body.unlimited_quota:
        wishes["unlimited_quota"] = None
    elif body.remain_quota is not None:
        wishes["remain_quota"] = _in_bounds(body.remain_quota, units) * units.nusd
    return _agreed(body, wishes, 0)


def _next_grant(body: UpdateBody, row: TokenRow, units: Units) -> int | Unchanged | None:
    """The grant that the body asks for. Called while the row is locked, so `used` stands still."""
    wishes: dict[str, int | None] = {}
    if body.quota_usd is not None:
        grant = fields.grant_of_usd(body.quota_usd)
        if grant != row.granted:
            wishes["quota_usd"] = grant
    if body.unlimited_quota:
        wishes["unlimited_quota"] = None
    elif body.remain_quota is not None:
        grant = _regrant(body.remain_quota, body.used_quota, row, units)
        if grant != row.granted or body.used_quota is None:
            wishes["remain_quota"] = grant
    if (added := _added(body, row, units)) is not None:
        name, wishes[name] = added
    if body.unlimited_quota is False and row.granted is None and not wishes:
        raise invalid("remain_quota", Rule.QUOTA_REQUIRED)
    return _agreed(body, wishes, UNCHANGED)


def _added(body: UpdateBody, row: TokenRow, units: Units) -> tuple[str, int] | None:
    """The grant after a top-up, and the field that asks for it; a negative one takes back what is not spent."""
    if body.add_quota is None and body.add_quota_usd is None:
        return None
    name = "add_quota" if body.add_quota is not None else "add_quota_usd"
    if body.add_quota is not None and body.add_quota_usd is not None:
        raise invalid(name, Rule.TWO_UNITS, other="add_quota_usd")
    if row.granted is None:
        raise invalid(name, Rule.NOTHING_TO_ADD_TO)
    if body.add_quota_usd is not None:
        delta = fields.nusd_of(name, body.add_quota_usd)
    else:
        delta = (body.add_quota or 0) * units.nusd
    grant = row.granted + delta
    if grant < row.used:
        left = units.remaining(row.granted, row.used)
        raise invalid(name, Rule.MORE_THAN_IS_LEFT, left=left)
    return name, grant


def _regrant(remain: int, used: int | None, row: TokenRow, units: Units) -> int:
    """The grant behind `remain_quota`.

    Alone it is what is left from now on; with the `used_quota` it was read with, a part of the
    grant.
    """
    if used is None:
        if remain < 0:
            raise _negative(remain)
        total = units.used(row.used) + remain
    else:
        total = used + remain
        if total < 0:
            raise _negative(remain)
    _in_bounds(total, units)
    if row.granted is not None and used is not None and total == units.granted(row.granted):
        return row.granted  # a grant finer than a unit is not cut by being read and sent back
    return total * units.nusd


def _agreed(body: TokenFields, wishes: Mapping[str, int | None], otherwise: T) -> int | T | None:
    """The one grant that the fields ask for."""
    if body.unlimited_quota is False and None in wishes.values():
        raise invalid("quota_usd", Rule.NOT_UNLIMITED)
    grants = set(wishes.values())
    if len(grants) > 1:
        raise invalid(next(iter(wishes)), Rule.QUOTAS_DISAGREE, fields=[*wishes])
    return grants.pop() if grants else otherwise


def _in_bounds(units_wanted: int, units: Units) -> int:
    if units_wanted > units.largest:
        raise invalid("remain_quota", Rule.GRANT_TOO_LARGE, most=units.largest)
    return units_wanted


def _negative(remain: int) -> Exception:
    return invalid("remain_quota", Rule.NEGATIVE, given=remain)


def _first_expiry(body: CreateBody, now: datetime, default_days: int | None) -> datetime | None:
    if body.expired_time is None and body.expires_in_days is None:
        return fields.parse_expires_in_days(default_days or 0, now)
    at = None if body.expired_time is None else fields.parse_expired_time(body.expired_time, now)
    if body.expires_in_days is None:
        return at
    by_days = fields.parse_expires_in_days(body.expires_in_days, now)
    if body.expired_time is not None and at != by_days:
        raise _two_expiries()
    return by_days


def _next_expiry(body: UpdateBody, row: TokenRow, now: datetime) -> datetime | Unchanged | None:
    at = _changed_expiry(body.expired_time, row, now)
    if body.expires_in_days is None:
        return at
    by_days = fields.parse_expires_in_days(body.expires_in_days, now)
    if at is not UNCHANGED and at != by_days:
        raise _two_expiries()
    return by_days


def _changed_expiry(value: int | None, row: TokenRow, now: datetime) -> datetime | Unchanged | None:
    """`expired_time` unless it is the row's: a past expiry may be sent back, but not set."""
    current = None if row.expires_at is None else int(row.expires_at.timestamp())
    if value is None or value == current or (current is None and value in fields.NEVER):
        return UNCHANGED
    return fields.parse_expired_time(value, now)


def _two_expiries() -> Exception:
    return invalid("expires_in_days", Rule.EXPIRIES_DISAGREE)


def _first_models(body: CreateBody) -> tuple[tuple[str, ...] | None, bool]:
    models = fields.parse_models(body.model_limits)
    return models, _enabled(models, flag=body.model_limits_enabled, otherwise=bool(models))


def _next_models(
    body: UpdateBody, row: TokenRow
) -> tuple[tuple[str, ...] | Unchanged | None, bool | Unchanged]:
    models = _rule(body, "model_limits", row.models, fields.parse_models(body.model_limits))
    return models, _next_enabled(body, row, models)


def _enabled(models: tuple[str, ...] | None, *, flag: bool | None, otherwise: bool) -> bool:
    if flag and not models:
        raise invalid("model_limits_enabled", Rule.NO_MODEL_NAMED)
    return otherwise if flag is None else flag


def _next_enabled(
    body: UpdateBody, row: TokenRow, models: tuple[str, ...] | Unchanged | None
) -> bool | Unchanged:
    if models is UNCHANGED:
        if body.model_limits_enabled is None:
            return UNCHANGED
        return _enabled(row.models, flag=body.model_limits_enabled, otherwise=row.models_enabled)
    return _enabled(models, flag=body.model_limits_enabled, otherwise=bool(models))


def _group(body: TokenFields) -> str | None:
    return (body.group or "").strip() or None


def _next_group(body: UpdateBody, row: TokenRow) -> str | Unchanged | None:
    if "group" not in body.model_fields_set:
        return UNCHANGED
    group = _group(body)
    return UNCHANGED if group == row.effective_group else group


def _rule(body: UpdateBody, name: str, current: T, parsed: T) -> T | Unchanged:
    """A rule that a group gives defaults for; an empty text leaves what is shown as one."""
    if name not in body.model_fields_set:
        return UNCHANGED
    sent = getattr(body, name)
    if isinstance(sent, str) and not sent.strip() and not current:
        return UNCHANGED
    return parsed


def _status(status: int | None) -> int | Unchanged:
    """3 and 4 are computed, so they may be sent back but not set."""
    return UNCHANGED if status is None or status > DISABLED else status


def _metadata(value: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata: Mapping[str, Any] = _plain(value)
    if (size := len(json_bytes(metadata))) > _MAX_METADATA_BYTES:
        raise invalid("metadata", Rule.TOO_MANY_BYTES, most=_MAX_METADATA_BYTES, given=size)
    return metadata


def _plain(value: Any) -> Any:
    """Metadata is nobody's money: its numbers are what JSON calls numbers."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
