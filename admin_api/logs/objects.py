"""A call of the log as it is shown: an object, or a line of a file (pure)."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC
from typing import Any, Final

from admin_api.envelope import json_bytes
from admin_api.tokens.objects import usd, usd_text
from gateway.domain.units import Units
from gateway.store.charges import COUNTS
from gateway.store.logs import LoggedCall

CSV_COLUMNS: Final = (
    *("request_id", "started_at", "user_id", "username", "account_id", "token_id", "token_name"),
    *("group", "model", "upstream", "dialect", "route", "status", "ttfb_ms", "duration_ms"),
    *("address", *COUNTS, "quota", "usd", "amount_nusd", "correction_nusd", "unbilled_nusd"),
    *("estimated", "anomaly", "price_version", "end_user", "tags"),
    "from_console",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def call_object(call: LoggedCall, units: Units) -> dict[str, Any]:
    """A call with the correction that it has had; `amount_nusd` is both together."""
    return {
        "request_id": str(call["request_id"]),
        "started_at": call["started_at"].timestamp(),
        **{name: call[name] for name in ("user_id", "username", "account_id", "token_id")},
        **{name: call[name] for name in ("token_name", "group", "model", "upstream", "dialect")},
        **{name: call[name] for name in ("route", "status", "ttfb_ms", "duration_ms")},
        "address": None if call["address"] is None else str(call["address"]),
        **{name: call[name] for name in COUNTS},
        "quota": units.used(call["amount"]),
        "usd": usd(call["amount"]),
        "amount_nusd": call["amount"],
        "correction_nusd": call["correction"],
        "unbilled_nusd": call["unbilled"],
        **{name: call[name] for name in ("estimated", "anomaly", "price_version")},
        "end_user": call["end_user"],
        "tags": call["tags"],
        "from_console": call["from_console"],
        "attempts": call["attempts"] or [],
    }


def new_api_object(call: LoggedCall, units: Units) -> dict[str, Any]:
    """The same, and what New-API's clients look for under names of its own."""
    return call_object(call, units) | {
        "created_at": int(call["started_at"].timestamp()),
        "type": 2,
        "model_name": call["model"],
        "prompt_tokens": call["input_tokens"],
        "completion_tokens": call["output_tokens"],
        "use_time": round(call["duration_ms"] / 1000),
        "ip": "" if call["address"] is None else str(call["address"]),
    }


def jsonl_lines(calls: Sequence[LoggedCall], units: Units) -> bytes:
    """One object a line."""
    return b"".join(json_bytes(call_object(call, units)) + b"\n" for call in calls)


def csv_lines(calls: Sequence[LoggedCall], units: Units) -> bytes:
    """RFC 4180, one record a line. No cell can be a formula to a spreadsheet."""
    lines = io.StringIO()
    write = csv.writer(lines, lineterminator="\r\n").writerow
    for call in calls:
        shown = call_object(call, units) | {
            "started_at": call["started_at"].astimezone(UTC).isoformat(timespec="milliseconds"),
            "usd": usd_text(call["amount"]),
            "tags": call["tags"] and json_bytes(call["tags"]).decode(),
        }
        write([_cell(shown[name]) for name in CSV_COLUMNS])
    return lines.getvalue().encode()


def csv_head() -> bytes:
    """The first line: what the columns are called."""
    return ",".join(CSV_COLUMNS).encode() + b"\r\n"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"  # https://owasp.org/www-community/attacks/CSV_Injection
    return "" if value is None else str(value)
