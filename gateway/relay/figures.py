"""What a worker tells of its own accounting, and of upstreams, on `/metrics`."""

from collections.abc import Callable, Iterable

from gateway.domain.breaker import BreakerState
from gateway.metrics import Figure
from gateway.relay.posting import Poster
from gateway.relay.unheard import Unheard
from gateway.relay.upstream_state import UpstreamState
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


_STATE = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def upstream_figures(upstreams: Iterable[UpstreamState], now: float) -> list[Figure]:
    """How upstreams are, as far as this worker has seen. `now` is monotonic, in seconds."""
    states = {f'upstream="{each.upstream.name}"': each for each in upstreams}

    def figure(name: str, means: str, value: Callable[[UpstreamState], int]) -> Figure:
        return Figure(name, means, {label: value(state) for label, state in states.items()})

    return [
        figure(
            "tollhouse_upstream_breaker",
            "An upstream's circuit breaker: 0 closed, 1 half-open, 2 open.",
            lambda state: _STATE[state.breaker.state],
        ),
        figure(
            "tollhouse_upstream_outstanding",
            "Calls under way at an upstream.",
            lambda state: state.outstanding,
        ),
        figure(
            "tollhouse_upstream_waiting",
            "Calls in line for one of an upstream's max_connections.",
            lambda state: state.waiting,
        ),
        figure(
            "tollhouse_upstream_keys_aside",
            "Keys that an upstream declined lately.",
            lambda state: state.keys_aside(now),
        ),
    ]
