"""The law of limits in the shadow: of each call they say what their twins that bind would say.

One token has every limit in the shadow; each of the others has one of them, binding. All make the same calls at the
same time, and those that passed grow and end alike.
"""

import asyncio
import random
from dataclasses import dataclass, field, replace

from gateway.domain.limits import Limit, Metric
from gateway.store.prepared import Prepared
from gateway.store.replies import Again, Refused, Reserved
from tests.quota_rig import START, Rig, token

LIMITS = (
    Limit(Metric.REQUESTS, "1m", 5),
    Limit(Metric.TOKENS, "1m", 150),
    Limit(Metric.TOKENS, "5h", 700, models=frozenset({"m", "other"})),
    Limit(Metric.USD, "1d", 6_000, "calendar"),
    Limit(Metric.REQUESTS, "1m", 6, burst=3),
    Limit(Metric.TOKENS, "1m", 90, burst=120),
)
_WAITS = (*(0, 7, 400, 999, 3_000, 9_000, 20_000) * 3, 61_000, 300_000, 3_600_000, 40_000_000)


class NoTwin(AssertionError):
    """A limit in the shadow says otherwise than its twin."""


@dataclass
class Counts:
    """What came up in a run: how often a twin let a call pass and refused one, and calls that grew."""

    passed: int = 0
    reported: int = 0
    grown: int = 0


@dataclass
class _Call:
    """A call in the shadow, and of each twin the same call where it passed."""

    ids: dict[int, bytes] = field(default_factory=dict)
    tokens: int = 0
    amount: int = 0


class Twins:
    """The tokens on one store, with its time held."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self._rig = rig
        self._random = random.Random(seed)
        in_shadow = tuple((0, replace(limit, shadow=True)) for limit in LIMITS)
        self._tokens = [token(1, limits=in_shadow)]
        self._tokens += [token(n, limits=((0, each),)) for n, each in enumerate(LIMITS, start=2)]
        self._now = START
        self._live: list[_Call] = []
        self.counts = Counts()

    async def run(self, steps: int) -> None:
        """As many steps. Raises `NoTwin`."""
        await self._rig.set_time(self._now)
        for each in self._tokens:
            await self._rig.load(each)
        for _ in range(steps):
            word = self._random.choice(["call"] * 5 + ["settle"] * 3 + ["grow", "back"])
            if word == "call":
                await self._wait(self._random.choice(_WAITS))
                await self._call()
            elif word == "back":
                await self._wait(-self._random.randint(1, 90_000))
            elif self._live:
                call = self._random.choice(self._live)
                await (self._settle(call) if word == "settle" else self._grow(call))

    async def _wait(self, ms: int) -> None:
        self._now += ms
        await self._rig.set_time(self._now)

    async def _call(self) -> None:
        call = _Call(tokens=self._random.randint(0, 70), amount=self._random.randint(0, 2_000))
        replies = [await self._reserve(call, number) for number in range(len(self._tokens))]
        mine, refusals = (
            replies[0],
            tuple(each for each in replies[1:] if isinstance(each, Refused)),
        )
        if not isinstance(mine, Reserved) or mine.shadows != refusals:
            raise NoTwin(f"at {self._now}: {mine} beside {refusals}")
        if mine.requests or mine.tokens:
            raise NoTwin(f"callers are told of what does not bind: {mine}")
        self.counts.passed += len(LIMITS) - len(refusals)
        self.counts.reported += len(refusals)
        self._live.append(call)

    async def _reserve(self, call: _Call, number: int) -> Reserved | Refused:
        request_id, now_ms = self._rig.new_id(), self._now
        while True:
            prepared = self._prepare(number, now_ms)
            reply = await self._rig.reserve(prepared, request_id, call.amount, call.tokens)
            if not isinstance(reply, Again):
                break
            assert reply.obstacle == "PERIOD", reply
            now_ms = reply.value
        if isinstance(reply, Reserved):
            call.ids[number] = request_id
        return reply

    def _prepare(self, number: int, now_ms: int) -> Prepared:
        return self._rig.store.prepare(self._tokens[number], "m", 0, now_ms=now_ms)

    async def _grow(self, call: _Call) -> None:
        """As the end of a stream does: windows count it without being asked."""
        call.tokens += self._random.randint(0, 60)
        call.amount += self._random.randint(0, 900)
        for number, request_id in call.ids.items():
            done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            prepared = self._prepare(number, self._now)
            self._rig.store.extend(
                prepared, request_id, call.amount, call.tokens, done.set_result, fill=True
            )
            await done
        self.counts.grown += 1

    async def _settle(self, call: _Call) -> None:
        self._live.remove(call)
        tokens = self._random.randint(0, 2 * call.tokens)
        amount, keep = self._random.randint(0, call.amount), self._random.random() < 0.8
        for number, request_id in call.ids.items():
            await self._rig.settle(
                self._prepare(number, self._now), request_id, amount, tokens, keep_request=keep
            )
