"""What a worker tells on `/metrics` of its calls, of its own accounting, and of upstreams."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway.domain.breaker import BreakerState
from gateway.domain.families import (
    DURATION_S,
    FIRST_TOKEN_S,
    GEN_AI_DURATION_S,
    GEN_AI_FIRST_TOKEN_S,
)
from gateway.domain.figures import Exemplar, Figure, Labels, Spread, Value, merged, narrowed
from gateway.domain.gen_ai import OPERATIONS, PROVIDERS, error_type
from gateway.relay.counters import Alike, CallCounters, Ended
from gateway.relay.posting import Poster
from gateway.relay.unheard import Unheard
from gateway.relay.upstream_state import UpstreamState
from gateway.store.quota import QuotaStore
from gateway.store.token_cache import TokenCache


def call_figures(counters: CallCounters) -> list[Figure]:
    """What calls came to. Those that the figures do not tell apart are added."""
    told: list[Figure] = [
        Figure(
            "tollhouse_denied_total",
            {(str(reason),): count for reason, count in counters.denied.items()},
        )
    ]
    for alike, ended in counters.ended.items():
        told += _of_ended(alike, ended)
        told += _of_gen_ai(alike, ended)
    return [each for each in merged([told]) if each.values]


def _of_ended(alike: Alike, ended: Ended) -> list[Figure]:
    route, model, upstream, status, reason = alike
    call, served = (route, model, upstream), (model, upstream)
    figures = [
        Figure(
            "tollhouse_requests_total", {(*call, str(status), str(reason)): sum(ended.durations)}
        ),
        Figure(
            "tollhouse_request_duration_seconds",
            {call: _spread(ended.durations, ended.duration_s, ended.slow)},
        ),
    ]
    if any(ended.overheads):
        upstream_durations = _spread(ended.upstream_durations, ended.upstream_s)
        overheads = _spread(ended.overheads, ended.overhead_s, ended.slow_overheads)
        figures += [
            Figure("tollhouse_overhead_seconds", {(route,): overheads}),
            Figure("tollhouse_upstream_duration_seconds", {served: upstream_durations}),
        ]
    if any(ended.first_tokens):
        first_tokens = _spread(ended.first_tokens, ended.first_token_s)
        figures.append(Figure("tollhouse_time_to_first_token_seconds", {served: first_tokens}))
    if any(ended.inputs):
        counts = {
            "input": ended.input_tokens,
            "output": ended.output_tokens,
            "cached_input": ended.cached_input_tokens,
            "cache_write": ended.cache_write_tokens,
            "reasoning": ended.reasoning_tokens,
        }
        tokens: dict[Labels, Value] = {(*served, kind): count for kind, count in counts.items()}
        figures.append(Figure("tollhouse_tokens_total", tokens))
    if ended.cost_nusd:
        figures.append(Figure("tollhouse_cost_nusd_total", {served: ended.cost_nusd}))
    return figures


def _of_gen_ai(alike: Alike, ended: Ended) -> list[Figure]:
    """The same by OpenTelemetry's names, of calls that came to an upstream."""
    route, model, upstream, status, reason = alike
    if route not in OPERATIONS or not upstream:
        return []
    call = (OPERATIONS[route], PROVIDERS[ended.dialect], model)
    error = error_type(status, reason)
    durations = _spread(ended.durations, ended.duration_s, ended.slow)
    figures = [
        Figure(
            "gen_ai_server_request_duration_seconds",
            {(*call, error): narrowed(durations, DURATION_S, GEN_AI_DURATION_S)},
        )
    ]
    if any(ended.inputs):
        usage: dict[Labels, Value] = {
            (*call, "input"): _spread(ended.inputs, ended.input_tokens),
            (*call, "output"): _spread(ended.outputs, ended.output_tokens),
        }
        figures.append(Figure("gen_ai_client_token_usage", usage))
    if any(ended.first_tokens) and not error:
        first_tokens = _spread(ended.first_tokens, ended.first_token_s)
        narrow = narrowed(first_tokens, FIRST_TOKEN_S, GEN_AI_FIRST_TOKEN_S)
        figures.append(Figure("gen_ai_server_time_to_first_token_seconds", {call: narrow}))
    return figures


def accounting_figures(poster: Poster, quota: QuotaStore, unheard: Unheard) -> list[Figure]:
    """Charges on their way, how long they took, and what the worker knows of the quota store."""
    lag, breaker = poster.lag, quota.breaker
    return _singles(
        {
            "tollhouse_ledger_queue_depth": poster.waiting,
            "tollhouse_ledger_queue_bytes": poster.waiting_bytes,
            "tollhouse_ledger_refused_total": poster.refused,
            "tollhouse_settle_lag_seconds": _spread(lag.counts, lag.total_s),
            "tollhouse_quota_unheard_reservations": len(unheard),
            "tollhouse_quota_double_faults_total": quota.double_faults,
            "tollhouse_redis_up": int(breaker.state is BreakerState.CLOSED),
            "tollhouse_redis_breaker_openings_total": breaker.openings,
        }
    )


def key_figures(tokens: TokenCache) -> list[Figure]:
    """How well keys are remembered."""
    return _singles(
        {
            "tollhouse_key_cache_hits_total": tokens.hits,
            "tollhouse_key_cache_misses_total": tokens.misses,
            "tollhouse_key_cache_bytes": tokens.taken_bytes,
        }
    )


_STATE = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


def upstream_figures(upstreams: Iterable[UpstreamState], now: float) -> list[Figure]:
    """How upstreams are, as far as this worker has seen. `now` is monotonic, in seconds."""
    states = {(each.upstream.name,): each for each in upstreams}

    def figure(name: str, value: Callable[[UpstreamState], int]) -> Figure:
        values: dict[Labels, Value] = {labels: value(state) for labels, state in states.items()}
        return Figure(f"tollhouse_upstream_{name}", values)

    return [
        figure("breaker", lambda state: _STATE[state.breaker.state]),
        figure("outstanding", lambda state: state.outstanding),
        figure("waiting", lambda state: state.waiting),
        figure("keys_aside", lambda state: state.keys_aside(now)),
        figure("failures_total", lambda state: state.failures),
    ]


def _spread(
    counts: Sequence[int], total: float, slow: Mapping[int, Exemplar] | None = None
) -> Spread:
    """A copy: calls go on while figures are written."""
    return Spread(tuple(counts), total, dict(slow or {}))


def _singles(values: Mapping[str, Value]) -> list[Figure]:
    return [Figure(name, {(): value}) for name, value in values.items()]
