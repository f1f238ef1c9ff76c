"""Rows of the ledger as a Parquet file: the lines of the API's JSON, in row groups, so that memory stays small.

pyarrow, which writes it, is large and comes with the extra `parquet` alone.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Final

import orjson

from gateway.commands.errors import CommandFailed
from gateway.store.charges import COUNTS

_ROWS_OF_A_GROUP: Final = 20_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WHOLE: Final = (
    *("user_id", "account_id", "token_id", "status", "ttfb_ms", "duration_ms"),
    *(*COUNTS, "quota", "amount_nusd", "correction_nusd", "unbilled_nusd", "price_version"),
)
_TEXT: Final = (
    *("username", "token_name", "group", "model", "upstream", "dialect", "route", "address"),
    *("anomaly", "end_user"),
)
_JSON: Final = ("tags", "attempts")
_FLAGS: Final = ("estimated", "from_console")


class ParquetFile:
    """Takes the bytes of JSON lines as they come, and writes them to a stream; `close` makes it whole.

    `usd` is left out: `amount_nusd` is exact. Raises `CommandFailed` where pyarrow is not installed.
    """

    def __init__(self, stream: BinaryIO) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415 -- optional
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError:
            raise CommandFailed(
                "Parquet is written by pyarrow, which is not installed: pip install 'tollhouse[parquet]'"
            ) from None
        self._table = pa.Table
        self._schema = pa.schema(
            [
                ("request_id", pa.string()),
                ("started_at", pa.timestamp("us", tz="UTC")),
                *((name, pa.int64()) for name in _WHOLE),
                *((name, pa.string()) for name in (*_TEXT, *_JSON)),
                *((name, pa.bool_()) for name in _FLAGS),
            ]
        )
        self._writer = parquet.ParquetWriter(stream, self._schema, compression="zstd")
        self._rest = b""
        self._rows: list[dict[str, Any]] = []

    def write(self, piece: bytes) -> None:
        """Add bytes, which may end within a line."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        self._rows += map(_row, lines)
        while len(self._rows) >= _ROWS_OF_A_GROUP:
            self._write(self._rows[:_ROWS_OF_A_GROUP])
            del self._rows[:_ROWS_OF_A_GROUP]

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        if self._rows:
            self._write(self._rows)
        self._writer.close()

    def _write(self, rows: list[dict[str, Any]]) -> None:
        self._writer.write_table(self._table.from_pylist(rows, schema=self._schema))


def _row(line: bytes) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads(line)
    row["started_at"] = _EPOCH + timedelta(microseconds=round(row["started_at"] * 1_000_000))
    for name in _JSON:
        row[name] = orjson.dumps(row[name]).decode() if row[name] else None
    return row
