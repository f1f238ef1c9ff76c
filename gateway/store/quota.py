"""The quota store: what calls take of it and give back, beside what it holds (`gateway/store/contents.py`).

One Lua script per operation (`lua/`), one shard per account. What its answers mean for a call is
for the caller to decide: nothing here retries, waits or asks Postgres.
"""

import asyncio
import time

from gateway.domain.token import Token
from gateway.store.breaker import Breaker
from gateway.store.connection import Done
from gateway.store.contents import Contents
from gateway.store.looks import Looked, read_looked
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import Prepared, prepare
from gateway.store.replies import EPOCH_REPLY


class QuotaStore(Contents):
    """The operations on the quota store, over a started `Pipeline`.

    `lease_s`, `sweep_s` and `pause_s` are as for `Contents`. `outbox_s`: how long the outbox keeps settled events;
    0 = there is none.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        lease_s: float = 60.0,
        sweep_s: float = 10.0,
        pause_s: float = 3.0,
        outbox_s: float = 0,
    ) -> None:
        super().__init__(pipeline, lease_s=lease_s, sweep_s=sweep_s, pause_s=pause_s)
        self._outbox_s = outbox_s

    @property
    def pipeline(self) -> Pipeline:
        """The way to the store, for what only looks at it."""
        return self._pipeline

    @property
    def connected(self) -> bool:
        """Whether the store can be asked now."""
        return self._pipeline.connected

    @property
    def breaker(self) -> Breaker:
        """The state of the way to the store."""
        return self._pipeline.breaker

    def prepare(
        self, token: Token, model: str, generation: int, *, now_ms: int | None = None
    ) -> Prepared:
        """Everything constant of the commands for `model` with `token`; to be kept by the caller.

        `now_ms` places calendar windows: our clock's, or what a PERIOD answer named. Raises
        ValueError for a window that no limit may have.
        """
        return prepare(
            self._scripts,
            token,
            model,
            generation=generation,
            run_id=self._pipeline.run_ids[token.shard],
            now_ms=int(time.time() * 1000) if now_ms is None else now_ms,
            lease_s=self._lease_s,
            sweep_s=self._sweep_s,
            outbox_s=self._outbox_s,
        )

    def stale(self, prepared: Prepared) -> bool:
        """Whether the store was started anew since; `reserve` then answers EPOCH unasked."""
        return prepared.run_id != self._pipeline.run_ids[prepared.shard]

    def reserve(
        self,
        prepared: Prepared,
        request_id: bytes,
        amount: int,
        tokens: int,
        detail: bytes,
        done: Done,
        *,
        dry: bool = False,
    ) -> None:
        """Take `amount` (nano-dollars), `tokens` and one request from every scope, or nothing.

        `done` gets the raw reply, for `read_reply`. `request_id` is 32 hexadecimal characters;
        repeating it takes nothing twice. `detail` comes back from `overdue` and `live`. Raises
        ValueError for amounts outside 0..2^52.
        """
        if prepared.run_id != self._pipeline.run_ids[prepared.shard]:
            # Its record in the store may be of a state that was rolled back.
            asyncio.get_running_loop().call_soon(done, EPOCH_REPLY)
            return
        command = prepared.reserve(request_id, amount, tokens, detail, dry=dry)
        self._pipeline.send(prepared.shard, command, done)

    async def look(self, prepared: Prepared, amount: int, tokens: int) -> Looked:
        """What RESERVE would answer, and what it would find. Takes nothing.

        Raises ValueError for amounts outside 0..2^52.
        """
        if prepared.run_id != self._pipeline.run_ids[prepared.shard]:
            return read_looked(EPOCH_REPLY, prepared, amount, tokens)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()

        def done(reply: object) -> None:
            if not future.done():
                future.set_result(reply)

        self._pipeline.send(prepared.shard, prepared.look(amount, tokens), done)
        return read_looked(await future, prepared, amount, tokens)

    def extend(
        self,
        prepared: Prepared,
        request_id: bytes,
        amount: int,
        tokens: int,
        done: Done,
        *,
        fill: bool = False,
    ) -> None:
        """Let a live reservation hold `amount` (nano-dollars) and `tokens` in all, or nothing more.

        `done` gets the raw reply, for `read_extended`. With `fill`, as much of the amount is taken as
        grants have left. Repeating it adds nothing; it renews the lease, too.
        """
        if prepared.run_id != self._pipeline.run_ids[prepared.shard]:
            asyncio.get_running_loop().call_soon(done, EPOCH_REPLY)
            return
        command = prepared.extend(request_id, amount, tokens, fill=fill)
        self._pipeline.send(prepared.shard, command, done)

    def settle(
        self,
        prepared: Prepared,
        request_id: bytes,
        amount: int,
        tokens: int,
        event: bytes,
        *,
        keep_request: bool = True,
    ) -> None:
        """Turn the reservation into a charge of `amount` for `tokens`; never awaited.

        A settle that is lost is repaired by `confirm` of the same id. `keep_request=False` gives
        the request back to its windows: no upstream was reached.
        """
        command = prepared.settle(request_id, amount, tokens, event, keep_request=keep_request)
        self._pipeline.send(prepared.shard, command, None)

    def void(self, prepared: Prepared, request_id: bytes, event: bytes, done: Done) -> None:
        """Give a reservation back whole, if the store has it; what is on its way to it takes nothing.

        `done` gets `b"NONE"` where it had none, `b"OK"` where it had one or `b"ALREADY"` where that is
        a charge by now, so that `event` belongs into the ledger; or what went wrong.
        """
        self._pipeline.send(prepared.shard, prepared.void(request_id, event), done)
