"""A call: what is known of one request, written once by whoever finds it out, and its outcome.

The chain's checks read and fill it; the forwarder and the record read it.
"""

from dataclasses import dataclass
from typing import Any

from gateway.domain.ask import Ask
from gateway.domain.catalog import Catalog, Dialect, Model, Upstream
from gateway.domain.choice import Load
from gateway.domain.network import Address
from gateway.domain.pricing import Pricing
from gateway.domain.quota import Hold
from gateway.domain.routes import Route
from gateway.domain.trace import Trace
from gateway.domain.usage import NOTHING, Usage, cost_nusd
from gateway.relay.request import Request
from gateway.relay.upstream import UpstreamPool
from gateway.relay.upstream_state import UpstreamState
from gateway.store.charges import NOTHING_TOLD, told_text
from gateway.store.prepared import Prepared
from gateway.store.replies import Refused, Reserved
from gateway.store.token_cache import Entry

LET_THROUGH = Reserved(None)
"""The reservation of a call that went on without the store's word; it is told of it afterwards."""

CLIENT_CLOSED_REQUEST = 499
"""nginx's number for a caller who left before the answer was whole."""


_PLACE = 1_000_000_000  # more than any priority


@dataclass(frozen=True, slots=True)
class Target:
    """An upstream that can serve a model, as the worker sees it now, and its own name for the model.

    Those of lower `place` go first: an earlier model of a group of models, and for each what needs no translation.
    """

    state: UpstreamState
    model_name: str
    model: Model
    place: int = 0

    @property
    def upstream(self) -> Upstream:
        """Its settings."""
        return self.state.upstream

    @property
    def pool(self) -> UpstreamPool:
        """Its connections."""
        return self.state.pool

    def max_field(self, fields: tuple[str, ...]) -> str:
        """Which of these a maximum is written into."""
        return self.upstream.max_field(self.model, fields)

    def load(self, now: float) -> Load:
        """What the choice between targets rests on: of those that are fit, an earlier place goes first."""
        load = self.state.load(now)
        if not self.place:
            return load
        return load._replace(priority=load.priority + self.place * _PLACE)


@dataclass(frozen=True, slots=True)
class Terms(Pricing):
    """What binds a token's calls of one model, made once: pricing, reservation, upstreams, constant text.

    `nothing_told`: the last fields of the ledger's line of calls whose caller tells nothing.
    """

    catalog: Catalog
    targets: tuple[Target, ...]
    prepared: Prepared
    ledger_constant: bytes
    log_constant: bytes
    nothing_told: bytes = NOTHING_TOLD


@dataclass(slots=True)
class Outcome:
    """How a forwarded call ended. `reason`: of the refusal that its caller was told, if any."""

    status: int
    usage: Usage = NOTHING
    estimated: bool = False
    anomaly: str | None = None
    reason: str = ""


class AttemptSpan:
    """What is told of an attempt in a trace. Instants are Unix seconds; `ended_at` is 0 until it has ended."""

    __slots__ = (
        "ended_at",
        "error",
        "host",
        "model",
        "port",
        "span_id",
        "started_at",
        "status",
        "upstream",
    )

    def __init__(self, span_id: str, target: Target, started_at: float) -> None:
        url = target.upstream.base_url
        self.span_id = span_id
        self.upstream = target.upstream.name
        self.model = target.model_name
        self.host = url.hostname or ""
        self.port = url.port or (443 if url.scheme == "https" else 80)
        self.started_at = started_at
        self.ended_at = 0.0
        self.status: int | None = None
        self.error = ""

    def end(self, ended_at: float, status: int | None, error: str | None) -> None:
        """It is over."""
        self.ended_at = ended_at
        self.status = status
        # Whatever follows the colon is the exception's own text, and there are any number of those.
        self.error = (error or "").partition(":")[0].partition("(")[0]


class Call:
    """One request on its way. Facts of a check that has not run yet are unset: reading one is a bug and loud."""

    __slots__ = (
        "address",
        "ask",
        "asked_at",
        "attempts",
        "body",
        "catalog",
        "dialect",
        "entry",
        "fenced",
        "finished",
        "first_token_at",
        "here_at",
        "hold",
        "is_counted",
        "is_foreign",
        "is_fresh",
        "is_translated",
        "made",
        "method",
        "only_at",
        "path",
        "peer",
        "query",
        "request",
        "request_id",
        "reservation",
        "route",
        "sent_at",
        "served",
        "started",
        "started_at",
        "terms",
        "trace",
        "ttfb_ms",
        "upload",
        "upstream_name",
        "was_sent",
    )

    request: Request
    request_id: bytes
    started: float  # seconds of the monotonic clock
    started_at: float  # Unix seconds
    method: str
    path: str
    query: str  # as it was sent
    peer: Address
    address: Address | None
    dialect: Dialect
    route: Route
    catalog: Catalog
    entry: Entry
    body: bytes
    ask: Ask
    terms: Terms
    hold: Hold
    reservation: Reserved | None
    upload: Any  # an `Upload`, of a body that passes through unread

    def __init__(
        self, request: Request, request_id: bytes, started: float, started_at: float
    ) -> None:
        self.request = request
        self.request_id = request_id
        self.started = started
        self.here_at = started  # when the body was here
        self.sent_at = self.asked_at = started  # when it was first sent to an upstream, and last
        self.started_at = started_at
        self.method = request.method
        self.path = request.path
        self.query = request.raw_query
        self.peer = request.peer
        if request.body is not None:
            self.body = request.body
        self.upstream_name = ""
        self.ttfb_ms: int | None = None
        self.is_foreign = False  # a browser's, from another origin
        self.is_fresh = False
        self.fenced = False  # somebody else has ended its reservation: it must not go on
        self.finished = False
        self.first_token_at: float | None = None
        self.is_counted = False
        self.trace: Trace | None = None
        self.attempts: list[AttemptSpan] | None = None  # of a call that is traced
        self.was_sent = False  # an upstream may have taken it
        self.reservation = None
        self.upload = None
        self.served: Model | None = None  # the model that is called, once an upstream was chosen
        self.made: str | None = None  # the id of the object that it has made at its upstream
        self.is_translated = False  # for the upstream that it is at
        self.only_at: str | None = None  # the upstream that has what the call is about

    @property
    def targets(self) -> tuple[Target, ...]:
        """Where it may go."""
        targets = self.terms.targets
        if self.only_at is None:
            return targets
        return tuple(each for each in targets if each.upstream.name == self.only_at) or targets

    @property
    def shadows(self) -> tuple[Refused, ...]:
        """What limits in the shadow would have refused it for."""
        return () if self.reservation is None else self.reservation.shadows

    @property
    def makes(self) -> bool:
        """Whether its answer stays at the upstream as an object."""
        return (self.route.makes or self.ask.stores) and not self.is_translated

    @property
    def terms_key(self) -> tuple[object, ...]:
        """By what the terms of the token's calls are kept."""
        route = self.route
        if route.rule is None:
            return (route.dialect, route.others, self.ask.model)
        return (route.dialect, self.ask.model, route.rule)

    def cost_nusd(self, usage: Usage) -> int:
        """What that much use costs this call; nothing, where its model has no price."""
        price, ask = (self.served or self.terms.model).price, self.ask
        if price is None:
            return 0
        return cost_nusd(
            usage,
            price,
            self.terms.ratio_ppm,
            has_audio=ask.has_audio,
            has_images=ask.has_images,
        )

    @property
    def detail(self) -> bytes:
        """What whoever finds the reservation needs to write the ledger's line, should this worker be lost."""
        known = b"%b\t%b\t%b\t%d" % (
            self.terms.ledger_constant,
            self.dialect.encode(),
            self.route.name.encode(),
            self.price_version,
        )
        told = self.told
        return known if told is NOTHING_TOLD else known + b"\t" + told

    @property
    def told(self) -> bytes:
        """The last fields of the ledger's line: what the caller told of the call, and whether it is the console's."""
        ask = self.ask
        if ask.end_user or ask.tags is not None:
            from_console = self.entry.token.console_address is not None
            return told_text(ask.end_user, ask.tags, from_console=from_console)
        return self.terms.nothing_told

    @property
    def price_version(self) -> int:
        """What the ledger calls the price; 0 where there is none."""
        price = (self.served or self.terms.model).price
        return 0 if price is None else price.version
