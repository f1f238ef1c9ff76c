"""Everything that can happen to the accounting, in any order, as a state machine for Hypothesis.

The rules are what calls, workers, stores and administrators do, and what befalls them; after each, every law of
`tests/accounting_laws.py` is required. The double faults that the design declares (a worker that is lost, or cannot be
reached, while Valkey loses what only that worker could tell again) are excluded by preconditions, or else let in, with
the bound of what they may cost.
"""

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, Phase, currently_in_test_context, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.domain.errors import Ground
from gateway.relay.call import Call
from gateway.store.replies import Again
from tests.accounting_laws import Broken, Laws, Truth
from tests.accounting_rig import BEAT_S, LEASE_S, PAUSE_S, SWEEP_S, Fate, Stores, Worker

EXAMPLES = int(os.environ.get("TOLLHOUSE_TEST_EXAMPLES", "0"))
"""How many runs; 0 = as many as fit into an ordinary run of the tests."""
STEPS = 50

workers = st.integers(0, 2)
tokens = st.sampled_from([1, 2, 1, 3])
picks = st.integers(0, 1000)
amounts = st.sampled_from([100, 20, 150, 60, 1])
fates = st.sampled_from([None] * 6 + list(Fate))


class AccountingMachine(RuleBasedStateMachine):
    """Three workers over both stores. `runner` runs a coroutine to its end."""

    def __init__(
        self, stores: Stores, runner: asyncio.Runner, *, double_faults: bool = False
    ) -> None:
        super().__init__()
        self.stores = stores
        self.double_faults = double_faults
        self.run = runner.run
        self.laws = Laws(stores)
        self.wrote = True
        self.is_broken = False
        self.run(stores.reset())

    # What there is to choose from.

    def worker(self, number: int) -> Worker | None:
        """A worker, unless it is stopped."""
        worker = self.stores.workers[number]
        return None if worker.is_stopped else worker

    def live(self) -> list[Truth]:
        """Calls that workers which are not stopped carry."""
        return [
            truth
            for truth in self.laws.truths.values()
            if truth.state == "live" and not truth.worker.is_stopped
        ]

    def has_told(self, worker: Worker) -> bool:
        """Whether Valkey, in its present opening, knows all that this worker does."""
        known = worker.announcer.known.get(0) == self.laws.state.opening != b""
        return known or not worker.remembers

    def unposted(self, worker: Worker) -> list[Truth]:
        """A worker's calls that Postgres does not have."""
        return [
            truth
            for truth in self.laws.truths.values()
            if truth.worker is worker and truth.request_id not in self.laws.state.ledger
        ]

    def held_by_nobody(self) -> list[Truth]:
        """Calls that Valkey alone knows of: those of lost workers, and those whose reservation is still on its way."""
        state = self.laws.state
        is_coming = any(
            late.script == "reserve" for w in self.stores.workers for late in w.wire.late
        )
        return [
            truth
            for truth in self.laws.truths.values()
            if truth.request_id not in state.ledger
            and (
                (truth.state == "unheard" and is_coming)
                or (
                    truth.state == "lost"
                    and (truth.request_id in state.held or truth.request_id in state.pending)
                )
            )
        ]

    def unreachable(self) -> list[Worker]:
        """Workers that cannot tell Valkey anything."""
        return [w for w in self.stores.workers if w.is_stopped or w.wire.is_away]

    def may_lose(self) -> bool:
        """Whether everything that Valkey could lose is known to Postgres, or to a worker that will tell it again."""
        return self.double_faults or not (self.unreachable() or self.held_by_nobody())

    # Calls.

    @initialize(some=st.lists(st.tuples(workers, tokens, amounts), min_size=2, max_size=4))
    def begin(self, some: list[tuple[int, int, int]]) -> None:
        for number, token, amount in some:
            self.run(self._reserve(self.stores.workers[number], token, amount, None))
        self.run(self.stores.save())

    @rule(number=workers, token=tokens, first=amounts, fate=fates, is_twice=st.booleans())
    def reserve(
        self, number: int, token: int, first: int, fate: Fate | None, is_twice: bool
    ) -> None:
        """A call begins; its reservation may arrive twice, and then takes nothing twice."""
        worker = self.worker(number)
        if worker is None:
            return
        call = self.run(self._reserve(worker, token, first, fate))
        if is_twice and call is not None:
            reply = self.run(worker.reserve_again(call))
            if not isinstance(reply, Again):
                raise self._broken(Broken("twice", reply=reply))

    async def _reserve(
        self, worker: Worker, token: int, first: int, fate: Fate | None
    ) -> Call | None:
        """The call that was reserved, if it was."""
        call = await worker.begin(self.stores.new_id(), token, first, first + 200)
        if call is None:
            return None
        truth = Truth(call.request_id.decode(), token, call, worker, most=first)
        with worker.wire.fated("reserve", fate) as met:
            refusal = await worker.reserve(call, token)
        if refusal is not None and refusal.ground is Ground.LIMITS:
            raise self._broken(Broken("shadow", refusal=refusal))
        if refusal is None:
            worker.calls.append(call)
        elif met():
            truth.state, truth.reached_store = "unheard", fate is not Fate.LOST
        else:
            return None
        self.laws.truths[truth.request_id] = truth
        return call if refusal is None else None

    @precondition(lambda self: self.live())
    @rule(pick=picks, tokens=st.sampled_from([50, 5, 200]))
    def produce(self, pick: int, tokens: int) -> None:
        """The upstream sends some output, and what is held for is passed on."""
        self.run(self._produce(_pick(self.live(), pick), tokens))

    async def _produce(self, truth: Truth, tokens: int) -> None:
        call, worker = truth.call, truth.worker
        if call.fenced or worker.lease.is_over(self.stores.clock()):
            # As the stream does after its worker was stopped: nothing more without the store's word.
            still_held = await worker.extend(call, call.hold.output_tokens, any_part=False)
            if call.fenced or not still_held:
                self._end(truth)
                return
        truth.cost = min(truth.cost + tokens, call.hold.amount_nusd)

    @precondition(lambda self: self.live())
    @rule(pick=picks, more=amounts, any_part=st.booleans(), fate=fates)
    def extend(self, pick: int, more: int, any_part: bool, fate: Fate | None) -> None:
        truth = _pick(self.live(), pick)
        held = truth.call.hold
        if truth.call.fenced:
            return
        truth.most = max(truth.most, min(held.amount_nusd + more, held.most_output_tokens))
        with truth.worker.wire.fated("extend", fate):
            self.run(truth.worker.extend(truth.call, held.output_tokens + more, any_part=any_part))

    @precondition(lambda self: self.live())
    @rule(pick=picks, fate=fates, is_twice=st.booleans())
    def finish(self, pick: int, fate: Fate | None, is_twice: bool) -> None:
        """A call ends; its settlement may arrive twice."""
        truth = _pick(self.live(), pick)

        async def finish() -> None:
            self._end(truth)
            if is_twice:
                truth.worker.settle_again(truth.call, truth.cost)

        with truth.worker.wire.fated("settle", fate):
            self.run(finish())

    def _end(self, truth: Truth) -> None:
        truth.charge = truth.worker.finish(truth.call, truth.cost)
        truth.state = "ended"

    # What workers do beside their calls.

    @rule(
        number=workers,
        fate=st.sampled_from([None, *Fate]),
        is_answered=st.sampled_from([True, True, False]),
        then=st.booleans(),
    )
    def post(self, number: int, fate: Fate | None, is_answered: bool, then: bool) -> None:
        """A worker posts, `then` the others: Postgres' answer may be lost, or a confirmation meets its fate."""
        if worker := self.worker(number):
            with worker.wire.fated("confirm", fate):
                self.run(worker.post() if is_answered else worker.write_unheard())
        for other in self.stores.workers if then else ():
            if other is not worker and not other.is_stopped:
                self.run(other.post())
        self.wrote = True

    @rule(number=workers)
    def sweep(self, number: int) -> None:
        if worker := self.worker(number):
            self.run(worker.sweep())
            self.wrote = True

    # Time.

    @rule(seconds=st.sampled_from([0.2, 1.0, LEASE_S / 3, SWEEP_S + 1.5, LEASE_S + 1]))
    def advance(self, seconds: float) -> None:
        """Nothing is away for longer than a lease; in that time workers sweep, too."""
        self.run(self._advance(seconds))
        if seconds > LEASE_S:
            self.run(self._sweep_all())
            self.run(self._recover())
            self.wrote = True

    async def _sweep_all(self) -> None:
        for worker in self.stores.workers:
            if not worker.is_stopped:
                await worker.sweep()

    async def _advance(self, seconds: float) -> None:
        """Time passes: what is late arrives, and workers beat once a second, each in its own moment."""
        now, step = self.stores.clock.now_ms, round(BEAT_S * 1000)
        end = now + round(seconds * 1000)
        moments = [
            (at, number)
            for number in range(3)
            for at in range(now - now % step + 333 * number, end + 1, step)
            if at > now
        ]
        for at, number in sorted(moments):
            await self._deliver_until(at)
            self.stores.clock.now_ms = at
            worker = self.stores.workers[number]
            if not worker.is_stopped:
                await worker.beat()
        await self._deliver_until(end)
        await self.stores.set_time(end)

    async def _deliver_until(self, now_ms: int) -> None:
        for worker in self.stores.workers:
            for late in list(worker.wire.late):
                if late.due_ms <= now_ms:
                    await self.stores.set_time(late.due_ms)
                    worker.wire.deliver(late)
                    await worker.wire.drained()

    # Faults.

    @rule(
        number=workers,
        script=st.sampled_from(["announce", "restate", "load"]),
        fate=st.sampled_from([Fate.LOST, Fate.UNHEARD]),
    )
    def doom(self, number: int, script: str, fate: Fate) -> None:
        """What becomes of a worker's next command of a kind; once in an opening.

        A worker that is silent for the whole of a pause is a double fault.
        """
        worker = self.stores.workers[number]
        if worker.doomed_in != self.laws.state.opening:
            worker.doomed_in = self.laws.state.opening
            worker.wire.fates[script] = fate

    @precondition(lambda self: self.crashable())
    @rule(pick=picks)
    def crash(self, pick: int) -> None:
        """A worker is lost, with all that it remembers."""
        worker = _pick(self.crashable(), pick)
        if not self.has_told(worker):
            self.laws.bound.declare(self.unposted(worker), is_forfeit=True)
        waiting = {charge.request_id.decode() for charge in worker.poster._charges}
        for truth in self.laws.truths.values():
            is_posted = truth.state == "ended" and truth.request_id not in waiting
            if truth.worker is worker and not is_posted:
                truth.state = "lost"
        self.stores.replace(worker)
        worker.wire.is_away = False

    def crashable(self) -> list[Worker]:
        """Workers that carry something; what Valkey does not know would be lost with them."""
        return [
            w
            for w in self.stores.workers
            if w.remembers and (self.double_faults or self.has_told(w))
        ]

    @rule(number=workers, what=st.sampled_from(["process", "way to Valkey", "Postgres"]))
    def interrupt(self, number: int, what: str) -> None:
        """A worker is stopped as by a signal, or cut off from Valkey; or Postgres cannot be reached."""
        worker = self.stores.workers[number]
        if what == "Postgres":
            self.run(self.stores.set_postgres(away=True))
        elif self.double_faults or self.has_told(worker):
            if not self.has_told(worker):
                self.laws.bound.declare(self.unposted(worker))
            worker.is_stopped, worker.wire.is_away = what == "process", what != "process"

    @precondition(lambda self: self.is_disturbed())
    @rule()
    def recover(self) -> None:
        self.run(self._recover())

    def is_disturbed(self) -> bool:
        return bool(self.unreachable()) or self.stores.postgres_is_away

    async def _recover(self) -> None:
        for worker in self.stores.workers:
            worker.is_stopped = worker.wire.is_away = False
        await self.stores.set_postgres(away=False)

    @precondition(lambda self: self.may_lose())
    @rule(is_rolled_back=st.booleans(), after=st.sampled_from([PAUSE_S + BEAT_S, 0, BEAT_S / 5]))
    def lose(self, is_rolled_back: bool, after: float) -> None:
        """Valkey forgets everything, or is started anew as it was at the last snapshot."""
        self.laws.bound.declare(self.held_by_nobody(), is_forfeit=True)
        for worker in self.unreachable():
            self.laws.bound.declare(self.unposted(worker))
        self.run(self.stores.restart(as_saved=True) if is_rolled_back else self.stores.forget())
        self.run(self._go_on(after))

    @rule(after=st.sampled_from([PAUSE_S + BEAT_S, 0]))
    def restart(self, after: float) -> None:
        """Valkey is started anew, and nothing is lost; this is the snapshot that it may be rolled back to."""
        self.run(self.stores.save())
        self.run(self.stores.restart(as_saved=False))
        self.run(self._go_on(after))

    async def _go_on(self, after: float) -> None:
        """The first calls after a loss, of every token; within the pause they are refused."""
        await self._advance(after)
        for worker, token in zip(self.stores.workers, (1, 2, 3), strict=True):
            if not worker.is_stopped:
                await self._reserve(worker, token, 1, None)

    @rule(number=workers, token=tokens, delta=st.sampled_from([-200, -40, 60, 250]))
    def regrant(self, number: int, token: int, delta: int) -> None:
        """An administrator changes a grant."""
        if self.stores.postgres_is_away:
            return
        if worker := self.worker(number):
            changed = self.run(self.stores.edit(worker, token, delta))
            self.laws.regrant(f"t{token}", changed)
            self.wrote = True

    @rule(
        number=workers,
        scope=st.sampled_from(["a1", "m2.2", "g2.1"]),
        delta=st.sampled_from([-200, -40, 60, 250]),
    )
    def give(self, number: int, scope: str, delta: int) -> None:
        """An administrator gives to an account, a member or a subscription, or takes back."""
        if self.stores.postgres_is_away:
            return
        if worker := self.worker(number):
            self.laws.regrant(scope, self.run(self.stores.give(worker, scope, delta)))
            self.wrote = True

    # The laws.

    @invariant()
    def laws_hold(self) -> None:
        wrote, self.wrote = self.wrote, False
        self._require(self.laws.check(postgres=wrote))
        for worker in self.stores.workers:
            if worker.announcer.known.get(0) == self.laws.state.opening and not worker.is_stopped:
                self.laws.bound.told(t for t in self.laws.truths.values() if t.worker is worker)

    def _require(self, check: Coroutine[Any, Any, None]) -> None:
        try:
            self.run(check)
        except Broken as broken:
            raise self._broken(broken) from None
        except BaseException:
            self.is_broken = True
            raise

    def _broken(self, broken: Broken) -> Broken:
        self.is_broken = True
        if currently_in_test_context():
            note(f"at {self.stores.clock()}: {broken}")
        return broken

    def teardown(self) -> None:
        """Let everything end, and require that it was all charged, once."""
        if self.is_broken:
            return
        self.run(self._quiesce())
        self._require(self.laws.check(postgres=True))
        refunds = self.run(self._refunds())
        self._require(self.laws.check_end(refunds))

    async def _quiesce(self) -> None:
        await self._recover()
        for worker in self.stores.workers:
            worker.wire.fates = {}
        await self._advance(2 * BEAT_S)
        for truth in self.live():
            truth.charge = truth.worker.finish(truth.call, truth.cost)
            truth.state = "ended"
        for _ in range(2):
            for worker in self.stores.workers:
                await worker.post()
            await self._advance(LEASE_S + 1)
            for worker in self.stores.workers:
                await worker.sweep()
                await worker.wire.drained()

    async def _refunds(self) -> dict[str, int]:
        """What was given back for each call, of its token."""
        rows = await self.stores.pool.fetch(
            "SELECT idem_key, delta FROM grant_entry WHERE kind = 'refund' AND scope_kind = 't'"
        )
        return {row["idem_key"].rpartition(":")[2].replace("-", ""): row["delta"] for row in rows}


def _pick(some: list[Any], pick: int) -> Any:
    return some[pick % len(some)]


def run_machine(
    stores: Stores,
    runner: asyncio.Runner,
    *,
    examples: int,
    steps: int = STEPS,
    shrink: bool = True,
    double_faults: bool = False,
) -> None:
    """Run the machine as often as asked; the same runs each time. Raises what a law or the product raised."""
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    run_state_machine_as_test(
        lambda: AccountingMachine(stores, runner, double_faults=double_faults),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
