"""Reservations whose answer never came: they may have been taken, and nobody uses them.

Each is voided, again and again until the store has answered. Only what the store says it had becomes a row of the
ledger: one row for each reservation, and no row without one.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from gateway.relay.posting import Poster
from gateway.store.charges import Charge
from gateway.store.prepared import Prepared
from gateway.store.quota import QuotaStore


class _Unheard(NamedTuple):
    prepared: Prepared
    charge: Charge
    since: float


class Unheard:
    """What this worker remembers of such calls. `clock` is monotonic, in seconds.

    It grows only while the store is asked and does not answer, so an opening of the breaker adds what was under way.
    """

    def __init__(
        self,
        quota: QuotaStore,
        poster: Poster,
        *,
        lease_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quota = quota
        self._poster = poster
        self._lease_s = lease_s
        self._clock = clock
        self._calls: dict[bytes, _Unheard] = {}
        self._reaped: list[Charge] = []

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, prepared: Prepared, charge: Charge) -> None:
        """Remember a call; `charge` is its line, of nothing."""
        self._calls[charge.request_id] = _Unheard(prepared, charge, self._clock())

    def void(self) -> None:
        """Ask for each to be given back. Never awaits: whoever holds leases may call it."""
        for request_id, call in self._calls.items():
            self._quota.void(call.prepared, request_id, call.charge.line, self._answer(call))

    async def correct(self) -> None:
        """Give back what a reaper charged before the store could be asked. Raises `StoreUnavailable`."""
        if self._reaped:
            reaped = self._reaped[:]
            await self._poster.correct(reaped)
            del self._reaped[: len(reaped)]

    def _answer(self, call: _Unheard) -> Callable[[object], None]:
        def done(reply: object) -> None:
            request_id = call.charge.request_id
            if request_id not in self._calls or reply not in {b"OK", b"ALREADY", b"NONE"}:
                return
            del self._calls[request_id]
            if reply != b"NONE":
                self._poster.add(call.charge)
            elif self._clock() - call.since >= self._lease_s:
                # There may have been one, whose lease ended before the store could be asked.
                self._reaped.append(call.charge)

        return done
