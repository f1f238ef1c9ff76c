"""Log lines: JSON, one per event, without secrets.

Operational messages go through `logging`; the line per request is written by `gateway/relay/record.py`.
"""

import logging
import sys
from typing import TextIO

import orjson
from aiohttp.http_exceptions import HttpProcessingError

from gateway.domain.redaction import redact


class JsonFormatter(logging.Formatter):
    """One JSON object per line: ts (Unix seconds), level, logger, event, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record, redacted."""
        line: dict[str, object] = {
            "ts": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _told(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = _told(self.formatException(record.exc_info))
        return orjson.dumps(line).decode()


def _told(text: str) -> str:
    """Without secrets, and as JSON can have it: a line that cannot be written would be shown raw."""
    return redact(text).encode("utf-8", "backslashreplace").decode()


def configure(level: int = logging.INFO) -> None:
    """Send all of `logging` to standard error as JSON lines."""
    logging.basicConfig(level=level, handlers=[sink(sys.stderr)], force=True)


def sink(stream: TextIO) -> logging.Handler:
    """What writes JSON lines to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_is_ours)
    return handler


def _is_ours(record: logging.LogRecord) -> bool:
    """Not what is no HTTP: the caller is told, and whoever likes could fill the log with what they send."""
    fault = record.exc_info[1] if record.exc_info else None
    return not (record.name == "aiohttp.server" and isinstance(fault, HttpProcessingError))
