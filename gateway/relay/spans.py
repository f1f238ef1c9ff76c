"""Spans of sampled calls on their way to a collector: OTLP over HTTP, in JSON.

https://opentelemetry.io/docs/specs/otlp/#otlphttp. Calls leave here what is known at their end and go on; everything
else is done beside them, and a collector that is slow or away costs spans, and no call. Nothing of what callers send or
get is in a span. Why no SDK: docs/decisions/0017-traces.md.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp
import orjson

from gateway import __version__
from gateway.domain.gen_ai import OPERATIONS, PROVIDERS, error_type
from gateway.domain.redaction import redact
from gateway.domain.trace import Trace, read_traceparent
from gateway.domain.usage import Usage
from gateway.relay.call import AttemptSpan, Call, Outcome
from gateway.relay.record import new_span_id

_log = logging.getLogger(__name__)
_INTERVAL_S: Final = 1.0
_TIMEOUT_S: Final = 10.0
_LAST_TIMEOUT_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 30.0
_MOST_CALLS: Final = 5000
_BATCH: Final = 100
"""Calls of one request: what is made of them is made in about a millisecond."""
_SERVER, _CLIENT = 2, 3
_FAILED: Final = 2
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
_ERROR: Final = 400
_FAULT: Final = 500
_MOST_ANSWER_BYTES: Final = 65_536

Attributes = dict[str, str | int | float | bool]


class _CallSpan:
    """What is known of a call at its end. Its attempts may end a moment later."""

    __slots__ = ("attempts", "attributes", "duration_s", "error", "name", "started_at", "trace")

    def __init__(
        self, call: Call, trace: Trace, duration_s: float, error: str, attributes: Attributes
    ) -> None:
        operation, model = (
            attributes.get("gen_ai.operation.name"),
            attributes.get("gen_ai.request.model"),
        )
        self.trace = trace
        self.name = " ".join(str(each) for each in (operation or call.method[:16], model) if each)
        self.started_at = call.started_at
        self.duration_s = duration_s
        self.error = error
        self.attributes = attributes
        self.attempts: Sequence[AttemptSpan] = call.attempts or ()


class Tracer:
    """Decides which calls are traced, and sends their spans to `endpoint`; empty: none are.

    A caller's own decision is followed; of calls without one, `ratio` of them. `headers` are sent to the collector.
    """

    def __init__(self, endpoint: str, ratio: float, headers: Mapping[str, str]) -> None:
        self._url = (
            f"{endpoint.rstrip('/').removesuffix('/v1/traces')}/v1/traces" if endpoint else ""
        )
        self._ratio = ratio
        self._headers = {**headers, "Content-Type": "application/json"}
        self._calls: deque[_CallSpan] = deque()
        self._resource = _attributes(
            {
                "service.name": "tollhouse",
                "service.version": __version__,
                "service.instance.id": new_span_id(),
            }
        )
        self._pause_s = 0.0
        self._is_failing = False
        self.is_on = bool(self._url)
        self.exported = 0
        self.dropped = 0

    def begin(self, told: str | None, request_id: bytes) -> Trace | None:
        """A call's place in a trace; None where it has none. Its id is the caller's, or else the request's."""
        parent = None if told is None else read_traceparent(told)
        if parent is None:
            if not self.is_on or random.random() >= self._ratio:  # noqa: S311 -- no secret
                return None
            return Trace(request_id.decode(), "", new_span_id(), sampled=True)
        if not self.is_on:
            return parent._replace(sampled=False)
        return parent._replace(span_id=new_span_id()) if parent.sampled else parent

    def add(
        self,
        call: Call,
        outcome: Outcome,
        usage: Usage,
        duration_s: float,
        cost_nusd: int,
        reason: str,
    ) -> None:
        """Take a sampled call that is charged."""
        ask, terms = call.ask, call.terms
        attributes = _of_request(call, outcome.status)
        attributes |= {
            "gen_ai.operation.name": OPERATIONS.get(call.route.name, call.route.name),
            "gen_ai.provider.name": PROVIDERS[call.dialect],
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.request.choice.count": ask.choices,
            "tollhouse.stream": ask.stream,
            "tollhouse.cost_nusd": cost_nusd,
            "tollhouse.token_id": call.entry.token.id,
            "tollhouse.account_id": call.entry.token.account_id,
        }
        if ask.model:
            attributes["gen_ai.request.model"] = redact(ask.model)
        if ask.max_output_tokens is not None:
            attributes["gen_ai.request.max_tokens"] = ask.max_output_tokens
        if call.was_sent:
            attributes["tollhouse.upstream"] = call.upstream_name
        if call.served is not None and call.served.name != terms.model.name:
            attributes["tollhouse.served_model"] = call.served.name
        if outcome.anomaly is not None:
            attributes["tollhouse.anomaly"] = outcome.anomaly
        if call.first_token_at is not None:
            attributes["tollhouse.time_to_first_token_s"] = call.first_token_at - call.started
        self._keep(call, duration_s, error_type(outcome.status, reason), attributes)

    def add_uncharged(self, call: Call, status: int, duration_s: float, reason: str) -> None:
        """Take a sampled request that took nothing: it was refused, or is answered here."""
        attributes = _of_request(call, status)
        ask = getattr(call, "ask", None)
        if ask is not None and ask.model:
            attributes["gen_ai.request.model"] = redact(ask.model)
            attributes["gen_ai.operation.name"] = OPERATIONS.get(call.route.name, call.route.name)
            attributes["gen_ai.provider.name"] = PROVIDERS[call.dialect]
        self._keep(call, duration_s, error_type(status, reason), attributes)

    async def run(self) -> None:
        """Send until cancelled, and once more then."""
        if not self.is_on:
            return
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(
            timeout=timeout, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            try:
                while True:
                    await asyncio.sleep(self._pause_s or _INTERVAL_S)
                    await self._send_all(session)
            except asyncio.CancelledError:
                try:
                    async with asyncio.timeout(_LAST_TIMEOUT_S):
                        await self._send_all(session)
                except TimeoutError:
                    pass
                raise

    def _keep(self, call: Call, duration_s: float, error: str, attributes: Attributes) -> None:
        trace = call.trace
        assert trace is not None
        if len(self._calls) >= _MOST_CALLS:
            self.dropped += 1 + len(call.attempts or ())
            return
        self._calls.append(_CallSpan(call, trace, duration_s, error, attributes))

    async def _send_all(self, session: aiohttp.ClientSession) -> None:
        while self._calls:
            batch = [self._calls.popleft() for _ in range(min(_BATCH, len(self._calls)))]
            spans = [span for each in batch for span in _spans(each)]
            try:
                taken = await self._send(session, spans)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                self._calls.extendleft(reversed(batch))
                self._fail(repr(error))
                return
            except asyncio.CancelledError:
                self._calls.extendleft(reversed(batch))
                raise
            self.exported += taken
            self.dropped += len(spans) - taken
            self._pause_s = 0.0

    async def _send(self, session: aiohttp.ClientSession, spans: Sequence[object]) -> int:
        """How many the collector took. Raises where it is to be tried again."""
        scope = {"name": "tollhouse", "version": __version__}
        body = {
            "resourceSpans": [
                {
                    "resource": {"attributes": self._resource},
                    "scopeSpans": [{"scope": scope, "spans": spans}],
                }
            ]
        }
        async with session.post(
            self._url, data=orjson.dumps(body), allow_redirects=False
        ) as answer:
            said = await answer.content.read(_MOST_ANSWER_BYTES)
            if answer.status in _RETRYABLE:
                raise OSError(f"the collector answered {answer.status}")
            if not answer.ok:
                self._tell(f"it answered {answer.status}")
                return 0
        if self._is_failing:
            self._is_failing = False
            _log.warning("the collector of spans takes them again")
        return len(spans) - _rejected(said)

    def _fail(self, problem: str) -> None:
        self._pause_s = min(max(self._pause_s * 2, _INTERVAL_S), _LONGEST_PAUSE_S)
        self._tell(problem)

    def _tell(self, problem: str) -> None:
        if not self._is_failing:
            self._is_failing = True
            _log.warning("the collector of spans at %s does not take them: %s", self._url, problem)


def _rejected(answer: bytes) -> int:
    """How many spans a collector says that it declined of those that it answered 200 for."""
    try:
        return int(orjson.loads(answer)["partialSuccess"]["rejectedSpans"])
    except (ValueError, KeyError, TypeError):
        return 0


def _of_request(call: Call, status: int) -> Attributes:
    attributes: Attributes = {
        "http.request.method": call.method[:16],
        "http.response.status_code": status,
        "url.path": redact(call.path[:200]),
        "tollhouse.request_id": call.request_id.decode(),
    }
    route = getattr(call, "route", None)
    if route is not None:
        attributes["tollhouse.route"] = route.name
    return attributes


def _spans(call: _CallSpan) -> list[dict[str, object]]:
    """A call's span and those of its attempts."""
    trace = call.trace
    attributes = call.attributes
    status = attributes["http.response.status_code"]
    is_fault = bool(call.error) and isinstance(status, int) and not (_ERROR <= status < _FAULT)
    spans = [
        _span(
            trace,
            trace.span_id,
            trace.parent_id,
            call.name,
            _SERVER,
            call.started_at,
            call.started_at + call.duration_s,
            attributes,
            call.error,
            is_fault=is_fault,
        )
    ]
    for each in call.attempts:
        ended_at = each.ended_at or call.started_at + call.duration_s
        told: Attributes = {
            "gen_ai.operation.name": attributes["gen_ai.operation.name"],
            "gen_ai.provider.name": attributes["gen_ai.provider.name"],
            "server.address": each.host,
            "server.port": each.port,
            "tollhouse.upstream": each.upstream,
        }
        if each.model:
            told["gen_ai.request.model"] = each.model
        if each.status is not None:
            told["http.response.status_code"] = each.status
        is_error = each.status is not None and each.status >= _ERROR
        error = str(each.status) if is_error else each.error
        spans.append(
            _span(
                trace,
                each.span_id,
                trace.span_id,
                call.name,
                _CLIENT,
                each.started_at,
                ended_at,
                told,
                error,
                is_fault=bool(error),
            )
        )
    return spans


def _span(
    trace: Trace,
    span_id: str,
    parent_id: str,
    name: str,
    kind: int,
    started_at: float,
    ended_at: float,
    attributes: Attributes,
    error: str,
    *,
    is_fault: bool,
) -> dict[str, object]:
    """One span as OTLP's JSON has it: ids in hexadecimal, 64-bit numbers as text."""
    if error:
        attributes = {**attributes, "error.type": error}
    span: dict[str, object] = {
        "traceId": trace.trace_id,
        "spanId": span_id,
        "name": name,
        "kind": kind,
        "flags": 1,
        "startTimeUnixNano": str(int(started_at * 1e9)),
        "endTimeUnixNano": str(int(max(started_at, ended_at) * 1e9)),
        "attributes": _attributes(attributes),
        "status": {"code": _FAILED} if is_fault else {},
    }
    if parent_id:
        span["parentSpanId"] = parent_id
    return span


def _attributes(values: Attributes) -> list[dict[str, object]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: str | float | bool) -> dict[str, object]:  # noqa: FBT001 -- any of them
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": value.encode("utf-8", "backslashreplace").decode()}
