"""Rows of LiteLLM's table `LiteLLM_VerificationToken`, which holds the SHA-256 of each key.

https://github.com/BerriAI/litellm/blob/main/schema.prisma
"""

import re
from collections.abc import Mapping
from typing import Any

from gateway.domain.edit import TokenDraft
from gateway.domain.key import Foreign, foreign, foreign_by_sha256
from gateway.domain.token import DISABLED, ENABLED
from gateway.imports import cells
from gateway.imports.cells import Row, invalid
from gateway.imports.litellm_limits import concurrency_of, grant_of, limits_of
from gateway.imports.plan import (
    Candidate,
    Choices,
    Findings,
    Left,
    merged,
    read_row,
    with_origin,
)

TABLE = "LiteLLM_VerificationToken"
COLUMNS = ("token", "models", "spend", "max_budget", "expires")
"""What a source must have, so that nothing is read into what is missing."""

KNOWN = frozenset(
    {
        *COLUMNS,
        *("key_name", "key_alias", "blocked", "metadata", "user_id", "team_id", "organization_id"),
        *("max_parallel_requests", "tpm_limit", "rpm_limit", "budget_duration", "model_max_budget"),
        *("budget_id", "budget_limits", "allowed_routes", "object_permission_id", "policies"),
        *("access_group_ids", "aliases", "config", "router_settings", "permissions"),
        *("allowed_cache_controls", "auto_rotate", "created_at", "created_by", "updated_at"),
        *("updated_by", "last_active", "budget_reset_at", "model_spend", "soft_budget_cooldown"),
        *("rotation_count", "rotation_interval", "last_rotation_at", "key_rotation_at"),
        *("agent_id", "project_id"),
    }
)
"""Columns whose meaning is known; any other may be a restriction, and is told."""

NOTES = (
    "Budgets and limits of users, teams, organisations and customers do not carry: those of the keys do.",
    "A name in models that is an access group there is taken for a model's.",
)

_HASH = re.compile(r"[0-9a-fA-F]{64}")
_KEY_NAME = re.compile(r"(sk-)\.\.\.([!-~]{4})")
_SESSION_TEAM = "litellm-dashboard"
_ALL_MODELS = frozenset({"*", "all-proxy-models"})
_TEAM_MODELS = "all-team-models"
_NO_MODELS = "no-default-models"
_MAX_TEXT = 200

# What binds a key there and nothing binds here, with what it is told as.
_RESTRICTIONS = {
    "budget_id": "its budget is kept in another table there",
    "budget_limits": "several budgets stay behind",
    "allowed_routes": "paths cannot be allowed by key here",
    "object_permission_id": "permissions on objects stay behind",
    "policies": "policies stay behind",
    "access_group_ids": "access groups stay behind",
}
# What is lost without making the key any stronger.
_LOST = {
    "aliases": "names for models are the operator's here ([[upstreams]] models)",
    "config": "its own settings stay behind",
    "router_settings": "its own settings stay behind",
    "permissions": "permissions of its dashboard mean nothing here",
    "allowed_cache_controls": "there is no cache of answers here",
}


def read(row: Row, choices: Choices) -> Candidate | Left:
    """What becomes of a row."""
    name = cells.text(row, "key_alias") or cells.text(row, "key_name")
    return read_row(row, f"key {_label(cells.text(row, 'token'))}", name, _read, choices)


def _label(token: str) -> str:
    """Which row it is, without a word of a key."""
    return token[:12] if _HASH.fullmatch(token) else foreign(token).display


def _read(row: Row, findings: Findings) -> tuple[Foreign, TokenDraft]:
    team = cells.text(row, "team_id")
    if team == _SESSION_TEAM:
        raise invalid("team_id", "it is a session of its dashboard, not a key.")
    secret = _secret(row, findings)
    group = findings.group("team_id", team)
    metadata = cells.document(row, "metadata")
    models = _models(row, group, findings)
    draft = TokenDraft(
        name=findings.name(cells.text(row, "key_alias"), f"imported {secret.display}"),
        status=DISABLED if cells.flag(row, "blocked") else ENABLED,
        granted=grant_of(row, findings),
        expires_at=cells.instant(row, "expires"),
        group=group,
        models=models,
        models_enabled=models is not None,
        limits=merged(limits_of(row, metadata, findings)),
        max_concurrency=concurrency_of(row, findings),
        metadata=_metadata(metadata, findings),
    )
    _tell_what_is_lost(row, findings)
    return secret, with_origin(draft, _origin(row))


def _secret(row: Row, findings: Findings) -> Foreign:
    """The hash; rows of early versions hold the key itself."""
    token = cells.text(row, "token")
    if not _HASH.fullmatch(token):
        if token.startswith("sk-"):
            return findings.secret("token", token)
        raise invalid("token", "is neither a SHA-256 in hexadecimal digits nor a key (sk-…).")
    shown = _KEY_NAME.fullmatch(cells.text(row, "key_name"))
    return foreign_by_sha256(bytes.fromhex(token), *(shown.groups() if shown else ("sk-",)))


def _models(row: Row, group: str | None, findings: Findings) -> tuple[str, ...] | None:
    """No list is every model of the group, here as there."""
    listed = cells.names(row, "models")
    if _NO_MODELS in listed:
        findings.reasons.append(f"models: {_NO_MODELS}: it could call no model")
        return None
    if not listed or not _ALL_MODELS.isdisjoint(listed):
        return None
    if _TEAM_MODELS in listed:
        if group is None:
            findings.lose(f"models: {_TEAM_MODELS}, and no group stands for the team here")
        return None
    plain = findings.models("models", [name for name in listed if "*" not in name])
    for name in listed:
        if "*" in name:
            findings.lose(f"models: {name!r} is a pattern; lists have whole names here")
    return None if len(plain) < len(listed) else plain


def _metadata(metadata: Mapping[str, Any], findings: Findings) -> dict[str, Any]:
    """Tags and short words. Anything else may be a setting of LiteLLM's, with a secret in it."""
    kept = {name: value for name, value in metadata.items() if _is_plain(name, value)}
    left = sorted(set(metadata) - set(kept) - {"model_rpm_limit", "model_tpm_limit"})
    if left:
        findings.remark(
            f"metadata: {', '.join(map(ascii, left))} stay behind (no plain text, number or tag)"
        )
    return kept


def _is_plain(name: str, value: Any) -> bool:
    if name == "tags":
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    if any(word in name.lower() for word in ("key", "secret", "password", "imported")):
        return False
    return isinstance(value, bool | int) or (isinstance(value, str) and len(value) <= _MAX_TEXT)


def _tell_what_is_lost(row: Row, findings: Findings) -> None:
    for column, why in _RESTRICTIONS.items():
        if _says_something(row, column):
            findings.lose(f"{column}: {why}")
    for column, why in _LOST.items():
        if _says_something(row, column):
            findings.remark(f"{column}: {why}")
    if cells.flag(row, "auto_rotate"):
        findings.remark("auto_rotate: keys are rotated by hand here")


def _says_something(row: Row, column: str) -> bool:
    return cells.text(row, column) not in {"", "{}", "[]"}


def _origin(row: Row) -> dict[str, object]:
    spend = cells.number(row, "spend")
    return {
        "from": "litellm",
        "user_id": cells.text(row, "user_id"),
        "team_id": cells.text(row, "team_id"),
        "organization_id": cells.text(row, "organization_id"),
        "created_at": cells.text(row, "created_at"),
        "spend_usd": None if spend is None else str(spend),
    }
