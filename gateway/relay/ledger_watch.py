"""What one of all workers does for the ledger as a whole: partitions in time, sums for usage, what is old and goes.

Each worker asks; the database lets one at a time do it. Nothing that goes wrong here harms calls, or ends the worker.
"""

import asyncio
import logging
from typing import Final

from gateway.domain.errors import StoreUnavailable
from gateway.store.ledger_months import drop_month, make_months
from gateway.store.postgres import Pool
from gateway.store.refusals import remove_old_refusals
from gateway.store.rollups import roll

_log = logging.getLogger(__name__)
_LOOK_S: Final = 60.0


class LedgerWatch:
    """Looks every minute. `pool`: of connections that give way, as a rollup reads a quarter of an hour of calls."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._steps = (self._make_months, self._roll, self._drop_months, self._forget_refusals)

    async def run(self) -> None:
        """Watch until cancelled. What cannot be done leaves the rest to be done."""
        while True:
            await asyncio.sleep(_LOOK_S)
            for step in self._steps:
                try:
                    await step()
                except StoreUnavailable as error:
                    _log.warning("what is done for the ledger as a whole waits: %s", error)
                except Exception:  # noqa: BLE001 -- see above
                    _log.exception("the ledger is not looked after")

    async def look(self) -> None:
        """Do all that is due. Raises `StoreUnavailable`."""
        for step in self._steps:
            await step()

    async def _make_months(self) -> None:
        strays = await make_months(self._pool)
        if strays is not None:
            _log.warning(
                "%d rows of the ledger, from %s to %s, are of months without a partition and stay in ledger_default: "
                "see that clocks are right, then move them (docs/operations.md)",
                strays.rows,
                strays.first_at.isoformat(timespec="seconds"),
                strays.last_at.isoformat(timespec="seconds"),
            )

    async def _roll(self) -> None:
        while await roll(self._pool):
            pass

    async def _drop_months(self) -> None:
        while (name := await drop_month(self._pool)) is not None:
            _log.info("dropped %s; what its charges came to is in carried", name)

    async def _forget_refusals(self) -> None:
        await remove_old_refusals(self._pool)
