"""`tollhouse pepper`: what still rests on another pepper than the present one. Reads only."""

import argparse
import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.config import load
from gateway.domain.pepper import Pepper
from gateway.store.peppers import Resting, count_by_pepper, resting_keys
from gateway.store.postgres import check_tables, open_pool, reading
from gateway.stores_in_use import database_in_use, pepper_in_use

_MOST_NAMED = 20
_STATEMENT_TIMEOUT_S = 300
_STANDS = ("current", "previous", "neither")


@dataclass(frozen=True, slots=True)
class _Found:
    """How many of each kind stand where, and the first of the keys that are not current."""

    counts: Mapping[str, Mapping[str, int]]
    keys: Sequence[Resting]

    @property
    def left(self) -> int:
        """How many would end with the previous pepper, or have ended already."""
        return sum(of[stand] for of in self.counts.values() for stand in _STANDS[1:])


def pepper(given: argparse.Namespace, _: list[str]) -> int:
    """Run it; answers 0 when everything is current, 1 when something is not."""
    loaded = load(os.environ, given.config)
    found = asyncio.run(_find(database_in_use(loaded), pepper_in_use(loaded)))
    print(json.dumps(_document(found), indent=2) if given.json else _text(found))
    return 1 if found.left else 0


async def _find(dsn: str, present: Pepper) -> _Found:
    async with (
        await open_pool(dsn, size=1, statement_timeout_s=_STATEMENT_TIMEOUT_S) as pool,
        reading(pool) as connection,
    ):
        await check_tables(connection)
        counts = await count_by_pepper(connection)
        keys = await resting_keys(connection, present.version, _MOST_NAMED)
    return _Found({kind: _stands(of, present) for kind, of in counts.items()}, keys)


def _stands(by_version: Mapping[int, int], present: Pepper) -> Mapping[str, int]:
    stands = dict.fromkeys(_STANDS, 0)
    known = dict(zip(present.versions, _STANDS, strict=False))
    for version, count in by_version.items():
        stands[known.get(version, "neither")] += count
    return stands


def _text(found: _Found) -> str:
    lines = [f"{'':<14}" + "".join(f"{stand:>12}" for stand in _STANDS)]
    lines += [
        f"{kind:<14}" + "".join(f"{of[stand]:>12,}" for stand in _STANDS)
        for kind, of in found.counts.items()
    ]
    if found.keys:
        lines += ["", "Keys that are not current, those not used for the longest first:"]
        lines += [
            f"  token {each.token_id} {each.name!r} of {each.username}, {each.display}, "
            + (f"used {each.last_used_at:%Y-%m-%d}" if each.last_used_at else "never used")
            for each in found.keys
        ]
    end = "Everything rests on the current pepper: a previous one can be dropped."
    if found.left:
        end = f"{found.left:,} do not rest on the current pepper; SECURITY.md says what to do with them."
    return "\n".join([*lines, "", end])


def _document(found: _Found) -> Mapping[str, object]:
    keys = [
        each._asdict()
        | {"last_used_at": each.last_used_at.isoformat() if each.last_used_at else None}
        for each in found.keys
    ]
    return {"left": found.left, "counts": found.counts, "keys": keys}
