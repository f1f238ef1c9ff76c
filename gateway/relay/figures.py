"""What a worker tells on `/metrics` of its calls, of its own accounting, and of upstreams."""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from gateway.domain.breaker import BreakerState
from gateway.domain.families import DURATION_S, FAMILIES, FIRST_TOKEN_S
from gateway.domain.figures import Exemplar, Figure, Labels, Spread, Value, narrowed
from gateway.domain.gen_ai import OPERATIONS, PROVIDERS, error_type
from gateway.relay.counters import Alike, CallCounters, Ended
from gateway.relay.posting import Poster
from gateway.relay.unheard import Unheard
from gateway.relay.upstream_state import UpstreamState
from gateway.store.quota import QuotaStore
from gateway.store.token_cache import TokenCache


class _Sum:
    """A histogram that grows."""

    __slots__ = ("counts", "slow", "total")

    def __init__(self, counts: Sequence[int], total: float) -> None:
        self.counts: Sequence[int] = counts
        self.total = total
        self.slow: dict[int, Exemplar] = {}


class _Sums:
    """Adds what figures do not tell apart: many kinds of calls may be counted, and calls wait meanwhile."""

    def __init__(self) -> None:
        self.numbers: dict[str, dict[Labels, int]] = {}
        self._spreads: dict[str, dict[Labels, _Sum]] = {}

    def add(self, name: str, labels: Labels, number: int) -> None:
        """Add to a counter."""
        of = self.numbers.setdefault(name, {})
        of[labels] = of.get(labels, 0) + number

    def spread(
        self,
        name: str,
        labels: Labels,
        counts: Sequence[int],
        total: float,
        slow: Mapping[int, Exemplar] | None = None,
    ) -> None:
        """Add to a histogram, unless there is nothing in it."""
        if not any(counts):
            return
        of = self._spreads.setdefault(name, {})
        known = of.get(labels)
        if known is None:
            known = of[labels] = _Sum(tuple(counts), total)
        else:
            known.counts = tuple(map(operator.add, known.counts, counts))
            known.total += total
        for place, each in (slow or {}).items():
            if place not in known.slow or known.slow[place].at < each.at:
                known.slow[place] = each

    def figures(self) -> Iterator[Figure]:
        """All that was added."""
        for name, numbers in self.numbers.items():
            yield Figure(name, dict(numbers))
        for name, sums in self._spreads.items():
            spreads = {labels: Spread(of.counts, of.total, of.slow) for labels, of in sums.items()}
            if name in _WIDE:
                wide, kept = _WIDE[name], FAMILIES[name].bounds
                spreads = {labels: narrowed(of, wide, kept) for labels, of in spreads.items()}
            yield Figure(name, dict(spreads))


_WIDE = {
    "gen_ai_server_request_duration_seconds": DURATION_S,
    "gen_ai_server_time_to_first_token_seconds": FIRST_TOKEN_S,
}
"""The bounds that these are counted by, which are more than they are told by."""


def call_figures(counters: CallCounters) -> list[Figure]:
    """What calls came to."""
    sums = _Sums()
    for alike, ended in counters.ended.items():
        _add_ended(sums, alike, ended)
        _add_gen_ai(sums, alike, ended)
    denied: dict[Labels, Value] = {(str(name),): count for name, count in counters.denied.items()}
    return [Figure("tollhouse_denied_total", denied), *sums.figures()]


def _add_ended(sums: _Sums, alike: Alike, ended: Ended) -> None:
    route, model, upstream, status, reason = alike
    call, served = (route, model, upstream), (model, upstream)
    sums.add("tollhouse_requests_total", (*call, str(status), str(reason)), sum(ended.durations))
    sums.spread(
        "tollhouse_request_duration_seconds", call, ended.durations, ended.duration_s, ended.slow
    )
    overheads = (ended.overheads, ended.overhead_s, ended.slow_overheads)
    sums.spread("tollhouse_overhead_seconds", (route,), *overheads)
    upstream_durations = (ended.upstream_durations, ended.upstream_s)
    sums.spread("tollhouse_upstream_duration_seconds", served, *upstream_durations)
    first_tokens = (ended.first_tokens, ended.first_token_s)
    sums.spread("tollhouse_time_to_first_token_seconds", served, *first_tokens)
    if any(ended.inputs):
        for kind, count in (
            ("input", ended.input_tokens),
            ("output", ended.output_tokens),
            ("cached_input", ended.cached_input_tokens),
            ("cache_write", ended.cache_write_tokens),
            ("reasoning", ended.reasoning_tokens),
        ):
            sums.add("tollhouse_tokens_total", (*served, kind), count)
    if ended.cost_nusd:
        sums.add("tollhouse_cost_nusd_total", served, ended.cost_nusd)


def _add_gen_ai(sums: _Sums, alike: Alike, ended: Ended) -> None:
    """The same by OpenTelemetry's names, of calls that came to an upstream."""
    route, model, upstream, status, reason = alike
    if route not in OPERATIONS or not upstream:
        return
    call = (OPERATIONS[route], PROVIDERS[ended.dialect], model)
    error = error_type(status, reason)
    durations = (ended.durations, ended.duration_s, ended.slow)
    sums.spread("gen_ai_server_request_duration_seconds", (*call, error), *durations)
    usage = "gen_ai_client_token_usage"
    sums.spread(usage, (*call, "input"), ended.inputs, ended.input_tokens)
    sums.spread(usage, (*call, "output"), ended.outputs, ended.output_tokens)
    if not error:
        first_tokens = (ended.first_tokens, ended.first_token_s)
        sums.spread("gen_ai_server_time_to_first_token_seconds", call, *first_tokens)


def accounting_figures(poster: Poster, quota: QuotaStore, unheard: Unheard) -> list[Figure]:
    """Charges on their way, how long they took, and what the worker knows of the quota store."""
    lag, breaker = poster.lag, quota.breaker
    return _singles(
        {
            "tollhouse_ledger_queue_depth": poster.waiting,
            "tollhouse_ledger_queue_bytes": poster.waiting_bytes,
            "tollhouse_ledger_refused_total": poster.refused,
            "tollhouse_settle_lag_seconds": Spread(tuple(lag.counts), lag.total_s),
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


def _singles(values: Mapping[str, Value]) -> list[Figure]:
    return [Figure(name, {(): value}) for name, value in values.items()]
