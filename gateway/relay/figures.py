"""What a worker tells of its own accounting on `/metrics`."""

from gateway.metrics import Figure
from gateway.relay.posting import Poster
from gateway.relay.unheard import Unheard
from gateway.store.breaker import BreakerState
from gateway.store.quota import QuotaStore


def accounting_figures(poster: Poster, quota: QuotaStore, unheard: Unheard) -> list[Figure]:
    """Charges on their way, how long they took, and what the worker knows of the quota store."""
    lag = poster.lag
    return [
        Figure(
            "tollhouse_unposted_charges",
            "Charges of this worker that Postgres does not have yet.",
            {"": poster.waiting},
        ),
        Figure(
            "tollhouse_unposted_bytes",
            "Memory that those take, of quota.post_buffer_bytes.",
            {"": poster.waiting_bytes},
        ),
        Figure(
            "tollhouse_ledger_lag_seconds",
            "From the end of a call until Postgres had its row.",
            lag.cumulative(),
            total=lag.total_s,
        ),
        Figure(
            "tollhouse_unheard_reservations",
            "Reservations whose answer never came and that are not given back yet.",
            {"": len(unheard)},
        ),
        Figure(
            "tollhouse_quota_store_reachable",
            "Whether the quota store is asked; 0 while its circuit breaker is open.",
            {"": int(quota.breaker.state is BreakerState.CLOSED)},
        ),
        Figure(
            "tollhouse_double_faults",
            "Losses of the quota store that this worker could announce its calls in too late.",
            {"": quota.double_faults},
        ),
    ]
