"""The checks of the data plane, in the order of its chains (`gateway/app.py`), for a call that is not made.

Each is decided by the functions that decide for calls. Those behind the first refusal are asked, too, as far as they
can be, so that an owner sees everything that stands in the way.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from gateway.catalog_source import rules_of
from gateway.domain import checks
from gateway.domain.ask import Ask
from gateway.domain.catalog import Catalog
from gateway.domain.errors import Ground, Refusal, StoreUnavailable
from gateway.domain.passages import ids_in
from gateway.domain.pricing import Candidate, Pricing, hold_of, hold_of_passage, price
from gateway.domain.routes import Route, find_route
from gateway.domain.token import Token
from gateway.explain.looking import Changed, Held, Looks
from gateway.explain.question import Question
from gateway.explain.unasked import NotAsked, Unasked
from gateway.explain.ways import Way, ways_of
from gateway.listen import origin_of
from gateway.settings import Config
from gateway.store.catalog import CatalogReader
from gateway.store.keys import KeyStore
from gateway.store.loads import Loads
from gateway.store.looks import Looked
from gateway.store.objects import find_objects, require_own
from gateway.store.postgres import Pool
from gateway.store.quota import QuotaStore
from gateway.store.quota_refusals import refusal_of
from gateway.store.replies import Reserved
from gateway.store.windows import Window

_KNOWN_CALLER = ("authenticate", "require_live", "require_network")
CHAINS: Final[Mapping[str, Sequence[str]]] = {
    "models": _KNOWN_CALLER,
    "billing": _KNOWN_CALLER,
    "usage": (_KNOWN_CALLER[0], _KNOWN_CALLER[2]),
    "forward": (
        *_KNOWN_CALLER,
        "accept_body",
        "read_body",
        "read_the_ask",
        "require_model",
        "find_objects",
        "agree_terms",
        "require_room",
        "reserve",
    ),
    "passage": (
        *_KNOWN_CALLER,
        "require_metering",
        "accept_passage",
        "read_the_passage",
        "require_upstream",
        "find_objects",
        "agree_price",
        "require_room",
        "reserve",
    ),
}
"""The links of each chain by their names."""

_TRIES = 3
Answer = Refusal | Awaitable[Refusal | None] | None


class Result(StrEnum):
    """What a check says; SKIPPED: it could not be asked."""

    ALLOW = "allow"
    DENY = "deny"
    SKIPPED = "skipped"


class Level(NamedTuple):
    """What a window of a scope holds."""

    scope_id: str
    window: Window
    held: int


class Check(NamedTuple):
    """One check. `why` says what a skipped one would have needed."""

    name: str
    result: Result
    refusal: Refusal | None = None
    why: NotAsked | None = None


@dataclass(slots=True)
class Explanation:
    """What all checks say, and what they found out on the way; None where they did not get so far."""

    token: Token
    checks: list[Check] = field(default_factory=list)
    route: Route | None = None
    ask: Ask | None = None
    pricing: Pricing | None = None
    candidates: tuple[Candidate, ...] = ()
    ways: tuple[Way, ...] = ()
    held: Held | None = None
    looked: Looked | None = None

    @property
    def decision(self) -> Check | None:
        """The check that refuses the call; None where it passes."""
        return next((each for each in self.checks if each.result is Result.DENY), None)

    @property
    def shadows(self) -> tuple[Refusal, ...]:
        """What limits in the shadow would have refused it with."""
        if self.held is None or self.looked is None or not isinstance(self.looked.reply, Reserved):
            return ()
        return tuple(refusal_of(each, self.held) for each in self.looked.reply.shadows)


class Explainer:
    """Explains calls. Of `config` the limits and the operator's rules are used."""

    def __init__(
        self, config: Config, pool: Pool, quota: QuotaStore, catalogs: CatalogReader
    ) -> None:
        self.adopt(config)
        self.pool = pool
        self._catalogs = catalogs
        self._keys = KeyStore(
            pool, lambda: catalogs.latest, reach=catalogs.reach, reserve=config.quota.reserve
        )
        self.looks = Looks(quota, Loads(pool, self._keys, quota))

    def adopt(self, config: Config) -> None:
        """Go by this configuration from now on."""
        self.config = config
        self.rules = rules_of(config.routes)

    async def explain(self, token_id: int, question: Question, now: float) -> Explanation | None:
        """What would become of the call at `now`, Unix seconds; None where there is no such token.

        Raises `StoreUnavailable` for Postgres alone.
        """
        for _ in range(_TRIES):
            await self._catalogs.read()
            token = await self._keys.find_by_id(token_id)
            if token is None:
                return None
            walk = _Walk(self, self._catalogs.latest, question, Explanation(token), now)
            try:
                return await walk.run()
            except Changed:
                continue
        raise StoreUnavailable("the token keeps changing while its checks run")

    async def levels(self, token_ids: Sequence[int]) -> list[Level]:
        """What each window holds that calls with these tokens are under, each once.

        Nothing where the quota store cannot tell. Raises `StoreUnavailable` for Postgres alone.
        """
        await self._catalogs.read()
        found = {}
        for token in await self._keys.find_many(token_ids):
            for level in await self._levels_of(token) if token.limits else ():
                found[level.scope_id, level.window.id] = level
        return list(found.values())

    async def _levels_of(self, token: Token) -> list[Level]:
        models = {min(limit.models) for _, limit in token.limits if limit.models}
        found = []
        for model in ("", *models):
            try:
                looked = await self.looks.decide(token, model, self._catalogs.latest)
            except Changed:
                continue
            found += [Level(token.scope_ids[w.scope], w, held) for w, held in looked.windows]
        return found

    def base_url(self) -> str:
        """The origin that callers are told to use."""
        return origin_of(self.config.gateway)


class _Walk:
    """One way through the checks. A check is the method that has the name of its link."""

    def __init__(
        self,
        explainer: Explainer,
        catalog: Catalog,
        question: Question,
        found: Explanation,
        now: float,
    ) -> None:
        self._config = explainer.config
        self._explainer = explainer
        self._catalog = catalog
        self._question = question
        self._found = found
        self._token = found.token
        self._now = now
        self._only_at: str | None = None

    async def run(self) -> Explanation:
        """Ask every check. Raises `Changed` and `StoreUnavailable`."""
        await self._ask("identify_route", self.identify_route)
        route = self._found.route
        for name in _KNOWN_CALLER if route is None else CHAINS[route.kind]:
            await self._ask(name, getattr(self, name))
        if self._found.candidates:
            await self._find_ways()
        return self._found

    async def _find_ways(self) -> None:
        """Leaves the ways. Where all of them are of other dialects, whether any can be gone is a check."""
        question, found = self._question, self._found
        ways = found.ways = await ways_of(
            self._route,
            self._asked,
            found.candidates,
            question.body,
            max_output=None if found.held is None else found.held.hold.write_max_output,
            now=self._now,
        )
        if all(way.is_translated for way in ways):  # those of the call's own dialect are told all
            await self._ask("translate", self.translate)

    async def _ask(self, name: str, check: Callable[[], Answer]) -> None:
        try:
            answer = check()
            refusal = await answer if isinstance(answer, Awaitable) else answer
        except NotAsked as why:
            self._found.checks.append(Check(name, Result.SKIPPED, why=why))
            return
        result = Result.ALLOW if refusal is None else Result.DENY
        self._found.checks.append(Check(name, result, refusal))

    def identify_route(self) -> Refusal | None:
        """Leaves the route."""
        method, path = self._question.method, self._question.path
        route = find_route(method, path, self._explainer.base_url, self._explainer.rules)
        if isinstance(route, Refusal):
            return route
        self._found.route = route
        return None

    def authenticate(self) -> Refusal | None:
        """No key is given here."""
        raise NotAsked(Unasked.KEY)

    def require_live(self) -> Refusal | None:
        """State, expiry, owner."""
        return checks.require_live(self._token, self._now)

    def require_network(self) -> Refusal | None:
        """Deny before allow."""
        address = self._question.address
        if address is None and (self._token.allow or self._token.deny):
            raise NotAsked(Unasked.ADDRESS)
        return checks.require_network(self._token, address)

    def read_body(self) -> Refusal | None:
        """Its size."""
        if self._question.body is None:
            raise NotAsked(Unasked.BODY)
        most = self._config.gateway.max_body_bytes
        return checks.too_large(most) if len(self._question.body) > most else None

    accept_body = accept_passage = read_body

    def read_the_ask(self) -> Refusal | None:
        """Leaves the ask."""
        ask = self._question.ask(self._route)
        if isinstance(ask, Refusal):
            return ask
        self._found.ask = ask
        return None

    read_the_passage = read_the_ask

    def require_model(self) -> Refusal | None:
        """Of the token's list, the group's, and the upstreams."""
        model, dialects = self._asked.model, self._route.dialects
        return checks.require_model(self._token, model, self._catalog, dialects)

    def require_metering(self) -> Refusal | None:
        """What may cost anything, with a capped token."""
        method, path = self._question.method, self._question.path
        return checks.require_metering(self._token, self._route, method, path)

    def require_upstream(self) -> Refusal | None:
        """As `require_model`, or any upstream of the dialect."""
        model, path = self._asked.model, self._question.path
        return checks.require_upstream(
            self._token, model, path, self._catalog, self._route.dialects
        )

    async def find_objects(self) -> Refusal | None:
        """Whose is what the call names. Leaves the upstream that has it as the only candidate."""
        ids = self._asked.about
        if self._route.rule is not None:
            ids = (*ids_in(self._question.path), *ids)
        made = await find_objects(self._explainer.pool, ids) if ids else []
        self._only_at = made[0].upstream if made else None
        return require_own(made, self._token.account_id)

    def agree_terms(self) -> Refusal | None:
        """Leaves price and hold."""
        pricing, quota = self._price(), self._config.quota
        ask = self._found.ask = self._question.sized(self._asked, pricing)
        bound = hold_of(
            self._token,
            pricing,
            self._route,
            ask,
            quota.reserve_step_tokens,
            quota.estimate_output_tokens,
        )
        if isinstance(bound, Refusal):
            return bound
        self._found.held = Held(ask, pricing, bound)
        return None

    def agree_price(self) -> Refusal | None:
        """Leaves price and hold."""
        pricing = self._price()
        hold = hold_of_passage(pricing, self._route, self._asked)
        self._found.held = Held(self._asked, pricing, hold)
        return None

    def require_room(self) -> Refusal | None:
        """Of a worker's memory nobody else knows."""
        raise NotAsked(Unasked.ROOM)

    async def reserve(self) -> Refusal | None:
        """Money, windows, concurrency."""
        if self._found.held is None:
            raise NotAsked(Unasked.HOLD)
        looks = self._explainer.looks
        refusal, self._found.looked = await looks.reserve(
            self._found.held, self._token, self._catalog
        )
        quota = self._config.quota
        if (
            refusal is not None
            and refusal.ground is Ground.STORE
            and quota.on_store_loss == "allow"
        ):
            raise NotAsked(Unasked.STORE, most_nusd=quota.allow_bounded_nusd)
        return refusal

    def translate(self) -> Refusal | None:
        """What no upstream can be told; of several, the refusal is the last's that is tried."""
        if self._question.body is None:
            raise NotAsked(Unasked.SAID)
        ways = self._found.ways
        return None if any(way.refusal is None for way in ways) else ways[-1].refusal

    def _price(self) -> Pricing:
        ask = self._asked
        pricing, candidates = price(self._token, ask.model, self._catalog, self._route)
        there = tuple(each for each in candidates if each.upstream.name == self._only_at)
        self._found.pricing, self._found.candidates = pricing, there or candidates
        return pricing

    @property
    def _route(self) -> Route:
        assert self._found.route is not None  # else no check asks for it
        return self._found.route

    @property
    def _asked(self) -> Ask:
        if self._found.ask is None:
            raise NotAsked(Unasked.ASK)
        return self._found.ask
