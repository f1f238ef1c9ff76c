"""`tollhouse export`: the ledger's rows as a stream, to standard output or into files that are whole or not there."""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from gateway.commands.api_client import Api
from gateway.commands.errors import CommandFailed, WrongUse
from gateway.commands.naming import token_id, whose
from gateway.commands.parquet import ParquetFile
from gateway.commands.running import carry_out, note, open_api

_DAY_S = 86_400
_PARQUET = "parquet"


class _Writer(Protocol):
    def write(self, piece: bytes, /) -> object: ...


def run(given: argparse.Namespace, _: list[str]) -> int:
    """Carry it out; answers the exit status."""
    return carry_out(lambda: _run(given))


async def _run(given: argparse.Namespace) -> None:
    if given.format == _PARQUET and not (given.output or given.daily):
        raise WrongUse("--format parquet needs --output or --daily: its end is written last")
    days = _days(given.start, given.end) if given.daily else []
    names = ("start", "end", "model")
    query = {name: value for name in names if (value := getattr(given, name)) is not None}
    # Parquet is made here, of what the API has.
    query["format"] = "jsonl" if given.format == _PARQUET else given.format
    async with open_api(given) as api:
        query |= whose(given)
        if given.token is not None:
            query["token_id"] = await token_id(api, given)
        if given.daily:
            await _save_days(api, query, days, given)
            return
        lines = await _save(api.stream("/api/log/export", query), given.output, given.format)
    if given.output:
        note(f"{given.output} has {lines:,} lines.")


def _days(start: int | None, end: int | None) -> list[int]:
    """The days of UTC, by their begin in Unix seconds, that are whole and over. Raises `WrongUse`."""
    if start is None:
        raise WrongUse("--daily needs --start: the first day")
    today = int(time.time()) // _DAY_S * _DAY_S
    last = today if end is None else min(end // _DAY_S * _DAY_S, today)
    days = list(range(-(-start // _DAY_S) * _DAY_S, last, _DAY_S))
    if not days:
        raise WrongUse("there is no whole day of UTC between --start and --end that is over")
    return days


async def _save_days(
    api: Api, query: Mapping[str, str | int], days: list[int], given: argparse.Namespace
) -> None:
    """A file for each day; one that is there is left as it is, unless it is wanted again."""
    there = 0
    for day in days:
        name = f"ledger-{datetime.fromtimestamp(day, UTC):%Y-%m-%d}.{given.format}"
        file = Path(given.daily) / name
        if file.exists() and not given.again:
            there += 1
            continue
        of_day = {**query, "start": day, "end": day + _DAY_S}
        lines = await _save(api.stream("/api/log/export", of_day), str(file), given.format)
        note(f"{file} has {lines:,} lines.")
    if there:
        note(f"{there} days were there already; --again writes them anew.")


async def _save(rows: AsyncGenerator[bytes, None], output: str | None, format_name: str) -> int:
    """Write all rows; how many lines they were."""
    lines = 0
    with (
        _target(output) as target,
        _written(target, format_name) as writer,
        _progress(shown=output is None) as advance,
    ):
        async with contextlib.aclosing(rows) as pieces:
            async for piece in pieces:
                writer.write(piece)
                lines += piece.count(b"\n")
                advance(len(piece), lines)
    return lines


@contextlib.contextmanager
def _written(target: BinaryIO, format_name: str) -> Iterator[_Writer]:
    """What takes the API's rows for the target. Raises `CommandFailed`."""
    if format_name != _PARQUET:
        yield target
        return
    file = ParquetFile(target)
    yield file
    file.close()  # not of one that was cut: its target goes


@contextlib.contextmanager
def _target(path: str | None) -> Iterator[BinaryIO]:
    """Where rows go: a file gets its name once all of it is there. Raises `CommandFailed`."""
    if path is None:
        yield sys.stdout.buffer
        return
    place = Path(path)
    try:
        descriptor, draft = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    except OSError as error:
        raise CommandFailed(f"{path} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
        Path(draft).replace(place)
    except BaseException as error:
        Path(draft).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise CommandFailed(f"{path} cannot be written: {error.strerror}") from None
        raise


@contextlib.contextmanager
def _progress(*, shown: bool) -> Iterator[Callable[[int, int], None]]:
    """What tells how far it is, on a terminal that does not show the rows themselves (`shown`: they go out there)."""
    if not sys.stderr.isatty() or (shown and sys.stdout.isatty()):
        yield lambda _size, _lines: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.fields[lines]:,} lines"),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("export", total=None, lines=0)

        def advance(size: int, lines: int) -> None:
            progress.update(task, advance=size, lines=lines)

        yield advance
