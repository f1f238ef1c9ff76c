"""Calls that run for a key that opens nothing any more end, too.

A notice of an edit makes a worker look at once, and again a second later: a call that passed the checks just before may
not have begun then. Every few seconds it looks in any case, since notices can be lost and keys expire. A look is one
query for all calls that run; streams pay nothing for it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

from gateway.domain.checks import require_live
from gateway.domain.errors import Refusal, StoreUnavailable
from gateway.relay.call import Call
from gateway.relay.chain import OPENS_NOTHING
from gateway.store.token_cache import Entry

_log = logging.getLogger(__name__)
_EVERY_S = 5.0
_AGAIN_S = 1.0
_REST_S = 0.1
_AT_ONCE = 8  # look-ups: the connections are the callers', too

Versions = Callable[[Collection[int]], Awaitable[Mapping[int, Sequence[int]]]]
Renew = Callable[[Entry], Awaitable[Entry | None]]


class Revocations:
    """`running` are the calls; `versions` tells of tokens, `renew` looks a key up; `end` ends a call, if it can yet."""

    def __init__(
        self,
        running: Callable[[], Iterable[Call]],
        versions: Versions,
        renew: Renew,
        end: Callable[[Call, Refusal], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._running = running
        self._versions = versions
        self._renew = renew
        self._end = end
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look soon: something was edited that may end a key."""
        self._woken.set()

    async def run(self) -> None:
        """Look until cancelled."""
        wait_s = _EVERY_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            was_woken = self._woken.is_set()
            self._woken.clear()
            try:
                has_missed = await self.look()
            except StoreUnavailable as error:
                _log.warning("whether keys of running calls are still good is not known: %s", error)
                has_missed = False
            wait_s = _AGAIN_S if was_woken or has_missed else _EVERY_S
            await asyncio.sleep(_REST_S)

    async def look(self) -> bool:
        """End the calls whose keys are not good any more; whether one could not be ended yet.

        Raises `StoreUnavailable`.
        """
        calls: dict[Entry, list[Call]] = {}
        for call in self._running():
            calls.setdefault(call.entry, []).append(call)
        if not calls:
            return False
        refusals = await self._refusals(calls)
        ended = [
            self._end(call, refusal)
            for entry, refusal in refusals.items()
            for call in calls[entry]
            if refusal is not None
        ]
        return not all(ended)

    async def _refusals(self, entries: Collection[Entry]) -> Mapping[Entry, Refusal | None]:
        """What a next call of each key would be told of its state."""
        known = await self._versions({entry.token.id for entry in entries})
        present: dict[Entry, Entry | None] = {entry: entry for entry in entries}
        changed = [each for each in entries if known.get(each.token.id) != each.token.versions]
        for first in range(0, len(changed), _AT_ONCE):
            some = changed[first : first + _AT_ONCE]
            present |= zip(some, await asyncio.gather(*map(self._renew, some)), strict=True)
        now = self._clock()
        return {
            entry: OPENS_NOTHING if fresh is None else require_live(fresh.token, now)
            for entry, fresh in present.items()
        }
