"""From the options of `tollhouse upstream`, `model` and `group` to the body of a call (pure)."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from gateway.commands.errors import WrongUse
from gateway.commands.values import rules

_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "upstream": {
        "base_url": "base_url",
        "dialect": "dialect",
        "models": "models",
        "allow_cidr": "allow_cidrs",
        "priority": "priority",
        "weight": "weight",
    },
    "model": {
        "input_usd": "input_usd_per_mtok",
        "output_usd": "output_usd_per_mtok",
        "cached_input_usd": "cached_input_usd_per_mtok",
        "request_usd": "request_usd",
        "max_output_tokens": "max_output_tokens",
        "max_input_tokens": "max_input_tokens",
        "members": "members",
    },
    "group": {
        "description": "description",
        "users": "users",
        "models": "models",
        "upstreams": "upstreams",
        "ratio": "ratio",
        "groups": "groups",
        "concurrency": "max_concurrency",
    },
}
_TOKEN_DEFAULTS: Final = {
    "token_quota_usd": "quota_usd",
    "token_expires_in_days": "expires_in_days",
}


def entry_body(given: argparse.Namespace, environment: Mapping[str, str]) -> dict[str, Any]:
    """What the options say of an entry, but for a key that has yet to be read. Raises `WrongUse`."""
    fields = _FIELDS[given.command]
    body = {field: getattr(given, name) for name, field in fields.items() if hasattr(given, name)}
    if hasattr(given, "model"):
        body["models"] = dict(given.model)
    if hasattr(given, "limit"):
        try:
            body["limits"] = rules(given.limit)
        except ValueError as error:
            raise WrongUse(f"--limit: {error}") from None
    if hasattr(given, "quota_usd"):
        body["subscription"] = {"quota_usd": given.quota_usd}
    if defaults := {
        field: getattr(given, name)
        for name, field in _TOKEN_DEFAULTS.items()
        if hasattr(given, name)
    }:
        body["token_defaults"] = defaults
    if keys := _keys(given, environment):
        body["api_keys"] = keys
    if getattr(given, "no_api_key", False):
        body["api_keys"] = []
    return body | dict(getattr(given, "set", ()))


def _keys(given: argparse.Namespace, environment: Mapping[str, str]) -> list[str]:
    names: list[str] = getattr(given, "api_key_env", [])
    if missing := [name for name in names if not environment.get(name)]:
        raise WrongUse(
            f"--api-key-env: {missing[0][:40]} is not set, or empty: give the name of a variable, never the key itself"
        )
    return [environment[name].strip() for name in names]
