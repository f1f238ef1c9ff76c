"""What binds a token's calls of one model: made once, kept with the token, made anew when what it rests on changed."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from gateway.domain.catalog import Group, Model, Price, Upstream
from gateway.domain.model_groups import as_one, reachable
from gateway.relay.call import Call, Target, Terms
from gateway.relay.record import ledger_constant, log_constant
from gateway.relay.upstream_state import UpstreamState
from gateway.store.quota import QuotaStore

_MOST_PER_TOKEN = 256


class TermsMaker:
    """Makes terms. Owns the states of upstreams and with them the connections, which terms of many tokens share."""

    def __init__(self, quota: QuotaStore) -> None:
        self._quota = quota
        self._states: dict[str, UpstreamState] = {}

    def make(self, call: Call, now_ms: int | None = None) -> Terms:
        """The terms of the call's token and model on the call's catalog. `now_ms` places calendar windows."""
        token, name, catalog = call.entry.token, call.ask.model, call.catalog
        ids = (token.account_id, token.id, token.user_id)
        models = _models(call)
        model = models[0] if len(models) == 1 else as_one(name, models)
        group = catalog.serving(token.group, name, call.route.dialect)
        targets = tuple(self._targets(call, group, models))
        terms = Terms(
            catalog=catalog,
            model=model,
            ratio_ppm=group.ratio_ppm,
            capped=token.capped,
            strict=token.strict,
            # Whoever reads on without a caller has nobody to stop for; what is not shown is not metered.
            steps=not model.hides_output
            and all(target.upstream.on_disconnect == "abort" for target in targets),
            targets=targets,
            prepared=self._quota.prepare(token, name, catalog.generation, now_ms=now_ms),
            ledger_constant=ledger_constant(*ids, token.group.id, name),
            log_constant=log_constant(*ids, token.group.name, name),
        )
        kept = call.entry.terms
        if len(kept) >= _MOST_PER_TOKEN:
            kept.clear()  # names are the caller's: where any is served, they could be endless
        kept[call.terms_key] = terms
        return terms

    @property
    def upstreams(self) -> Collection[UpstreamState]:
        """The states of all upstreams that were candidates yet."""
        return self._states.values()

    def close(self) -> None:
        """Close idle connections to upstreams."""
        for state in self._states.values():
            state.pool.close()

    def _targets(self, call: Call, group: Group, models: Sequence[Model]) -> Iterator[Target]:
        for place, model in enumerate(models):
            for upstream in call.catalog.candidates(group, model.name, call.route.dialect):
                name = upstream.model_name(model.name) or model.name
                yield Target(self._state_of(upstream), name, model, place)

    def _state_of(self, upstream: Upstream) -> UpstreamState:
        state = self._states.get(upstream.name)
        if state is None or state.upstream != upstream:
            state = self._states[upstream.name] = UpstreamState(upstream, time.monotonic)
        return state


def _models(call: Call) -> tuple[Model, ...]:
    """The model that a call asks for, or those that its name stands for.

    A passage's price is its own, whatever model it names: one for each call, or none.
    """
    model, rule = call.catalog.model(call.ask.model), call.route.rule
    models: tuple[Model, ...] = (model,)
    if model.members:
        models = reachable(call.entry.token, model, call.catalog, call.route.dialect) or models
    if rule is None:
        return models
    price = Price(0, 0, 0, 0, request_nusd=rule.request_nusd)
    return tuple(replace(each, price=price) for each in models)
