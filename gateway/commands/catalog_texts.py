"""Entries of the catalog as texts for people (pure)."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from gateway.commands.texts import dollars, heading, limit, when

Object = Mapping[str, Any]

COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "upstream": ("Name", "Source", "Dialect", "Base URL", "Models", "Keys", "State"),
    "model": ("Name", "Source", "Input", "Output", "Price", "Upstreams", "State"),
    "group": ("Name", "Source", "Users", "Ratio", "Models", "Upstreams", "State"),
}
_SKIPPED: Final = frozenset({"api_key", "file_only", "effective", "prices"})


def row(kind: str, entry: Object) -> list[str]:
    """A row of a list."""
    state = "broken" if entry["broken"] else "good"
    name, source = entry["name"], entry["source"]
    if kind == "upstream":
        keys = " ".join(entry["api_keys"]) or "none known"
        return [
            name,
            source,
            entry["dialect"],
            entry["base_url"],
            _names(entry["models"]),
            keys,
            state,
        ]
    if kind == "model":
        price = (entry["effective"] or {}).get("price")
        figures = (
            ["-", "-", ", ".join(entry["members"] or ()) or "none"]
            if price is None
            else [
                _usd(price["input_usd_per_mtok"]),
                _usd(price["output_usd_per_mtok"]),
                entry["effective"]["price_source"],
            ]
        )
        return [name, source, *figures, ", ".join(entry["upstreams"]) or "none", state]
    reach = (
        [f"those of {', '.join(entry['groups'])}"] * 2
        if entry["groups"]
        else [_names(entry["models"]), _names(entry["upstreams"])]
    )
    return [name, source, entry["users"], f"{entry['ratio']}", *reach, state]


def details(entry: Object) -> list[tuple[str, str]]:
    """Everything of an entry that is not empty, a line each."""
    shown = [
        (heading(name), _text(name, value))
        for name, value in entry.items()
        if name not in _SKIPPED and value not in (None, [], {}, "")
    ]
    effective = entry.get("effective") or {}
    if price := effective.get("price"):
        shown.append(("Price in force", _figures(price)))
        shown.append(
            ("Price's number", f"{effective['price_version']} ({effective['price_source']})")
        )
    shown += [
        (
            f"Price {each['version']}",
            f"since {when(each['created_time'])}: {_figures(each['price'])}",
        )
        for each in entry.get("prices") or ()
    ]
    return shown


def tested(answer: Object) -> list[list[str]]:
    """What came of a test, a row for each key."""
    return [
        [
            each["api_key"] or "none",
            "good" if each["ok"] else "bad",
            str(each["status"] or "-"),
            f"{each['latency_ms']} ms",
            each["message"],
        ]
        for each in answer["keys"]
    ]


def _text(name: str, value: Any) -> str:
    if name == "created_time":
        return when(value, "with the file")
    if name == "limits":
        return "\n".join(map(limit, value))
    if isinstance(value, list | dict) and name in {"models", "upstreams", "members", "groups"}:
        return _names(value)
    if isinstance(value, list | dict):
        return orjson.dumps(value, default=float).decode()
    return str(value)


def _names(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{ours}={theirs}" for ours, theirs in value.items())
    return ", ".join(value)


def _figures(price: Object) -> str:
    return ", ".join(
        f"{_usd(value)} {name.removesuffix('_usd_per_mtok').removesuffix('_usd').replace('_', ' ')}"
        for name, value in price.items()
        if value is not None and name.endswith(("_usd_per_mtok", "_usd"))
    )


def _usd(value: Any) -> str:
    return dollars(Decimal(value))
