"""Which account made what at which upstream: kept in memory for a while, and in Postgres for good.

An object is noted when its answer passes, and written a moment later: a crash in between forgets whose it was, and its
id is then as good as that of any object which was made without us.
"""

import logging
import re
from collections import OrderedDict
from collections.abc import Sequence

import asyncpg
import msgspec

from gateway.domain.errors import Reason, Refusal, StoreUnavailable
from gateway.domain.lists import ids_in_list, without
from gateway.domain.references import LONGEST_ID
from gateway.relay.interval import every
from gateway.store.objects import Made, add_objects, find_objects

_log = logging.getLogger(__name__)
_INTERVAL_S = 0.1
_MOST_KEPT = 10_000


class _Inner(msgspec.Struct):
    id: str | None = None


class _Answer(msgspec.Struct):
    id: str | None = None
    response: _Inner | None = None  # events of the Responses API wrap the answer


_decode = msgspec.json.Decoder(_Answer).decode
_BEGUN = re.compile(rb'\s*\{\s*"id"\s*:\s*"([^"\\]+)"')


def id_in(answer: bytes) -> str | None:
    """The id of the object that an answer, or the data of an event, is about; of a cut one, where it comes first."""
    try:
        found = _decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        begun = _BEGUN.match(answer)
        made = None if begun is None else begun[1].decode(errors="replace")
    else:
        made = found.id or (found.response.id if found.response is not None else None)
    return made if made and len(made) <= LONGEST_ID else None


def unknown_owner(error: StoreUnavailable) -> Refusal:
    """What a caller is told who asks for objects while nobody can say whose they are."""
    return Refusal(
        Reason.KEY_STORE_UNAVAILABLE,
        "It cannot be looked up at the moment whose this is. Try again shortly.",
        retry_after_s=1,
        cause=str(error),
    )


class Objects:
    """Notes and finds objects."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._kept: OrderedDict[str, Made] = OrderedDict()
        self._unwritten: list[Made] = []

    def note(self, made: Made) -> None:
        """An account has made an object, unless somebody has made it before."""
        if made.id in self._kept:
            return
        self._kept[made.id] = made
        self._unwritten.append(made)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    async def find(self, ids: Sequence[str]) -> list[Made]:
        """Those of the ids that are known. Raises `StoreUnavailable`."""
        found = [made for each in ids if (made := self._kept.get(each)) is not None]
        missing = [each for each in ids if each not in self._kept]
        if missing:
            found += await find_objects(self._pool, missing)
        return found

    async def hide_others(self, body: bytes, account_id: int) -> bytes:
        """A list of objects without those that other accounts have made. Raises `StoreUnavailable`."""
        found = await self.find(ids_in_list(body))
        hidden = {made.id for made in found if made.account_id != account_id}
        return without(body, hidden) if hidden else body

    async def run(self) -> None:
        """Write what was noted, until cancelled, and once more then."""
        await every(_INTERVAL_S, self._write)

    async def _write(self) -> None:
        if not self._unwritten:
            return
        some, self._unwritten = self._unwritten, []
        try:
            await add_objects(self._pool, some)
        except StoreUnavailable as error:
            self._unwritten = (some + self._unwritten)[-_MOST_KEPT:]
            _log.warning("notes of objects wait: %s", error)
