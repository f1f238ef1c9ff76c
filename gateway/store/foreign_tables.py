"""Other gateways' tables, read row by row: each row as a mapping of columns to values.

Reads only, in databases that are not ours. Raises `StoreUnavailable` where one cannot be read.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from gateway.domain.errors import StoreUnavailable
from gateway.store.postgres import connect, store_errors


async def read_postgres(dsn: str, table: str) -> list[dict[str, Any]]:
    """All rows. As JSON, so that numbers come as they are written there: no float touches money."""
    connection = await connect(dsn)
    try:
        with store_errors():
            found = await connection.fetch(
                f'SELECT to_jsonb(t)::text FROM "{table}" t ORDER BY t."{_FIRST[table]}"'  # noqa: S608 -- ours
            )
    except asyncpg.UndefinedTableError:
        raise StoreUnavailable(f"the database has no table {table}") from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise StoreUnavailable(f"the table {table} cannot be read: {error}") from None
    finally:
        await connection.close()
    return [json.loads(row[0], parse_float=Decimal) for row in found]


def read_sqlite(path: Path, table: str) -> list[dict[str, Any]]:
    """All rows."""
    if not path.is_file():
        raise StoreUnavailable(f"{path}: there is no such file")
    try:
        return list(_rows(path, table))
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path}: {error}") from None


def _rows(path: Path, table: str) -> Iterator[dict[str, Any]]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        order = _FIRST[table]
        for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY "{order}"'):  # noqa: S608 -- ours
            yield dict(row)


_FIRST = {"tokens": "id", "LiteLLM_VerificationToken": "token"}
"""The tables that are read, and by which column in order."""
