"""What binds a token's calls of one model: made once, kept with the token, made anew when what it rests on changed."""

import time
from collections.abc import Collection

from gateway.domain.catalog import Catalog, Upstream
from gateway.domain.pricing import price
from gateway.relay.call import Call, Target, Terms
from gateway.relay.record import ledger_constant, log_constant
from gateway.relay.upstream_state import UpstreamState
from gateway.store.charges import NOTHING_TOLD, told_text
from gateway.store.quota import QuotaStore

# What CPython 3.11 takes for terms and each of their targets, by tracemalloc, beside their texts.
_TERMS_BYTES = 700
_TARGET_BYTES = 100


class TermsMaker:
    """Makes terms. Owns the states of upstreams and with them the connections, which terms of many tokens share."""

    def __init__(self, quota: QuotaStore) -> None:
        self._quota = quota
        self._states: dict[str, UpstreamState] = {}
        self._newest: Catalog | None = None  # None: the first

    def make(self, call: Call, now_ms: int | None = None) -> Terms:
        """The terms of the call's token and model on the call's catalog. `now_ms` places calendar windows."""
        token, name, catalog = call.entry.token, call.ask.model, call.catalog
        ids = (token.account_id, token.id, token.user_id)
        pricing, candidates = price(token, name, catalog, call.route)
        from_console = token.console_address is not None
        terms = Terms(
            model=pricing.model,
            ratio_ppm=pricing.ratio_ppm,
            capped=pricing.capped,
            strict=pricing.strict,
            steps=pricing.steps,
            catalog=catalog,
            targets=tuple(
                Target(
                    self._state_of(each.upstream, catalog), each.model_name, each.model, each.place
                )
                for each in candidates
            ),
            prepared=self._quota.prepare(token, name, catalog.generation, now_ms=now_ms),
            ledger_constant=ledger_constant(*ids, token.group.id, name),
            log_constant=log_constant(*ids, token.group.name, name, from_console=from_console),
            nothing_told=told_text("", None, from_console=True) if from_console else NOTHING_TOLD,
        )
        call.entry.keep(call.terms_key, terms, _size_of(terms))
        return terms

    @property
    def upstreams(self) -> Collection[UpstreamState]:
        """The states of all upstreams that were candidates yet."""
        return self._states.values()

    def renew(self, catalog: Catalog) -> None:
        """Go by a newer catalog: what is known of upstreams that stay as they are is kept, others' connections go."""
        self._newest = catalog
        now = {upstream.name: upstream for upstream in catalog.upstreams}
        for name, state in list(self._states.items()):
            if now.get(name) != state.upstream:
                state.pool.retire()
                del self._states[name]

    def close(self) -> None:
        """Close idle connections to upstreams."""
        for state in self._states.values():
            state.pool.close()

    def _state_of(self, upstream: Upstream, catalog: Catalog) -> UpstreamState:
        state = self._states.get(upstream.name)
        if state is not None and state.upstream == upstream:
            return state
        state = UpstreamState(upstream, time.monotonic)
        if catalog is not self._newest and self._newest is not None:
            state.pool.retire()  # for a call that began before an edit, and nobody after it
        else:
            self._states[upstream.name] = state
        return state


def _size_of(terms: Terms) -> int:
    prepared = terms.prepared
    heads = len(prepared.reserve_head) + len(prepared.extend_head) + len(prepared.settle_head)
    texts = heads + len(terms.ledger_constant) + len(terms.log_constant)
    return _TERMS_BYTES + texts + _TARGET_BYTES * (len(terms.targets) + len(prepared.windows))
