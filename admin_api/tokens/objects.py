"""The token object of every answer: the fields and forms of New-API's, then ours (pure)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from admin_api.envelope import json_bytes
from gateway.catalog_settings import GroupSettings, TokenDefaultSettings
from gateway.catalog_source import limit_of
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.edit import TokenRow
from gateway.domain.limits import Limit, Metric
from gateway.domain.units import Units
from gateway.store.books import Reservation
from gateway.store.charges import model_of
from gateway.store.secrets import Secret
from gateway.store.token_money import ScopeMoney

_RULES = ("group", "model_limits", "allow_ips", "deny_ips", "limits", "max_concurrency")
_NO_DEFAULTS = TokenDefaultSettings()


class TokenObjects:
    """Tokens as they are shown. One of these shows those of an answer: at `now`, Unix seconds, by the groups of then.

    `kept`: keys may be revealed here.
    """

    def __init__(
        self, units: Units, groups: Mapping[str, GroupSettings], now: float, *, kept: bool
    ) -> None:
        self._units = units
        self._groups = groups
        self._now = now
        self._kept = kept
        self._rules: dict[str, dict[str, Any]] = {}

    def of(self, row: TokenRow, held_nusd: int | None) -> dict[str, Any]:
        """A token, its key masked. `held_nusd` is what running calls hold of it, None where that is not known."""
        units, granted, used, group = self._units, row.granted, row.used, row.effective_group
        rules = (
            *(row.group, row.models, row.allow_ips, row.deny_ips),
            *(row.limits, row.max_concurrency),
        )
        return {
            "id": row.id,
            "user_id": row.user_id,
            "username": row.username,
            "key": row.display,
            "status": row.effective_status(self._now),
            "name": row.name,
            "created_time": int(row.created_at.timestamp()),
            "accessed_time": 0 if row.accessed_at is None else int(row.accessed_at.timestamp()),
            "expired_time": -1 if row.expires_at is None else int(row.expires_at.timestamp()),
            "remain_quota": 0 if granted is None else units.remaining(granted, used),
            "unlimited_quota": granted is None,
            "model_limits_enabled": row.models_enabled,
            "model_limits": "" if row.models is None else json_bytes(row.models).decode(),
            "allow_ips": "\n".join(row.allow_ips or ()),
            "used_quota": units.used(used),
            "held_quota": units.used(held_nusd) if held_nusd else held_nusd,
            "group": group,
            "account_id": row.account_id,
            "quota_usd": None if granted == 0 else usd(granted or 0),  # 0 says unlimited
            "deny_ips": "\n".join(row.deny_ips or ()),
            "limits": None if row.limits is None else [limit_object(limit) for limit in row.limits],
            "max_concurrency": row.max_concurrency,
            "reserve": row.reserve,
            "metadata": row.metadata,
            "version": row.version,
            "recoverable": self._kept and row.recoverable,
            "overlap_until": 0 if row.overlap_until is None else int(row.overlap_until.timestamp()),
            "inherited": [shown for shown, rule in zip(_RULES, rules, strict=True) if rule is None],
            "effective": self._effective(row, group),
        }

    def _effective(self, row: TokenRow, group: str) -> dict[str, Any]:
        """What is in force with the group's defaults; null = restricted by neither token nor them."""
        effective = self._rules_of(group).copy()
        if row.models is not None:
            effective["models"] = row.models if row.models_enabled else None
        if row.allow_ips is not None:
            effective["allow_ips"] = row.allow_ips
        if row.deny_ips is not None:
            effective["deny_ips"] = row.deny_ips
        if row.limits is not None:
            effective["limits"] = [limit_object(limit) for limit in row.limits]
        if row.max_concurrency is not None:
            effective["max_concurrency"] = row.max_concurrency or None
        return effective

    def _rules_of(self, group: str) -> dict[str, Any]:
        rules = self._rules.get(group)
        if rules is None:
            of = self._groups.get(group)
            rules = rules_object(_NO_DEFAULTS if of is None else of.token_defaults)
            self._rules[group] = rules
        return rules


def quota_object(money: Mapping[str, ScopeMoney]) -> dict[str, dict[str, int | None]]:
    """What is granted, used and held in each scope of a token, in nano-dollars."""
    return {
        scope: {
            "granted_nusd": of.granted,
            "used_nusd": of.used,
            "pending_nusd": of.pending,
            "held_nusd": of.held,
            "available_nusd": of.available,
        }
        for scope, of in money.items()
    }


def secret_object(secret: Secret) -> dict[str, Any]:
    """A secret as it is shown; times are Unix seconds, `expired_time` -1 where no rotation ended or ends it."""
    return {
        "key": secret.display,
        "purpose": secret.purpose,
        "created_time": int(secret.created_at.timestamp()),
        "expired_time": -1 if secret.expires_at is None else int(secret.expires_at.timestamp()),
        "last_used_time": 0
        if secret.last_used_at is None
        else int(secret.last_used_at.timestamp()),
    }


def reservation_object(reservation: Reservation, units: Units, now: float) -> dict[str, Any]:
    """A running call as it is shown; `now` is Unix seconds."""
    started_at = reservation.started_ms / 1000
    return {
        "request_id": str(UUID(reservation.request_id)),
        "model": model_of(reservation.detail),
        "started_at": started_at,
        "age_s": round(max(0.0, now - started_at), 3),
        "held_quota": units.used(reservation.amount),
        "held_nusd": reservation.amount,
        "tokens": reservation.tokens,
    }


def usd(nusd: int) -> orjson.Fragment:
    """Nano-dollars as a JSON number of dollars, exact."""
    return orjson.Fragment(usd_text(nusd))


def usd_text(nusd: int) -> str:
    """Nano-dollars as dollars in decimal digits, exact."""
    whole, part = divmod(abs(nusd), NUSD_PER_USD)
    digits = f"{whole}.{part:09}".rstrip("0").rstrip(".") if part else str(whole)
    return f"-{digits}" if nusd < 0 else digits


def rules_object(defaults: TokenDefaultSettings) -> dict[str, Any]:
    """What applies to the tokens of a group where they leave it to the group; null restricts nothing."""
    return {
        "models": defaults.models,
        "allow_ips": defaults.allow_ips,
        "deny_ips": defaults.deny_ips,
        "limits": [limit_object(limit_of(each)) for each in defaults.limits],
        "max_concurrency": defaults.max_concurrency,
    }


def limit_object(limit: Limit) -> dict[str, Any]:
    """A limit as it is shown: in dollars where it counts those."""
    units = usd if limit.metric is Metric.USD else int
    return {
        "metric": str(limit.metric),
        "window": limit.window,
        "limit": units(limit.limit),
        "burst": None if limit.burst is None else units(limit.burst),
        "bound": units(limit.bound),
        "mode": limit.mode,
        "models": None if limit.models is None else sorted(limit.models),
        "time_zone": limit.time_zone,
        "shadow": limit.shadow,
    }
