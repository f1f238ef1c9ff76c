"""In which opening each shard of the quota store is, and how shards are opened.

A shard's contents belong to one run of the server that has it: another run may know less. One server
is lost whole, so one of its shards tells of all; in a cluster shards are lost, and move, node by
node and slot by slot, so each tells of itself.
"""

import asyncio
import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from gateway.domain.errors import StoreUnavailable
from gateway.domain.token import SHARDS
from gateway.store.connection import accept
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import key

_EPOCH: Final = struct.Struct("<40s3d")
_OPENED_AT: Final = 56
"""As in `lua/include/formats.lua`; the first and the last member name an opening."""
_TIME: Final = struct.Struct("<d")
_REMEMBERED: Final = 8
"""Runs that are over: a server that comes back after more of them has heard of one."""


class Opening(NamedTuple):
    """A shard's opening: what tells it from every other, and how long capped calls still wait.

    `mark` is the run of the store and its time at the look: whatever is opened later is another opening.
    """

    name: bytes
    pause_left_s: float
    mark: bytes


class Openings:
    """Over a started `Pipeline`. `pause_s`: how long capped calls wait after a loss.

    A run that was followed by another is over. Where it is found again, its server was away meanwhile and
    has come back as the primary with what it had: its openings of that time count no more.
    """

    def __init__(self, pipeline: Pipeline, pause_s: float) -> None:
        self._pipeline = pipeline
        self._pause_s = pause_s
        # By shard, or of shard 0 where that tells of all: the last mark, and those of the runs before.
        self._mark: dict[int, bytes] = {}
        self._over: dict[int, dict[bytes, bytes]] = {}

    @property
    def pause_s(self) -> float:
        """How long capped calls wait after a loss: every worker must notice one in less."""
        return self._pause_s

    async def start(
        self,
        pause_s: float | None = None,
        *,
        generation: int = 0,
        prolong: bool = False,
        shards: Iterable[int] | None = None,
    ) -> int:
        """Open each of `shards` (default: all) that is not open for this run of its server; how many were not.

        In those, capped calls wait `pause_s` (default: the store's), in which workers announce what
        they hold. Where a shard is open, its catalog generation rises to `generation`; that is also
        how an edit of the catalog is told. `prolong` lets the pause begin anew there, too.

        Raises `StoreUnavailable` where a shard cannot be asked; the others are open then.
        """
        pause_ms = round((self._pause_s if pause_s is None else pause_s) * 1000)
        script = self._pipeline.scripts["epoch"].sha
        wanted = list(range(SHARDS)) if shards is None else list(shards)
        run_ids = [self._pipeline.run_ids[shard] for shard in wanted]
        asked = [
            self._pipeline.ask(
                shard,
                "EVALSHA",
                script,
                1,
                key(shard, "e"),
                run_id,
                pause_ms,
                generation,
                int(prolong),
                b"".join(self._over.get(self._witness(shard), {}).values()),
            )
            for shard, run_id in zip(wanted, run_ids, strict=True)
        ]
        replies = [accept(reply) for reply in await asyncio.gather(*asked)]
        for shard, run_id, reply in zip(wanted, run_ids, replies, strict=True):
            if reply == b"NEW":  # whatever its clock says: what is there now is not from before
                self._over.get(self._witness(shard), {}).pop(run_id, None)
        return replies.count(b"NEW")

    async def opening(self, shard: int = 0) -> Opening | None:
        """The present opening of a shard; None where it is not open for this run of its server.

        Raises `StoreUnavailable`.
        """
        asked = [self._pipeline.ask(shard, *ask) for ask in (("GET", key(shard, "e")), ("TIME",))]
        epoch, now = await asyncio.gather(*asked)
        return self._opening(shard, accept(epoch), _now_ms(accept(now)))

    async def look_round(self) -> Mapping[int, Opening | None]:
        """The present opening of each shard that can be asked, as `opening` tells it.

        Raises `StoreUnavailable` where none can.
        """
        if not self._pipeline.is_cluster:
            return dict.fromkeys(range(SHARDS), await self.opening())
        parts = self._pipeline.parts()
        times = await asyncio.gather(*[self._pipeline.ask(part[0], "TIME") for part in parts])
        asked = [self._pipeline.ask(shard, "GET", key(shard, "e")) for shard in range(SHARDS)]
        epochs = await asyncio.gather(*asked)
        found: dict[int, Opening | None] = {}
        for part, now in zip(parts, times, strict=True):
            for shard in part:
                epoch = epochs[shard]
                if isinstance(now, list) and (epoch is None or isinstance(epoch, bytes)):
                    found[shard] = self._opening(shard, epoch, _now_ms(now))
        if not found:
            raise StoreUnavailable(str(epochs[0]))
        return found

    async def openings(self) -> dict[int, bytes]:
        """The name of the present opening of each shard that is open. Raises `StoreUnavailable`."""
        asked = [self._pipeline.ask(shard, "GET", key(shard, "e")) for shard in range(SHARDS)]
        found = [accept(epoch) for epoch in await asyncio.gather(*asked)]
        return {
            shard: _opening_name(epoch)
            for shard, epoch in enumerate(found)
            if isinstance(epoch, bytes)
        }

    async def prolong(self, shards: Iterable[int] | None = None) -> None:
        """Let capped calls wait for a whole pause from now on. Raises `StoreUnavailable`."""
        await self.start(prolong=True, shards=shards)

    async def reopen(self, shard: int | None = None, *, generation: int = 0) -> int:
        """After an EPOCH answer: open what is not open of all that the shard's server has, with the pause."""
        shards = None
        if shard is not None and self._pipeline.is_cluster:
            shards = self._pipeline.beside(shard)
        return await self.start(generation=generation, shards=shards)

    def _witness(self, shard: int) -> int:
        """The shard that tells in which run a shard is."""
        return shard if self._pipeline.is_cluster else 0

    def _opening(self, shard: int, epoch: object, now_ms: int) -> Opening | None:
        if not isinstance(epoch, bytes):
            return None
        run_id, pause_until, _, opened_at = _EPOCH.unpack(epoch)
        if run_id != self._pipeline.run_ids[shard]:
            return None
        witness = self._witness(shard)
        over = self._over.setdefault(witness, {})
        last = self._mark.get(witness, b"")
        if last and not last.startswith(run_id):
            over[last[: -_TIME.size]] = last
            if len(over) > _REMEMBERED:
                del over[next(iter(over))]
        if run_id in over and opened_at <= _TIME.unpack(over[run_id][-_TIME.size :])[0]:
            return None
        self._mark[witness] = mark = run_id + _TIME.pack(now_ms)
        return Opening(_opening_name(epoch), (pause_until - now_ms) / 1000, mark)


def _opening_name(epoch: bytes) -> bytes:
    run_id: bytes = _EPOCH.unpack(epoch)[0]
    return run_id + epoch[_OPENED_AT:]


def _now_ms(time: object) -> int:
    if not isinstance(time, list):
        raise StoreUnavailable(f"TIME answers {time!r}")
    told: list[Any] = time
    return int(told[0]) * 1000 + int(told[1]) // 1000
