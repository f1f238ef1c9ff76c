"""The last check, as `Reservations` makes it for calls: the same command, which takes nothing.

Nobody is waited for: a call that other calls' holds stand in the way of is told as it would be after its wait.
"""

from dataclasses import dataclass

from gateway.domain.ask import Ask
from gateway.domain.catalog import Catalog
from gateway.domain.errors import Refusal, StoreUnavailable
from gateway.domain.pricing import Pricing
from gateway.domain.quota import Hold
from gateway.domain.token import Token
from gateway.store.loads import Loads
from gateway.store.looks import Looked
from gateway.store.quota import QuotaStore
from gateway.store.quota_refusals import refusal_of, shrink, unavailable
from gateway.store.replies import Again, Obstacle, Refused

_TRIES = 5


class Changed(Exception):
    """The token's row, or the catalog, changed meanwhile: the checks must run again."""


@dataclass(slots=True)
class Held:
    """What a call would be held for; smaller than at first where only less would pass."""

    ask: Ask
    terms: Pricing
    hold: Hold


class Looks:
    """Asks the quota store what it would answer."""

    def __init__(self, quota: QuotaStore, loads: Loads) -> None:
        self._quota = quota
        self._loads = loads

    async def reserve(
        self, held: Held, token: Token, catalog: Catalog
    ) -> tuple[Refusal | None, Looked]:
        """The refusal, if it is one, and what the store has. Raises `Changed`."""
        while True:
            looked = await self.decide(
                token,
                held.ask.model,
                catalog,
                amount=held.hold.amount_nusd,
                tokens=held.hold.tokens,
            )
            match looked.reply:
                case Refused() as refused:
                    if shrink(held, refused):
                        continue
                    return refusal_of(refused, held), looked
                case Again() as again if token.capped:
                    return unavailable(again), looked
                case _:
                    return None, looked

    async def decide(
        self, token: Token, model: str, catalog: Catalog, *, amount: int = 0, tokens: int = 0
    ) -> Looked:
        """The store's decision, once nothing keeps it from deciding. Raises `Changed`."""
        now_ms = None
        for _ in range(_TRIES):
            prepared = self._quota.prepare(token, model, catalog.generation, now_ms=now_ms)
            looked = await self._quota.look(prepared, amount, tokens)
            if not isinstance(looked.reply, Again):
                return looked
            try:
                match looked.reply.obstacle:
                    case Obstacle.PAUSE | Obstacle.DOWN | Obstacle.UNKNOWN:
                        return looked
                    case Obstacle.PERIOD:
                        now_ms = looked.reply.value
                    case Obstacle.EPOCH:
                        await self._quota.reopen(token.shard, generation=catalog.generation)
                    case Obstacle.LOAD:
                        if not await self._loads.load(prepared, token):
                            await self._quota.reopen(token.shard, generation=catalog.generation)
                    case _:
                        raise Changed
            except StoreUnavailable as error:
                return Looked(Again(Obstacle.DOWN, cause=str(error)))
        return Looked(Again(Obstacle.DOWN, cause="no decision after retries"))
