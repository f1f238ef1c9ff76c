"""What calls come to, counted for `/metrics`: one look-up and a few additions for each, and all else when it is asked.

Calls that ended alike are counted together: by route, model, upstream, status and what became of them. How many such
there can be is bounded: only models that the catalog knows and upstreams that it has stand by their names.
"""

from bisect import bisect_left
from typing import Final

from gateway.domain.catalog import Catalog, Dialect
from gateway.domain.families import DURATION_S, FIRST_TOKEN_S, OVERHEAD_S, TOKENS
from gateway.domain.figures import Exemplar
from gateway.domain.usage import Usage
from gateway.relay.call import Call, Outcome

OTHER: Final = "other"
"""Stands for the models and upstreams that have no figures of their own."""
_MOST: Final = 1000
_SLOW_S: Final = 5.12
_SLOW_OVERHEAD_S: Final = 0.025
_ERROR: Final = 400

Alike = tuple[str, str, str, int, str]
"""Route, model, upstream, status, reason."""


class Ended:
    """The calls that ended alike. Lists are counts by bucket, sums are in seconds, tokens and nano-dollars."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.durations = [0] * (len(DURATION_S) + 1)
        self.duration_s = 0.0
        self.overheads = [0] * (len(OVERHEAD_S) + 1)
        self.overhead_s = 0.0
        self.upstream_durations = [0] * (len(DURATION_S) + 1)
        self.upstream_s = 0.0
        self.first_tokens = [0] * (len(FIRST_TOKEN_S) + 1)
        self.first_token_s = 0.0
        self.inputs = [0] * (len(TOKENS) + 1)
        self.input_tokens = 0
        self.outputs = [0] * (len(TOKENS) + 1)
        self.output_tokens = 0
        self.cached_input_tokens = 0
        self.cache_write_tokens = 0
        self.reasoning_tokens = 0
        self.cost_nusd = 0
        self.slow: dict[int, Exemplar] = {}
        self.slow_overheads: dict[int, Exemplar] = {}


class CallCounters:
    """Counts since the worker was started. `most`: so many kinds of ends are told apart, and then `OTHER` begins."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self.ended: dict[Alike, Ended] = {}
        self.denied: dict[str, int] = {}

    def count(
        self,
        call: Call,
        outcome: Outcome,
        usage: Usage,
        now: float,
        cost_nusd: int,
        reason: str,
    ) -> None:
        """Count a call that is charged; `now` is of the clock that the call's own instants are of."""
        served = call.served
        model = call.terms.model.name if served is None else served.name
        upstream = call.upstream_name if call.was_sent else ""
        alike = (call.route.name, model, upstream, outcome.status, reason)
        ended = self.ended.get(alike)
        if ended is None:
            ended = self._ended_of(alike, call.dialect, call.catalog)
        duration_s = now - call.started
        place = bisect_left(DURATION_S, duration_s)
        ended.durations[place] += 1
        ended.duration_s += duration_s
        if duration_s >= _SLOW_S:
            ended.slow[place] = _exemplar(call, duration_s)
        if call.was_sent:
            overhead_s = call.sent_at - call.here_at
            place = bisect_left(OVERHEAD_S, overhead_s)
            ended.overheads[place] += 1
            ended.overhead_s += overhead_s
            if overhead_s >= _SLOW_OVERHEAD_S:
                ended.slow_overheads[place] = _exemplar(call, overhead_s)
            upstream_s = now - call.asked_at
            ended.upstream_durations[bisect_left(DURATION_S, upstream_s)] += 1
            ended.upstream_s += upstream_s
        if call.first_token_at is not None:
            first_token_s = call.first_token_at - call.started
            ended.first_tokens[bisect_left(FIRST_TOKEN_S, first_token_s)] += 1
            ended.first_token_s += first_token_s
        inputs, outputs = usage.input_tokens, usage.output_tokens
        if inputs or outputs:
            ended.inputs[bisect_left(TOKENS, inputs)] += 1
            ended.input_tokens += inputs
            ended.outputs[bisect_left(TOKENS, outputs)] += 1
            ended.output_tokens += outputs
            ended.cached_input_tokens += usage.cached_input_tokens
            ended.cache_write_tokens += usage.cache_write_tokens
            ended.reasoning_tokens += usage.reasoning_tokens
        ended.cost_nusd += cost_nusd
        call.is_counted = True

    def count_uncharged(self, call: Call, status: int, now: float, reason: str = "") -> None:
        """Count a request that took nothing: it was refused, or is answered here."""
        route = getattr(call, "route", None)
        terms = getattr(call, "terms", None)
        alike = (
            "" if route is None else str(route.name),
            "" if terms is None else str(terms.model.name),
            "",
            status,
            reason,
        )
        ended = self.ended.get(alike)
        if ended is None:
            ended = self._ended_of(alike, call.dialect, getattr(call, "catalog", None))
        duration_s = now - call.started
        ended.durations[bisect_left(DURATION_S, duration_s)] += 1
        ended.duration_s += duration_s
        call.is_counted = True

    def deny(self, reason: str) -> None:
        """Count a refusal that is no upstream's."""
        self.denied[reason] = self.denied.get(reason, 0) + 1

    def _ended_of(self, alike: Alike, dialect: Dialect, catalog: Catalog | None) -> Ended:
        """Where calls are counted for which nothing is kept under that name yet, or ever."""
        route, model, upstream, status, reason = alike
        route = route.partition("/")[0]  # a passage's has as many words as its path
        if model and not _is_known(model, catalog, status):
            model = OTHER
        named = (route, model, upstream, status, reason)
        if named not in self.ended and len(self.ended) >= self._most:
            named = (route, OTHER, OTHER, status, reason)
        ended = self.ended.get(named)
        if ended is None:
            ended = self.ended[named] = Ended(dialect)
        return ended


def _is_known(model: str, catalog: Catalog | None, status: int) -> bool:
    """Whether a model is listed, or has a published price and was answered: callers can think of any name."""
    if catalog is None:
        return False
    models = catalog.models
    if status < _ERROR and models.get(model) is not None:
        return True
    return any(model == each for each in models) or any(
        model in each.models for each in catalog.upstreams
    )


def _exemplar(call: Call, value: float) -> Exemplar:
    trace = call.trace
    return Exemplar(
        value,
        call.started_at,
        call.request_id.decode(),
        "" if trace is None else trace.trace_id,
    )
