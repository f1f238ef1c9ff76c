"""The objects of the answers about the installation's state (pure)."""

from collections.abc import Mapping
from typing import Any

from admin_api.tokens.objects import reservation_object
from gateway.catalog_entries import Entries
from gateway.domain.catalog import Catalog
from gateway.domain.units import Units
from gateway.store.state import PostgresState
from gateway.store.underway import Running, Underway, ValkeyState


def token_id_of(running: Running) -> int:
    """The token of a running call."""
    return int(running.reservation.scope_ids[0][1:])


def running_object(
    running: Running, called: Mapping[str, Any] | None, units: Units, now: float
) -> dict[str, Any]:
    """A running call; `called` is what its token and its maker are called."""
    member = running.reservation.scope_ids[1]
    return {
        **reservation_object(running.reservation, units, now),
        "token_id": token_id_of(running),
        "token_name": None if called is None else called["name"],
        "user_id": int(member.partition(".")[2]),
        "username": None if called is None else called["username"],
        "account_id": running.account_id,
    }


def postgres_object(state: PostgresState) -> dict[str, Any]:
    """Postgres."""
    return {"latency_ms": state.latency_ms, **state.server}


def valkey_object(state: ValkeyState) -> dict[str, Any]:
    """Valkey."""
    return {name: getattr(state, name) for name in _OF_VALKEY}


_OF_VALKEY = (
    *("latency_ms", "server", "version", "used_bytes", "max_bytes"),
    *("connections", "uptime_s"),
)


def calls_object(underway: Underway, units: Units, now: float) -> dict[str, Any]:
    """The sums of what runs."""
    held = sum(each.reservation.amount for each in underway.running)
    ages = [now - each.reservation.started_ms / 1000 for each in underway.running]
    return {
        "running": len(underway.running),
        "held_quota": units.used(held),
        "held_nusd": held,
        "oldest_age_s": round(max(0.0, *ages), 3) if ages else None,
    }


def ledger_object(
    underway: Underway | None, postgres: PostgresState | None, now: float
) -> dict[str, Any]:
    """What is on its way to the ledger, and what has come."""
    oldest = None if underway is None else underway.oldest_unposted
    last = None if postgres is None else postgres.last_call_at
    return {
        "unposted": None if underway is None else underway.unposted,
        "lag_s": None if oldest is None else round(max(0.0, now - oldest), 3),
        "last_call_time": None if last is None else int(last.timestamp()),
    }


def upstream_objects(catalog: Catalog, outages: Mapping[str, int]) -> list[dict[str, Any]]:
    """The upstreams, by name, with what gateways say of them."""
    return [
        {"name": each.name, "dialect": each.dialect, "out_since": outages.get(each.name)}
        for each in sorted(catalog.upstreams, key=lambda each: each.name)
    ]


def catalog_object(catalog: Catalog, entries: Entries) -> dict[str, Any]:
    """The catalog in short. Of models those that have an entry are counted."""
    return {
        "generation": catalog.generation,
        "models": len(entries.models),
        "groups": len(entries.groups),
        "broken": [f"{kind} {name}: {why}" for (kind, name), why in sorted(entries.broken.items())],
    }
