"""Where the rows of an import come from: a database of the other gateway's, or a CSV file."""

import argparse
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.domain.redaction import redact
from gateway.imports import litellm, new_api, plain_keys
from gateway.imports.cells import Row
from gateway.imports.plan import Candidate, Choices, Left
from gateway.store.foreign_tables import read_postgres, read_sqlite

_MAX_CELL = 1_000_000
_LINE = "line"


class BadSource(Exception):
    """What was given cannot be read. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of table. Columns that are not `known` are refused where `strict`, and told otherwise."""

    read: Callable[[Row, Choices], Candidate | Left]
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    known: frozenset[str]
    table: str = ""
    strict: bool = False


SOURCES: Mapping[str, Source] = {
    "new-api": Source(new_api.read, new_api.COLUMNS, new_api.NOTES, new_api.KNOWN, new_api.TABLE),
    "litellm": Source(litellm.read, litellm.COLUMNS, litellm.NOTES, litellm.KNOWN, litellm.TABLE),
    "keys": Source(
        plain_keys.read, plain_keys.COLUMNS, plain_keys.NOTES, plain_keys.KNOWN, strict=True
    ),
}


async def read_rows(given: argparse.Namespace) -> list[dict[str, Any]]:
    """All rows of what was given. Raises `BadSource` and `StoreUnavailable`."""
    source = SOURCES[given.source]
    if given.csv is not None:
        return _read_csv(Path(given.csv), source)
    if getattr(given, "sqlite", None) is not None:
        rows = read_sqlite(Path(given.sqlite), source.table)
    else:
        rows = await _read_dsn(given.dsn, source.table)
    if rows:
        _check_columns(source, list(rows[0]), f"the table {source.table}")
    return rows


def notes_of(source: Source, rows: Sequence[Row]) -> tuple[str, ...]:
    """What is true of all rows."""
    strange = sorted(set(rows[0]) - source.known - {_LINE}) if rows else []
    if not strange:
        return source.notes
    columns = ", ".join(map(ascii, strange))
    return (*source.notes, f"Columns that are not understood stay behind: {columns}.")


async def _read_dsn(dsn: str, table: str) -> list[dict[str, Any]]:
    try:
        return await read_postgres(dsn, table)
    except ValueError as error:  # asyncpg's word for a text that is no address
        raise BadSource(f"--dsn: {redact(str(error))}.") from None


def _read_csv(path: Path, source: Source) -> list[dict[str, Any]]:
    csv.field_size_limit(_MAX_CELL)
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return list(_rows_of(csv.reader(stream, strict=True), path, source))
    except OSError as error:
        raise BadSource(f"{path}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadSource(f"{path}: is not UTF-8; export it as UTF-8.") from None
    except csv.Error as error:
        raise BadSource(f"{path}: is no CSV: {error}.") from None


def _rows_of(lines: Any, path: Path, source: Source) -> Iterator[dict[str, Any]]:
    """`lines` is a `csv.reader`. Each row knows the `line` where it ends."""
    columns = [name.strip() for name in next(lines, [])]
    _check_columns(source, columns, f"{path}: its first line")
    for cells in lines:
        if cells and len(cells) != len(columns):
            raise BadSource(
                f"{path}: line {lines.line_num} has {len(cells)} cells, the first has {len(columns)}."
            )
        if cells:
            yield {**dict(zip(columns, cells, strict=True)), _LINE: lines.line_num}


def _check_columns(source: Source, columns: Sequence[str], where: str) -> None:
    wanted = [*source.columns]
    if source.strict and "sha256" not in columns:
        wanted.append("key")
    if missing := [name for name in wanted if name not in columns]:
        raise BadSource(
            f"{where} lacks {', '.join(missing)}: export the whole table, with the names of its columns."
        )
    if twice := sorted({name for name in columns if columns.count(name) > 1}):
        raise BadSource(f"{where} names {', '.join(map(ascii, twice))} twice.")
    if source.strict and (strange := sorted(set(columns) - source.known)):
        known = ", ".join(sorted(source.known))
        raise BadSource(f"{where} names {', '.join(map(ascii, strange))}; known are {known}.")
