"""`tollhouse export`: the ledger's rows as a stream, to standard output or into a file that is whole or not there."""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from gateway.commands.errors import CommandFailed
from gateway.commands.naming import token_id, whose
from gateway.commands.running import carry_out, note, open_api


def run(given: argparse.Namespace, _: list[str]) -> int:
    """Carry it out; answers the exit status."""
    return carry_out(lambda: _run(given))


async def _run(given: argparse.Namespace) -> None:
    names = ("format", "start", "end", "model")
    query = {name: value for name in names if (value := getattr(given, name)) is not None}
    async with open_api(given) as api:
        query |= whose(given)
        if given.token is not None:
            query["token_id"] = await token_id(api, given)
        lines = await _save(api.stream("/api/log/export", query), given.output)
    if given.output:
        note(f"{given.output} has {lines:,} lines.")


async def _save(rows: AsyncGenerator[bytes, None], output: str | None) -> int:
    """Write all rows; how many lines they were."""
    lines = 0
    with _target(output) as target, _progress(shown=output is None) as advance:
        async with contextlib.aclosing(rows) as pieces:
            async for piece in pieces:
                target.write(piece)
                lines += piece.count(b"\n")
                advance(len(piece), lines)
    return lines


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
