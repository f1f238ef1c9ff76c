"""The figures and labels that alerts and dashboards name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PROMETHEUS_OWN = frozenset({"instance", "job", "le"})
_FIGURE = re.compile(r"\b((?:tollhouse|gen_ai)_\w+)(\{[^}]*\})?")
_MATCHER = re.compile(r"(\w+)(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|on|without|ignoring) \(([^)]*)\)")
_FILLED = re.compile(r"\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}")

Used = tuple[str, set[str]]
"""A figure, and the labels that it must have."""


def of_alerts(file: Path) -> list[Used]:
    """What the rules of a file use."""
    rules = [
        rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]
    ]
    return [
        used
        for rule in rules
        for used in _used(rule["expr"], " ".join(rule["annotations"].values()))
    ]


def of_dashboard(file: Path) -> list[Used]:
    """What the panels and variables of a dashboard use."""
    return [used for expression, text in _expressions(file) for used in _used(expression, text)]


def _expressions(file: Path) -> Iterator[tuple[str, str]]:
    dashboard: dict[str, Any] = json.loads(file.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"], target["legendFormat"]
    for variable in dashboard["templating"]["list"]:
        found = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"])
        if found:
            yield found[1], f"{{{{{found[2]}}}}}"


def _used(expression: str, text: str) -> Iterator[Used]:
    """The figures of an expression; by its groupings and the `text` that is filled, all of them have some labels."""
    groupings = _GROUPING.findall(expression)
    common = {label.strip() for each in groupings for label in each.split(",")}
    common |= {*_FILLED.findall(text)}
    for name, braces in _FIGURE.findall(_GROUPING.sub("", expression)):
        yield name, {*_MATCHER.findall(braces)} | common
