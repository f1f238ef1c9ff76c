"""The faults: a seeded schedule of them, and how each is done to a cluster under load.

After each one the nemesis calls every replica until it answers, notes how long that took, and waits until what a killed
replica left behind may be taken over: so no fault meets the last one's leavings, but where the schedule says so. No
store is away for so long that leases end: a replica that cannot renew them is one that was stopped.
"""

import contextlib
import http.client
import random
import signal
import time
from collections.abc import Callable, Iterator

from gateway.domain.token import SHARDS
from gateway.store.cluster import SLOTS
from tests import valkeys
from tests.chaos.cluster import REPLICAS, Cluster, Several
from tests.chaos.ledger import fetch
from tests.chaos.load import judge
from tests.chaos.plan import Plan, address_of, make_call
from tests.chaos.processes import Trouble, wait_until
from tests.chaos.records import Answer, answer_line, now_us
from tests.chaos.strikes import Strike, Strikes

KINDS = (
    "kill",
    "pause",
    "pause_long",
    "flush",
    "script_flush",
    "valkey_restart",
    "valkey_rollback",
    "valkey_freeze",
    "valkey_slow",
    "valkey_sever",
    "valkey_lost_replies",
    "valkey_refuse",
    "postgres_restart",
    "postgres_freeze",
    "postgres_terminate",
    "postgres_away_flush",
    "postgres_away_restart",
    "postgres_away_kill",
    "grants",
    "double",
)
"""Every fault. `postgres_away_…` do a second one while Postgres is down; `double` is the declared double fault."""
_OF_SEVERAL = (
    "failover",
    "failover_frozen",
    "failover_asked",
    "postgres_away_failover",
)
_OF_CLUSTER = ("slots",)

FIRST_PROBE = 16_000_000
_RECOVERY_S = 30.0
_KILLING = frozenset({"kill", "postgres_away_kill", "double"})


def kinds_of(store: str) -> tuple[str, ...]:
    """The faults that can be done to a kind of store (`cluster.STORES`)."""
    if store == "single":
        return KINDS
    ours = [kind for kind in KINDS if "valkey" not in kind and kind != "postgres_away_restart"]
    return (*_OF_SEVERAL, *(_OF_CLUSTER if store == "cluster" else ()), *ours)


def schedule(seed: int, kinds: tuple[str, ...]) -> Iterator[str]:
    """Every kind once in each round, in any order; the declared double fault ends the round."""
    chance = random.Random(f"schedule {seed}")
    while kinds:
        single = [kind for kind in kinds if kind != "double"]
        chance.shuffle(single)
        yield from single
        if "double" in kinds:
            yield "double"


class Nemesis:
    """Strikes a cluster. `haste` shortens what a fault lasts and the rest after it."""

    def __init__(self, cluster: Cluster, plan: Plan, seed: int, *, haste: bool) -> None:
        self.strikes = Strikes(cluster.times.lease_s)
        self.troubles: list[str] = []
        self._cluster = cluster
        self._plan = plan
        self._random = random.Random(f"nemesis {seed}")
        self._haste = haste
        self._probes = FIRST_PROBE
        self._client_log = cluster.directory / f"client-{plan.probe}.log"
        self._granted = [token.granted for token in plan.tokens]

    def strike(self, kind: str) -> Strike:
        """Do one fault, and wait until it is over; where a replica stays away, that is one of `troubles`."""
        strike = Strike(kind, now_us())
        self.strikes.all.append(strike)
        deed: Callable[[Strike], None] = getattr(self, f"_{kind}")
        deed(strike)
        healed = time.monotonic()
        strike.ended_us = strike.ended_us or now_us()
        for number in range(REPLICAS):
            try:
                self._recover(number)
            except Trouble as trouble:
                self.troubles.append(f"after {kind}: {trouble}")
        strike.recovered_s = time.monotonic() - healed
        return strike

    def rest(self) -> None:
        """Until what the last fault has left behind is taken over, and a while longer."""
        times = self._cluster.times
        over_us = 0
        if self.strikes.all:
            last = self.strikes.all[-1]
            over_us = last.ended_us
            if last.kind in _KILLING:
                over_us = last.begun_us + int((times.lease_s + 2 * times.sweep_s) * 1e6)
            elif last.kind == "pause_long":
                over_us += int(2 * times.sweep_s * 1e6)
        rest_s = self._random.uniform(0.2, 0.5) if self._haste else self._random.uniform(1.5, 6)
        time.sleep(rest_s + max(0, over_us - now_us()) / 1e6)

    def _recover(self, number: int) -> None:
        """Until a replica answers a capped call; one that ended is started again."""
        cluster = self._cluster

        def well() -> bool:
            cluster.revive(number)
            return self.probe(number)

        wait_until(well, _RECOVERY_S, f"replica {number} answers after a fault")

    def probe(self, number: int) -> bool:
        """One capped call to a replica; whether it was answered whole. It is logged as any other."""
        self._probes += 1
        token = self._plan.probe
        call = make_call(self._probes, token)
        sent_us = now_us()
        status, outcome, request_id = 0, "broken", ""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._cluster.ports[number], timeout=10
        )
        headers = {
            "authorization": f"Bearer {self._cluster.made.keys[token]}",
            "x-forwarded-for": address_of(call.number),
            "content-type": "application/json",
        }
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException),
        ):
            connection.request("POST", "/v1/chat/completions", call.body, headers)
            answer = connection.getresponse()
            status = answer.status
            request_id = (answer.getheader("x-request-id") or "").replace("-", "")
            outcome = judge(call, status, bytearray(answer.read()), 0, chunked=False)
        line = Answer(
            call.number, number, sent_us, now_us(), status, outcome, "", request_id, call.model,
            len(call.body), 0,
        )  # fmt: skip
        with self._client_log.open("ab") as log:
            log.write(answer_line(line))
        return outcome == "whole"

    def _last(self, least_s: float, most_s: float) -> None:
        """How long a fault lasts."""
        time.sleep(least_s if self._haste else self._random.uniform(least_s, most_s))

    def _any_replica(self, strike: Strike) -> int:
        strike.replica = self._random.randrange(REPLICAS)
        return strike.replica

    # Replicas

    def _kill(self, strike: Strike) -> None:
        number = self._any_replica(strike)
        strike.begun_us = now_us()
        self._cluster.replicas[number].kill()
        strike.ended_us = now_us()
        self._cluster.wait_for(number)

    def _pause(self, strike: Strike) -> None:
        """Shorter than its leases."""
        self._stop_replica(strike, 0.25, 0.5)

    def _pause_long(self, strike: Strike) -> None:
        self._stop_replica(strike, 1.4, 2.0)

    def _stop_replica(self, strike: Strike, least_leases: float, most_leases: float) -> None:
        replica = self._cluster.replicas[self._any_replica(strike)]
        lease_s = self._cluster.times.lease_s
        strike.begun_us = now_us()
        replica.signal(signal.SIGSTOP)
        self._last(lease_s * least_leases, lease_s * most_leases)
        replica.signal(signal.SIGCONT)

    # Valkey

    def _flush(self, _strike: Strike) -> None:
        self._cluster.flush()

    def _script_flush(self, _strike: Strike) -> None:
        with self._cluster.store() as store:
            store.script_flush()

    def _valkey_restart(self, _strike: Strike) -> None:
        self._cluster.valkey.stop()
        self._last(0.1, 2)
        self._cluster.valkey.start()

    def _valkey_rollback(self, strike: Strike) -> None:
        """Start it with what it had a while ago, as a stale replica that takes over."""
        copy = self._cluster.copy_valkey()
        copied = time.monotonic()
        self._last(1, 6)
        self._cluster.valkey.stop()
        strike.note = f"{time.monotonic() - copied:.1f} s back"
        strike.begun_us = now_us()
        self._cluster.start_valkey_from(copy)

    def _valkey_freeze(self, _strike: Strike) -> None:
        self._cluster.signal_valkey(signal.SIGSTOP)
        self._last(1.2, 2.5)
        self._cluster.signal_valkey(signal.SIGCONT)

    def _valkey_slow(self, strike: Strike) -> None:
        delay_ms = self._random.choice((30, 120, 400))
        strike.note = f"{delay_ms} ms each way"
        self._cluster.turn("delay", delay_ms)
        self._last(1, 4)
        self._cluster.turn("pass")

    def _valkey_sever(self, _strike: Strike) -> None:
        """Cut connections again and again, here and there."""
        for _ in range(4 if self._haste else 8):
            self._cluster.turn("sever", only=self._random.randrange(REPLICAS))
            time.sleep(self._random.uniform(0.05, 0.3))

    def _valkey_lost_replies(self, strike: Strike) -> None:
        """Commands get there, answers do not."""
        number = self._any_replica(strike)
        self._cluster.turn("swallow", only=number)
        self._last(0.6, 2.5)
        self._cluster.turn("sever", only=number)

    def _valkey_refuse(self, strike: Strike) -> None:
        """One replica alone cannot reach it, for much less than its leases last."""
        number = self._any_replica(strike)
        self._cluster.turn("refuse", only=number)
        self._last(0.5, self._cluster.times.lease_s / 3)
        self._cluster.turn("pass", only=number)

    # Valkeys of which one takes another's place

    def _failover(self, strike: Strike) -> None:
        """The primary that probes go to is killed, another takes its place, and it comes back as a replica."""
        began = time.monotonic()
        killed = self._several.fail_over(self._slot_of(self._plan.probe))
        strike.note = f"replaced after {time.monotonic() - began:.1f} s"
        if "away" not in strike.kind:
            for number in range(REPLICAS):
                self._recover(number)
            strike.note += f", capped calls again after {time.monotonic() - began:.1f} s"
        self._last(0.1, 3)
        self._several.revive(killed)

    def _failover_frozen(self, _strike: Strike) -> None:
        """A primary is stopped until it has been replaced, and wakes."""
        self._several.freeze_over(self._any_slot())

    def _failover_asked(self, _strike: Strike) -> None:
        """A primary is replaced while it lives."""
        self._several.hand_over(self._any_slot())

    def _postgres_away_failover(self, strike: Strike) -> None:
        self._without_postgres(lambda: self._failover(strike))

    def _slots(self, strike: Strike) -> None:
        """Shards of accounts that make calls move to other primaries of the cluster."""
        several = self._several
        assert isinstance(several, valkeys.Cluster)
        slots = self._random.sample(self._slots_in_use, 2 if self._haste else 4)
        for slot in slots:
            here = several.primary_of(slot)
            there = [each for each in several.primaries if each is not here]
            several.move(slot, self._random.choice(there))
            self._last(0.2, 2)
        strike.note = f"slots {', '.join(map(str, slots))}"

    @property
    def _several(self) -> Several:
        several = self._cluster.several
        assert several is not None
        return several

    @property
    def _slots_in_use(self) -> list[int]:
        return sorted({self._slot_of(token.number) for token in self._plan.tokens})

    def _slot_of(self, token: int) -> int:
        """Where a token's account is."""
        account = self._cluster.made.scopes[token][-1]
        return SLOTS[int(account.removeprefix("a")) % SHARDS]

    def _any_slot(self) -> int:
        return self._random.choice(self._slots_in_use)

    # Postgres

    def _postgres_restart(self, _strike: Strike) -> None:
        self._cluster.postgres.stop()
        self._last(0.5, 5)
        self._cluster.postgres.start()

    def _postgres_freeze(self, _strike: Strike) -> None:
        self._cluster.signal_postgres(signal.SIGSTOP)
        self._last(1, 4)
        self._cluster.signal_postgres(signal.SIGCONT)

    def _postgres_terminate(self, _strike: Strike) -> None:
        for _ in range(3):
            fetch(
                self._cluster,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
            )
            time.sleep(self._random.uniform(0.05, 0.4))

    def _postgres_away_flush(self, strike: Strike) -> None:
        """Charges are with the replicas alone."""
        self._without_postgres(lambda: self._flush(strike))

    def _postgres_away_restart(self, strike: Strike) -> None:
        self._without_postgres(lambda: self._valkey_restart(strike))

    def _postgres_away_kill(self, strike: Strike) -> None:
        """Charges of the killed replica are with Valkey alone."""
        number = self._any_replica(strike)

        def kill() -> None:
            strike.begun_us = now_us()
            self._cluster.replicas[number].kill()
            strike.ended_us = now_us()

        self._without_postgres(kill)
        self._cluster.wait_for(number)

    def _without_postgres(self, deed: Callable[[], None]) -> None:
        self._cluster.postgres.stop()
        self._last(0.5, 2)
        deed()
        self._last(0.5, 2)
        self._cluster.postgres.start()

    # Edits, and the declared double fault

    def _grants(self, strike: Strike) -> None:
        """Grants up and down while calls take from them; the cap is the most that was granted."""
        ours = [n for n, granted in enumerate(self._granted) if granted and n != self._plan.probe]
        statuses = []
        for number in self._random.sample(ours, 2 if self._haste else 4):
            base = self._granted[number]
            for factor in (0.3, 1.0, self._random.uniform(1.05, 1.6)):
                granted = int(base * factor)
                statuses.append(self._cluster.edit_grant(number, granted))
                time.sleep(self._random.uniform(0.02, 0.15))
            self._granted[number] = granted
        strike.note = "answers " + ", ".join(str(status) for status in sorted(set(statuses)))

    def _double(self, strike: Strike) -> None:
        """A replica is killed as Valkey loses its data: what it alone knew is lost, and no more."""
        number = self._any_replica(strike)
        strike.begun_us = now_us()
        self._cluster.replicas[number].kill()
        self._flush(strike)
        strike.ended_us = now_us()
        self._cluster.wait_for(number)
