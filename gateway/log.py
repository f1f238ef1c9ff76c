"""Log lines: JSON, one per event, without secrets.

Operational messages go through `logging`; the line per request is written by `gateway/relay/record.py`.
"""

import logging
import re
import sys

import orjson

_SECRET = re.compile(
    r"(sk-[A-Za-z0-9_-]{8,}|AIza[A-Za-z0-9_-]{20,}|(?<=Bearer )\S+|(?<=://:)[^@/\s]+(?=@)|(?<=:)[^:@/\s]+(?=@))"
)


def redact(text: str) -> str:
    """The text without anything that looks like a key or a password in a URL."""
    return _SECRET.sub("***", text)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: ts (Unix seconds), level, logger, event, and the traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record, redacted."""
        line: dict[str, object] = {
            "ts": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": redact(record.getMessage()),
        }
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return orjson.dumps(line).decode()


def configure(level: int = logging.INFO) -> None:
    """Send all of `logging` to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
