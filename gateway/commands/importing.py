"""`tollhouse import`: other gateways' keys become tokens here, and go on working as they are.

Reads all, tells what would be made and what stays behind, and writes only with `--apply`.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import Progress

from gateway.commands.import_report import Outcome, document, show
from gateway.commands.import_sources import SOURCES, BadSource, notes_of, read_rows
from gateway.config import load
from gateway.domain.edit import Actor
from gateway.domain.errors import StoreUnavailable
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Rejected
from gateway.imports.plan import Candidate, Choices, Left, without_repeats
from gateway.store.catalog import read_group_ids
from gateway.store.imports import Owner, find_owner, find_present, write_batch
from gateway.store.postgres import Pool, check_schema, open_pool
from gateway.store.valkey import open_valkey
from gateway.stores_in_use import database_in_use, pepper_in_use, quota_store_in_use

_COMMAND_LINE = Actor("cli", any_group=True)
_BATCH = 100
_STATEMENT_TIMEOUT_S = 60


def run(given: argparse.Namespace) -> int:
    """Answers 0 when every row is here then, 1 when one is left out or something failed, 2 for wrong use."""
    try:
        outcome = asyncio.run(_import(given))
    except BadSource as error:
        print(f"tollhouse: {error}", file=sys.stderr)
        return 2
    except (Rejected, StoreUnavailable) as error:
        print(f"tollhouse: {error}", file=sys.stderr)
        return 1
    if given.json:
        sys.stdout.buffer.write(document(outcome))
    else:
        show(outcome)
    return 1 if outcome.left else 0


async def _import(given: argparse.Namespace) -> Outcome:
    loaded = load(os.environ, given.config)
    dsn, url = database_in_use(loaded), quota_store_in_use(loaded)
    pepper = pepper_in_use(loaded)
    rows = await read_rows(given)
    async with await open_pool(dsn, size=1, statement_timeout_s=_STATEMENT_TIMEOUT_S) as pool:
        await check_schema(pool)
        owner = await find_owner(pool, given.user)
        choices = _choices(given, frozenset(await read_group_ids(pool)))
        outcome = await _plan(pool, owner, given.source, rows, choices, pepper)
        if given.apply:
            await _apply(pool, owner, outcome, pepper)
            await _tell(url, list(outcome.made.values()))
        return outcome


def _choices(given: argparse.Namespace, groups: frozenset[str]) -> Choices:
    mapped = dict(given.group_map)
    if strange := sorted(set(mapped.values()) - groups):
        raise BadSource(f"--group-map: there is no group {strange[0]!r} here.")
    return Choices(
        now=datetime.now(UTC),
        groups=groups,
        group_map=mapped,
        units_per_usd=given.units_per_usd,
        without_group=given.without_group,
        loosen=given.loosen,
    )


async def _plan(
    pool: Pool,
    owner: Owner,
    source_name: str,
    rows: Sequence[dict[str, Any]],
    choices: Choices,
    pepper: Pepper,
) -> Outcome:
    source = SOURCES[source_name]
    found = without_repeats([source.read(row, choices) for row in rows])
    candidates = [each for each in found if isinstance(each, Candidate)]
    present = await find_present(pool, (each.secret for each in candidates), pepper)
    left = [each for each in found if isinstance(each, Left)]
    notes = notes_of(source, rows)
    return Outcome(owner.username, candidates, left, present, notes, applied=False)


async def _apply(pool: Pool, owner: Owner, outcome: Outcome, pepper: Pepper) -> None:
    """Write batch by batch: what is written stays, whatever comes of the next one."""
    new = outcome.new
    outcome.applied = True
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("tokens", total=len(new))
        for start in range(0, len(new), _BATCH):
            batch = [(each.secret, each.draft) for each in new[start : start + _BATCH]]
            try:
                outcome.made |= await write_batch(pool, _COMMAND_LINE, owner, batch, pepper=pepper)
            except (Rejected, StoreUnavailable):
                print(
                    f"tollhouse: stopped after {start:,} of {len(new):,} tokens; repeating the command makes the rest",
                    file=sys.stderr,
                )
                raise
            progress.advance(task, len(batch))


async def _tell(url: str, made: Sequence[int]) -> None:
    """Let running gateways know that foreign keys open tokens now; they look by themselves, too."""
    if not made:
        return
    try:
        async with open_valkey(url) as valkey:
            await valkey.publish_token_change(made[-1])
    except StoreUnavailable as error:
        print(
            f"tollhouse: running gateways were not told ({error}); they know within seconds",
            file=sys.stderr,
        )
