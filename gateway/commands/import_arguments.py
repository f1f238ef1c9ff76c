"""What `tollhouse import` takes. Read with every command, so it imports nothing heavy."""

import argparse
from typing import Any

_UNITS_PER_USD = 500_000
_HELP = {
    "new-api": "the table tokens of New-API",
    "litellm": "the table LiteLLM_VerificationToken of LiteLLM",
    "keys": "a CSV file with the columns name and key, and fields of POST /api/token/",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A command for each kind of table."""
    sources = parser.add_subparsers(dest="source", required=True, metavar="SOURCE")
    for name, what in _HELP.items():
        source = sources.add_parser(name, help=what)
        _add_places(source, name)
        _add_choices(source, name)


def _add_places(source: argparse.ArgumentParser, name: str) -> None:
    places = source.add_mutually_exclusive_group(required=True)
    places.add_argument(
        "--csv", metavar="FILE", help="an export of the table, with a first line of names"
    )
    if name == "keys":
        return
    places.add_argument(
        "--dsn", metavar="DSN", help="its Postgres; the password may be in PGPASSWORD or ~/.pgpass"
    )
    if name == "new-api":
        places.add_argument("--sqlite", metavar="FILE", help="its SQLite database")


def _add_choices(source: argparse.ArgumentParser, name: str) -> None:
    add: Any = source.add_argument
    add("--apply", action="store_true", help="do it; otherwise nothing is written")
    add("--user", metavar="USERNAME", help="whose the tokens become (default: the first owner)")
    add(
        "--group-map",
        action="append",
        default=[],
        type=_pair,
        metavar="OLD=NEW",
        help="what a group (a team of LiteLLM) is called here; may be repeated",
    )
    add(
        "--without-group",
        action="store_true",
        help="give tokens of groups that there are not here their user's group",
    )
    add(
        "--loosen",
        action="store_true",
        help="carry keys whose restrictions cannot all be carried, without these",
    )
    if name != "litellm":
        add(
            "--units-per-usd",
            type=_count,
            default=_UNITS_PER_USD,
            metavar="N",
            help=f"quota units of a dollar there (default: {_UNITS_PER_USD:,})",
        )
    source.set_defaults(units_per_usd=_UNITS_PER_USD)
    add("--json", action="store_true", help="the report as one JSON object")
    add("--config", metavar="FILE", help="instead of TOLLHOUSE_CONFIG or ./config.toml")


def _pair(text: str) -> tuple[str, str]:
    old, separator, new = text.partition("=")
    if not (separator and old and new):
        raise argparse.ArgumentTypeError(f"must be OLD=NEW, it is {text!r}")
    return old, new


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:20]) < 10**12:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, it is {text!r}")
    return int(text)
