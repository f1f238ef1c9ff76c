"""From the options that were given to the body of a call (pure)."""

import argparse
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gateway.commands.errors import CommandFailed, WrongUse
from gateway.commands.values import merged, rules

_PLAIN = {
    "name": "name",
    "quota_usd": "quota_usd",
    "remain_quota": "remain_quota",
    "expires_in_days": "expires_in_days",
    "models": "model_limits",
    "group": "group",
    "concurrency": "max_concurrency",
    "reserve": "reserve",
    "count": "count",
    "account": "account_id",
}
_REPEATED = {"allow_ip": "allow_ips", "deny_ip": "deny_ips", "limit": "limits"}


def create_body(given: argparse.Namespace) -> dict[str, Any]:
    """The body of a creation; unlimited unless a quota is given. Raises `WrongUse`."""
    body = _given(given)
    if "quota_usd" not in body and "remain_quota" not in body:
        body["unlimited_quota"] = True
    if hasattr(given, "metadata"):
        body["metadata"] = merged({}, given.metadata)
    return body


def needs_current(given: argparse.Namespace) -> bool:
    """Whether a change goes on from what the token is now."""
    return hasattr(given, "add_quota_usd") or hasattr(given, "metadata")


def update_body(given: argparse.Namespace, current: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a change. `current` is the token's object where `needs_current` says so.

    Raises `WrongUse` where nothing is given, `CommandFailed` where there is nothing to add to.
    """
    body = _given(given)
    if getattr(given, "unlimited", False):
        body["unlimited_quota"] = True
    if hasattr(given, "add_quota_usd"):
        if current["unlimited_quota"]:
            raise CommandFailed("The token is unlimited: there is no quota to add to.")
        body["quota_usd"] = (current["quota_usd"] or Decimal(0)) + given.add_quota_usd
    if hasattr(given, "metadata"):
        body["metadata"] = merged(current["metadata"], given.metadata)
    if not body:
        raise WrongUse("nothing to change: give an option such as --name or --quota-usd")
    return body


def _given(given: argparse.Namespace) -> dict[str, Any]:
    body = {member: getattr(given, name) for name, member in _PLAIN.items() if hasattr(given, name)}
    for name, member in _REPEATED.items():
        if hasattr(given, name):
            try:
                body[member] = rules(getattr(given, name))
            except ValueError as error:
                raise WrongUse(f"--{name.replace('_', '-')}: {error}") from None
    return body
