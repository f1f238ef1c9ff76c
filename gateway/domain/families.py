"""Every figure for a monitoring system: its name, kind and labels, what it means, and how those of workers become one.

Names and units follow https://prometheus.io/docs/practices/naming/. Those that begin with `gen_ai_` are those of
OpenTelemetry, with underscores for dots and the unit at the end:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/ and
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/. Buckets, too, are theirs, with some
beyond and between. Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

GEN_AI_DURATION_S: Final[tuple[float, ...]] = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
GEN_AI_FIRST_TOKEN_S: Final[tuple[float, ...]] = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
DURATION_S: Final[tuple[float, ...]] = (
    0.001,
    0.005,
    *GEN_AI_DURATION_S,
    163.84,
    327.68,
    600.0,
    900.0,
)
FIRST_TOKEN_S: Final[tuple[float, ...]] = (*GEN_AI_FIRST_TOKEN_S, 20.0, 40.0, 80.0, 160.0, 320.0)
OVERHEAD_S: Final[tuple[float, ...]] = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
LAG_S: Final[tuple[float, ...]] = (
    0.05,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.75,
    1.0,
    2.0,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
TOKENS: Final[tuple[int, ...]] = tuple(4**n for n in range(14))


class Kind(StrEnum):
    """What Prometheus makes of a family."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Family(NamedTuple):
    """All figures of one name. `join`: what a gauge of several workers comes to; everything else is added."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    means: str
    bounds: Sequence[float] = ()
    join: Callable[[float, float], float] | None = None


def _counter(name: str, means: str, *labels: str) -> Family:
    return Family(name, Kind.COUNTER, labels, means)


def _gauge(
    name: str,
    means: str,
    *labels: str,
    join: Callable[[float, float], float] | None = None,
) -> Family:
    return Family(name, Kind.GAUGE, labels, means, join=join)


def _histogram(name: str, means: str, bounds: Sequence[float], *labels: str) -> Family:
    return Family(name, Kind.HISTOGRAM, labels, means, bounds)


_CALL = ("route", "model", "provider")
_GEN_AI = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")

_ALL = (
    # Calls
    _counter(
        "tollhouse_requests_total",
        "Requests, each once, by the status that was answered and what became of them.",
        *_CALL,
        "status",
        "reason",
    ),
    _counter(
        "tollhouse_denied_total",
        "Requests that were refused here, before any upstream was asked.",
        "reason",
    ),
    _histogram(
        "tollhouse_request_duration_seconds",
        "From the head of a request until it is charged, which is before the last bytes of "
        "its answer; of a refusal until it is written.",
        DURATION_S,
        *_CALL,
    ),
    _histogram(
        "tollhouse_overhead_seconds",
        "From a request's being here whole until it is first sent to an upstream: checks, "
        "hold, choice, connection, and waiting for others' holds or a place.",
        OVERHEAD_S,
        "route",
    ),
    _histogram(
        "tollhouse_upstream_duration_seconds",
        "From sending a call to the upstream that answered it until it is charged.",
        DURATION_S,
        "model",
        "provider",
    ),
    _histogram(
        "tollhouse_time_to_first_token_seconds",
        "From the head of a request until its caller had the first event of a stream with output.",
        FIRST_TOKEN_S,
        "model",
        "provider",
    ),
    _counter(
        "tollhouse_tokens_total",
        "Tokens that were charged. Types input and output are all of them; cached_input and "
        "cache_write are parts of the input, reasoning of the output.",
        "model",
        "provider",
        "type",
    ),
    _counter(
        "tollhouse_cost_nusd_total", "What was charged, in nano-dollars.", "model", "provider"
    ),
    _counter(
        "tollhouse_shadow_refusals_total",
        "Calls that a limit in the shadow would have refused.",
        "scope",
        "metric",
        "window",
    ),
    _gauge(
        "tollhouse_active_calls", "Calls between the first look at their upstreams and their end."
    ),
    _gauge("tollhouse_active_streams", "Those of them whose answer is a stream."),
    # OpenTelemetry's
    _histogram(
        "gen_ai_client_token_usage",
        "Input and output tokens of a call.",
        TOKENS,
        *_GEN_AI,
        "gen_ai_token_type",
    ),
    _histogram(
        "gen_ai_server_request_duration_seconds",
        "Duration of a call; error_type is empty where it succeeded.",
        GEN_AI_DURATION_S,
        *_GEN_AI,
        "error_type",
    ),
    _histogram(
        "gen_ai_server_time_to_first_token_seconds",
        "Time to the first token of a stream that succeeded.",
        GEN_AI_FIRST_TOKEN_S,
        *_GEN_AI,
    ),
    # Upstreams
    _gauge(
        "tollhouse_upstream_breaker",
        "An upstream's circuit breaker: 0 closed, 1 half-open, 2 open; of several workers the"
        " highest.",
        "provider",
        join=max,
    ),
    _gauge("tollhouse_upstream_outstanding", "Calls under way at an upstream.", "provider"),
    _gauge(
        "tollhouse_upstream_waiting",
        "Calls in line for one of an upstream's max_connections.",
        "provider",
    ),
    _gauge(
        "tollhouse_upstream_keys_aside",
        "Keys that an upstream declined lately; of several workers the most.",
        "provider",
        join=max,
    ),
    _counter(
        "tollhouse_upstream_failures_total",
        "Attempts that failed: no connection, no whole answer in time, or a status of 500 or more.",
        "provider",
    ),
    # Quota and ledger
    _gauge(
        "tollhouse_redis_up",
        "Whether the quota store is asked; 0 while its circuit breaker is open, in any worker.",
        join=min,
    ),
    _counter(
        "tollhouse_redis_breaker_openings_total",
        "How often the quota store was lost after it had been there.",
    ),
    _gauge(
        "tollhouse_quota_held_nusd",
        "What live calls hold, in nano-dollars (the last audit's).",
        join=max,
    ),
    _gauge(
        "tollhouse_quota_live_reservations",
        "Calls that hold something (the last audit's).",
        join=max,
    ),
    _gauge(
        "tollhouse_quota_overspend_nusd",
        "Used, pending and held beyond what was ever granted, in nano-dollars (the last audit's).",
        join=max,
    ),
    _gauge(
        "tollhouse_quota_unheard_reservations",
        "Reservations whose answer never came and that are not given back yet.",
    ),
    _counter(
        "tollhouse_quota_double_faults_total",
        "Losses of the quota store that a worker could announce its calls in too late.",
    ),
    _histogram(
        "tollhouse_settle_lag_seconds", "From the end of a call until Postgres had its row.", LAG_S
    ),
    _gauge("tollhouse_ledger_queue_depth", "Charges that Postgres does not have yet."),
    _gauge(
        "tollhouse_ledger_queue_bytes",
        "Memory that those take; each worker has quota.post_buffer_bytes.",
    ),
    _counter(
        "tollhouse_ledger_refused_total",
        "Calls that were refused because there was no room for their charge.",
    ),
    _gauge(
        "tollhouse_ledger_unmetered_nusd",
        "Unbilled, or charged by estimate, in the whole ledger, in nano-dollars (the last "
        "audit's).",
        join=max,
    ),
    _gauge(
        "tollhouse_audit_differences",
        "What does not add up, by kind. Anything above 0 is wrong.",
        "kind",
        join=max,
    ),
    _gauge("tollhouse_audit_last_run_timestamp_seconds", "When the last audit ended.", join=max),
    _gauge("tollhouse_audit_duration_seconds", "How long it took.", join=max),
    _counter("tollhouse_audit_failures_total", "Audits that came to no result."),
    # The worker
    _counter("tollhouse_key_cache_hits_total", "Look-ups of a key that were answered from memory."),
    _counter("tollhouse_key_cache_misses_total", "Look-ups of a key that asked Postgres."),
    _gauge(
        "tollhouse_key_cache_bytes",
        "Memory that remembered keys take; each worker has keys.cache_bytes.",
    ),
    _gauge("tollhouse_connections", "Connections of callers that are open."),
    _counter(
        "tollhouse_connections_refused_total",
        "Connections that were one too many of their address.",
    ),
    _gauge(
        "tollhouse_loop_delay_seconds",
        "By how much the worker came late to its last look at itself; of several the latest.",
        join=max,
    ),
    _gauge(
        "tollhouse_open_descriptors",
        "Descriptors that a worker has open; of several the most.",
        join=max,
    ),
    _gauge(
        "tollhouse_overloaded",
        "Workers that turn new calls away, because the loop is late (delay) or descriptors "
        "run out (descriptors).",
        "by",
    ),
    _counter("tollhouse_shed_calls_total", "Calls that were turned away so."),
    _gauge("tollhouse_draining", "Workers that take no new calls because they are told to end."),
    _gauge("tollhouse_workers", "Workers that told their figures."),
    _gauge("tollhouse_build_info", "1, with the version that runs.", "version", join=max),
    _counter("tollhouse_log_dropped_total", "Lines of the access log that could not be written."),
    _counter("tollhouse_spans_exported_total", "Spans that the collector took."),
    _counter(
        "tollhouse_spans_dropped_total",
        "Spans that were dropped: the queue was full, or the collector declined them.",
    ),
)

FAMILIES: Final[Mapping[str, Family]] = {family.name: family for family in _ALL}
"""By name, in the order in which they are told."""
