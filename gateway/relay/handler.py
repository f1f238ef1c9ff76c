"""The handler of every call: runs a call's chain, answers refusals, and sees that nothing taken stays unsettled."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from aiohttp.web import StreamResponse

from gateway.domain.catalog import Catalog
from gateway.domain.errors import FAILURES, Reason, Refusal, StoreUnavailable
from gateway.domain.routes import dialect_of
from gateway.relay.answer import refuse, send_json, written
from gateway.relay.call import CLIENT_CLOSED_REQUEST, Call, Outcome
from gateway.relay.chain import Link, keys_unavailable
from gateway.relay.cors import is_preflight, preflight
from gateway.relay.counters import CallCounters
from gateway.relay.envelopes import status_of
from gateway.relay.load import LoadWatch
from gateway.relay.record import AccessLog, RequestIds, uuid_text
from gateway.relay.refusal_counts import RefusalCounts
from gateway.relay.request import Request
from gateway.relay.reservation import StaleRow
from gateway.relay.settlements import Settlements
from gateway.relay.spans import Tracer
from gateway.store.token_cache import TokenCache

_log = logging.getLogger(__name__)
_STALE_TRIES = 3
_OK = 200

# Refusals that a cached row may have got wrong: they are decided again on a fresh one before they are sent.
_DECIDED_ON_A_ROW = frozenset(
    {
        Reason.KEY_DISABLED,
        Reason.KEY_EXPIRED,
        Reason.ACCOUNT_DISABLED,
        Reason.IP_NOT_ALLOWED,
        Reason.MODEL_NOT_ALLOWED,
        Reason.MODEL_NOT_FOUND,
        Reason.MODEL_NOT_PRICED,
        Reason.GROUP_NOT_ALLOWED,
    }
)

Answered = StreamResponse | Refusal
Ending = Callable[[Call], Answered | Awaitable[Answered]]


@dataclass(frozen=True, slots=True)
class Ways:
    """What settings decide of how calls are handled: how routes are found, their checks, other origins."""

    identify: Callable[[Call], Refusal | None]
    chains: Mapping[str, Sequence[Link]]
    cors: bool


class Handler:
    """Handles calls by their `ways`: the kind of a route has its links in `chains`, and its answer in `endings`."""

    def __init__(
        self,
        *,
        ways: Ways,
        endings: Mapping[str, Ending],
        pages: Mapping[str, Callable[[], tuple[int, dict[str, object]]]],
        tokens: TokenCache,
        settlements: Settlements,
        load: LoadWatch,
        log: AccessLog,
        refusals: RefusalCounts,
        counters: CallCounters,
        tracer: Tracer,
        exhausted_status: int,
        catalog: Callable[[], Catalog],
    ) -> None:
        self.adopt(ways)
        self._endings = endings
        self._pages = pages
        self._tokens = tokens
        self._settlements = settlements
        self._load = load
        self._log = log
        self._refusals = refusals
        self._counters = counters
        self._tracer = tracer
        self._exhausted_status = exhausted_status
        self._catalog = catalog
        self._ids = RequestIds()
        self._running = 0
        self._quiet = asyncio.Event()
        self._last_word: Refusal | None = None

    def adopt(self, ways: Ways) -> None:
        """Go by these from the next call on."""
        self._identify = ways.identify
        self.chains = ways.chains
        self._cors = ways.cors

    async def drain(self, timeout_s: float) -> None:
        """Wait until no call is running, or the time is up."""
        if self._running:
            self._quiet.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._quiet.wait()

    def end(self, refusal: Refusal) -> None:
        """From now on a call that is cancelled is told this, while its caller is there and has no answer."""
        self._last_word = refusal

    async def handle(self, request: Request) -> StreamResponse:
        """Answer a request."""
        self._running += 1
        try:
            return await self._handle(request)
        finally:
            self._running -= 1
            if not self._running:
                self._quiet.set()

    async def _handle(self, request: Request) -> StreamResponse:
        """The one place where an unexpected exception ends."""
        now = time.time()
        call = Call(request, self._ids.next(now), time.monotonic(), now)
        call.dialect = dialect_of(call.path)
        if self._cors and "origin" in request.headers:
            if call.method == "OPTIONS" and is_preflight(request):
                return self._preflight(request)
            call.is_foreign = True
        page = self._pages.get(call.path)
        if page is not None and call.method in {"GET", "HEAD"}:
            status, members = page()
            send_json(call, status, orjson.dumps(members))
            return written(request)
        self._join_trace(call)
        if self._load.sheds:
            return self._refuse(call, self._load.refuse())
        try:
            answer = await self._answer(call)
        except (asyncio.CancelledError, ConnectionError):
            if self._last_word is None or call.finished or not _is_there(request):
                self._count_left(call)
                raise  # the caller has left; the forwarder settles what it has begun
            answer = self._last_word
        except Exception:  # noqa: BLE001 -- the only one of this process
            _log.exception("a call failed: %s", uuid_text(call.request_id))
            answer = Refusal(Reason.INTERNAL_ERROR, "Something went wrong here; it is on record.")
        if not isinstance(answer, Refusal):
            if call.reservation is None:
                self._count(call, _OK)
            return answer
        self._settle_unfinished(call, answer)
        return self._refuse(call, answer)

    def _join_trace(self, call: Call) -> None:
        told = call.request.headers.get("traceparent")
        if told is not None or self._tracer.is_on:
            call.trace = self._tracer.begin(told, call.request_id)

    def _preflight(self, request: Request) -> StreamResponse:
        if request.transport is not None:
            request.transport.write(preflight(request))
        return written(request)

    async def _answer(self, call: Call) -> StreamResponse | Refusal:
        unknown = self._identify(call)
        if unknown is not None:
            return unknown
        refusal = None
        for _ in range(_STALE_TRIES):
            call.catalog = self._catalog()
            try:
                refusal = await self._pass(call)
                if refusal is None:
                    ending = self._endings[call.route.kind](call)
                    return ending if isinstance(ending, StreamResponse | Refusal) else await ending
                if not await self._may_be_stale(call, refusal):
                    return refusal
                is_stale = False
            except StaleRow:
                is_stale = True
            if is_stale and (unavailable := await self._renew(call)) is not None:
                return unavailable
        return refusal or Refusal(
            Reason.QUOTA_UNAVAILABLE,
            "The token keeps changing while this call is checked. Try again.",
            retry_after_s=1,
        )

    async def _renew(self, call: Call) -> Refusal | None:
        try:
            await self._tokens.renew(call.entry)
        except StoreUnavailable as error:
            return keys_unavailable(error)
        return None

    async def _pass(self, call: Call) -> Refusal | None:
        """Run the chain: the first refusal ends it."""
        for link in self.chains[call.route.kind]:
            outcome = link(call)
            if outcome is None:
                continue
            if not isinstance(outcome, Refusal):
                outcome = await outcome
            if outcome is not None:
                return outcome
        return None

    async def _may_be_stale(self, call: Call, refusal: Refusal) -> bool:
        if refusal.reason not in _DECIDED_ON_A_ROW:
            return False
        if call.catalog is not self._catalog():
            return True  # it was edited meanwhile
        if call.is_fresh:
            return False
        with contextlib.suppress(StoreUnavailable):
            is_changed = await self._tokens.refresh(call.entry)
            return is_changed or call.catalog is not self._catalog()
        return False

    def _settle_unfinished(self, call: Call, refusal: Refusal) -> None:
        """A call that was reserved and did not come to an answer: nothing was produced, nothing is charged."""
        if call.reservation is not None and not call.finished:
            status = status_of(refusal, self._exhausted_status)
            self._settlements.finish(call, Outcome(status, reason=refusal.reason))

    def _count(self, call: Call, status: int, reason: str = "") -> None:
        """Count a request that was not charged, and was not counted then."""
        if call.is_counted:
            return
        now = time.monotonic()
        self._counters.count_uncharged(call, status, now, reason)
        if call.trace is not None and call.trace.sampled:
            self._tracer.add_uncharged(call, status, now - call.started, reason)

    def _count_left(self, call: Call) -> None:
        """Count a call whose caller has left, unless that is done when it is settled."""
        if getattr(call, "hold", None) is None:
            self._count(call, CLIENT_CLOSED_REQUEST, "client_closed")

    def _refuse(self, call: Call, refusal: Refusal) -> StreamResponse:
        status = refuse(call, refusal, self._exhausted_status)
        entry = getattr(call, "entry", None)
        self._refusals.add(0 if entry is None else entry.token.id, refusal.reason)
        if not call.was_sent and refusal.reason not in FAILURES:
            self._counters.deny(refusal.reason)
        self._count(call, status, refusal.reason)
        self._log.add(self._refusal_line(call, refusal, status))
        return written(call.request)

    def _refusal_line(self, call: Call, refusal: Refusal, status: int) -> bytes:
        entry = getattr(call, "entry", None)
        address = getattr(call, "address", None) or call.peer
        line: dict[str, object] = {
            "ts": round(call.started_at, 3),
            "level": "info" if status < 500 else "warning",  # noqa: PLR2004
            "event": "refusal",
            "request_id": call.request_id.decode(),
            "reason": refusal.reason,
            "status": status,
            "method": call.method[:16],
            "path": call.path[:200],
            "address": address.text,
        }
        route, ask = getattr(call, "route", None), getattr(call, "ask", None)
        if route is not None:
            line["route"] = route.name
        if ask is not None and ask.model:
            line["model"] = ask.model
        if call.trace is not None:
            line["trace_id"] = call.trace.trace_id
        if entry is not None:
            line |= {"token": entry.token.id, "account": entry.token.account_id}
        if refusal.cause:
            line["cause"] = refusal.cause
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _is_there(request: Request) -> bool:
    """Whether the caller can still be told something."""
    return request.transport is not None and not request.transport.is_closing()
