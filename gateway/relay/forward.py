"""Forwarding: which upstream, what is sent to it, and when another is tried.

A request that may have been executed is never sent again: only one that was never sent, one that a kept-alive
connection swallowed without a byte, or one that the upstream declined by its status.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import orjson
from aiohttp.web import StreamResponse

from gateway.domain.ask import rewrite, with_usage_asked
from gateway.domain.errors import Reason, Refusal
from gateway.relay.answer import closing, written
from gateway.relay.attempt import Attempt, Verdict
from gateway.relay.call import Call, Outcome, Target
from gateway.relay.headers import constant_request_head, request_head
from gateway.relay.upstream import UpstreamConnection

_log = logging.getLogger(__name__)
_TICK_S = 0.25


class Forwarder:
    """Carries calls to upstreams. `finish` settles and records a call; it is called exactly once for each."""

    def __init__(
        self,
        finish: Callable[[Call, Outcome], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._finish = finish
        self._clock = clock
        self._live: set[Attempt] = set()
        self._heads: dict[tuple[str, str], bytes] = {}

    async def forward(self, call: Call) -> StreamResponse | Refusal:
        """Try the call's targets in order until the caller has an answer."""
        targets = list(call.terms.targets)
        refusal = Refusal(Reason.UPSTREAM_UNAVAILABLE, "No upstream could be reached.")
        resent = False
        while targets:
            target = targets.pop(0)
            call.upstream_name = target.upstream.name
            connection = target.pool.take()
            if connection is None:
                try:
                    connection = await target.pool.connect()
                except (OSError, TimeoutError) as error:
                    refusal = _unreachable(call, target, error)
                    _log.warning("upstream %s cannot be reached: %r", target.upstream.name, error)
                    continue
            attempt = self._begin(call, target, connection, has_more=bool(targets))
            await self._see_through(call, attempt)
            match attempt.verdict:
                case Verdict.ANSWERED:
                    transport = call.request.transport
                    return closing() if transport is None else written(call.request)
                case Verdict.RESEND if not resent:
                    resent = True
                    targets.insert(0, target)
                case _:
                    refusal = attempt.refusal or refusal
                    if attempt.verdict is Verdict.REFUSED:
                        break
        return refusal

    def live_calls(self) -> list[Call]:
        """The calls that upstreams are answering."""
        return [attempt.call for attempt in self._live if attempt.verdict is None]

    def cut(self, refusal: Refusal) -> None:
        """End every answer in progress: we are shutting down and its time is up."""
        for attempt in list(self._live):
            attempt.cut(refusal)

    async def settle_detached(self) -> None:
        """End attempts that go on without their caller; what they produced is charged."""
        for attempt in [attempt for attempt in self._live if attempt.detached]:
            attempt.expire()
        self._live.clear()

    def expire(self) -> None:
        """End attempts whose deadline passed. Called each quarter of a second: a timer per call costs more."""
        now = self._clock()
        for attempt in [attempt for attempt in self._live if attempt.deadline < now]:
            self._live.discard(attempt)
            attempt.expire()
        self._forget_ended()

    async def watch(self) -> None:
        """Look for expired attempts, for ever."""
        while True:
            await asyncio.sleep(_TICK_S)
            self.expire()

    def _begin(
        self, call: Call, target: Target, connection: UpstreamConnection, *, has_more: bool
    ) -> Attempt:
        body, hide_usage = _body(call, target)
        attempt = Attempt(
            call,
            target,
            connection,
            self._finish,
            now=self._clock(),
            hide_usage=hide_usage,
            has_more_targets=has_more,
        )
        path = call.route.upstream_path
        constant = self._heads.get((target.upstream.name, path))
        if constant is None:
            constant = constant_request_head(target.upstream, path)
            self._heads[target.upstream.name, path] = constant
        head = request_head(constant, call.request.headers, len(body))
        self._live.add(attempt)
        connection.send(head, body, attempt)
        return attempt

    async def _see_through(self, call: Call, attempt: Attempt) -> None:
        try:
            while True:
                await attempt.changed()
                if attempt.verdict is not None:
                    return
                await call.request.writer.drain()
                attempt.read_on()
        except (asyncio.CancelledError, ConnectionError):
            attempt.leave()
            raise
        finally:
            if attempt.verdict is not None:
                self._live.discard(attempt)

    def _forget_ended(self) -> None:
        """Attempts that went on without their caller end here."""
        for attempt in [a for a in self._live if a.detached and a.verdict is not None]:
            self._live.discard(attempt)


def _body(call: Call, target: Target) -> tuple[bytes, bool]:
    """The body for an upstream, and whether its usage event is to be kept from the caller."""
    changes: dict[str, bytes] = {}
    ask = call.ask
    if target.model_name != ask.model:
        changes["model"] = orjson.dumps(target.model_name)
    if call.hold.write_max_output is not None and call.terms.capped:
        changes[_max_output_field(call, target)] = b"%d" % call.hold.write_max_output
    hide_usage = ask.stream and call.route.form.usage_option and not ask.wants_usage
    if hide_usage:
        changes["stream_options"] = with_usage_asked(call.body)
    return rewrite(call.body, changes), hide_usage


def _max_output_field(call: Call, target: Target) -> str:
    """Where a maximum is written. OpenAI's newer models refuse `max_tokens`, many other servers know nothing else."""
    fields = call.route.form.max_fields
    if call.terms.model.max_output_field in fields:
        return str(call.terms.model.max_output_field)
    if (target.upstream.base_url.hostname or "").endswith(".openai.com"):
        return fields[0]
    return fields[-1]


def _unreachable(call: Call, target: Target, error: Exception) -> Refusal:
    timed_out = isinstance(error, TimeoutError)
    return Refusal(
        Reason.UPSTREAM_TIMEOUT if timed_out else Reason.UPSTREAM_UNAVAILABLE,
        f"The upstream of {call.ask.model!r} could not be reached. Nothing is wrong with your key.",
        cause=f"{target.upstream.name}: {error!r}",
    )
