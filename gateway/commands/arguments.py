"""What `tollhouse token`, `export` and `completion` take: the parsers, and nothing that is slow to import.

An option that is not given is not in the namespace, so that `update` changes only what is.
"""

import argparse
from typing import Any, Final

from gateway.commands import values

_STATES: Final = ("enabled", "disabled", "expired", "exhausted")
_SORTS: Final = (
    *("id", "name", "created_time", "accessed_time"),
    *("expired_time", "used_quota", "remain_quota"),
)
SHELLS: Final = ("bash", "zsh", "fish", "tcsh")
_RULES: Final = (
    'As the value of a rule, "inherit" leaves it to the group, and "none" means that the token has none of its own. '
    "LIMIT is METRIC:WINDOW:NUMBER, such as requests:5h:100 or usd:month:20; "
    ":calendar, :burst=NUMBER and :shadow may follow."
)

Subparsers = Any  # argparse gives its type no public name


def add_token(commands: Subparsers) -> None:
    """`tollhouse token ACTION`."""
    token = commands.add_parser("token", help="keys: list, make, change, rotate, explain")
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_list(actions)
    _add_create(actions)
    _add_on_one(actions, "show", "one token: its rules, and the money of its scopes")
    _add_update(actions)
    _add_rotate(actions)
    _add_on_one(actions, "reveal", "the whole key, where keys are recoverable (audited)")
    _add_on_one(actions, "disable", "refuse its calls until it is enabled again")
    _add_on_one(actions, "enable", "let a disabled token be used again")
    delete = _add_on_one(actions, "delete", "revoke a token for good, after asking")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    add_version(delete)
    _add_explain(actions)
    _add_usage(actions)
    add_span(_add_on_one(actions, "refusals", "how many calls of a token were refused, and why"))
    add_common(
        actions.add_parser(
            "find",
            help="the token that a key opens",
            description="Asks for the key on a terminal, and reads it from standard input elsewhere: "
            "a key among the arguments would be seen by other users, and kept in the shell's history.",
        )
    )


def add_export(commands: Subparsers) -> None:
    """`tollhouse export`."""
    export = commands.add_parser("export", help="the ledger's rows, to standard output or a file")
    export.add_argument(
        "--format",
        choices=("csv", "jsonl", "parquet"),
        default="csv",
        help="jsonl is NDJSON; parquet needs tollhouse[parquet]",
    )
    where = export.add_mutually_exclusive_group()
    where.add_argument(
        "--output", metavar="FILE", help="written whole or not at all; else standard output"
    )
    where.add_argument(
        "--daily",
        default=None,
        metavar="DIRECTORY",
        help="a file for each day of UTC that is over, from --start on; those that are there stay",
    )
    export.add_argument(
        "--again", action="store_true", help="with --daily: write those anew that are there"
    )
    add_span(export)
    export.add_argument("--token", metavar="TOKEN", help="of this token alone: its id, or name")
    export.add_argument("--model", help="of this model alone")
    _add_whose(export)
    _add_reach(export)


def add_completion(commands: Subparsers) -> None:
    """`tollhouse completion SHELL`."""
    completion = commands.add_parser("completion", help="completion for a shell, to be sourced")
    completion.add_argument("shell", choices=SHELLS)


def _add_list(actions: Subparsers) -> None:
    parser = actions.add_parser("list", help="tokens, newest first")
    parser.add_argument("--keyword", metavar="TEXT", help="whose names contain it")
    parser.add_argument("--status", choices=_STATES)
    parser.add_argument("--group")
    parser.add_argument("--sort", choices=_SORTS)
    parser.add_argument("--order", choices=("asc", "desc"))
    parser.add_argument("--page", type=values.count, default=1, metavar="N")
    parser.add_argument("--size", type=values.count, default=50, metavar="N", help="at most 100")
    _add_whose(parser)
    add_common(parser)


def _add_create(actions: Subparsers) -> None:
    parser = actions.add_parser(
        "create",
        help="make a token; its key is shown once",
        description=f"Without a quota the token is unlimited. {_RULES}",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--name", required=True)
    _add_quota(parser)
    _add_rules(parser)
    parser.add_argument("--count", type=values.count, metavar="N", help="so many at once")
    parser.add_argument("--account", type=values.count, metavar="ID", help="that pays")
    parser.add_argument(
        "--idempotency-key", metavar="TEXT", help="repeating the command makes no second token"
    )
    add_common(parser)


def _add_update(actions: Subparsers) -> None:
    parser = _add_on_one(
        actions,
        "update",
        "change what is given, and nothing else",
        description=f"Changes what is given, and nothing else. {_RULES}",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--name")
    quota = _add_quota(parser)
    quota.add_argument(
        "--add-quota-usd", type=values.usd, metavar="USD", help="so much more than is granted now"
    )
    _add_rules(parser)
    add_version(parser)


def _add_rotate(actions: Subparsers) -> None:
    parser = _add_on_one(actions, "rotate", "a new key for the same token, shown once")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--overlap",
        type=values.seconds,
        default=0,
        metavar="TIME",
        help="how long the old key goes on working: 12h, 7d at most (default: not at all)",
    )
    how.add_argument(
        "--end-overlap", action="store_true", help="end the old key now; makes no new one"
    )


def _add_explain(actions: Subparsers) -> None:
    parser = _add_on_one(actions, "explain", "why a call would be refused; nothing is spent")
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--model")
    asked.add_argument(
        "--body",
        metavar="FILE",
        help="the call's own, in the place of what it says; -: standard input",
    )
    parser.add_argument("--path", help="the call's, as /v1/messages (default: that of chats)")
    parser.add_argument("--ip", metavar="ADDRESS", help="the caller's")
    parser.add_argument("--max-tokens", type=values.count, metavar="N")


def _add_usage(actions: Subparsers) -> None:
    parser = _add_on_one(actions, "usage", "what a token has used, over time")
    parser.add_argument("--interval", choices=("hour", "day", "all"), default="day")
    parser.add_argument("--by", metavar="FIELD", help="a row for each: model, upstream, …")
    parser.add_argument("--time-zone", metavar="NAME", help="whose days they are (default: UTC)")
    add_span(parser)


def _add_on_one(
    actions: Subparsers, name: str, help_: str, **settings: Any
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_, **settings)
    parser.add_argument("token", metavar="TOKEN", help="its id, or its whole name")
    _add_whose(parser)
    add_common(parser)
    return parser


def _add_whose(parser: argparse.ArgumentParser) -> None:
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument(
        "--user",
        type=values.count,
        default=None,
        metavar="ID",
        help="of this user (administrators)",
    )
    whose.add_argument(
        "--all",
        action="store_true",
        default=False,
        help="of everybody (administrators)",
    )


def _add_quota(parser: argparse.ArgumentParser) -> Any:
    quota = parser.add_mutually_exclusive_group()
    quota.add_argument(
        "--quota-usd", type=values.usd, metavar="USD", help="the grant; 0 is unlimited"
    )
    quota.add_argument(
        "--remain-quota", type=values.whole, metavar="UNITS", help="what is left from now on"
    )
    quota.add_argument("--unlimited", action="store_true", help="no cap on this token")
    return quota


def _add_rules(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--expires-in-days", type=values.whole, metavar="N", help="counted from now; 0 is never")
    add("--models", type=values.names, metavar="A,B", help="only these")
    add("--group")
    add("--allow-ip", action="append", metavar="CIDR", help="only from there; may be repeated")
    add("--deny-ip", action="append", metavar="CIDR", help="not from there; may be repeated")
    add("--limit", action="append", type=values.limit, metavar="LIMIT", help="may be repeated")
    add("--concurrency", type=values.concurrency, metavar="N", help="calls at once")
    add("--reserve", choices=("strict", "estimate"), help="how much a call is held for")
    add(
        "--metadata",
        action="append",
        type=values.pair,
        metavar="NAME=VALUE",
        help="may be repeated; the other names stay, and NAME= takes one out",
    )


def add_span(parser: argparse.ArgumentParser) -> None:
    """`--start` and `--end`."""
    for name, help_ in (("--start", "from then on"), ("--end", "before then")):
        parser.add_argument(
            name, type=values.moment, metavar="TIME", help=f"{help_}: 2026-11-01, 7d ago as 7d, …"
        )


def add_version(parser: argparse.ArgumentParser) -> None:
    """`--if-version`."""
    parser.add_argument(
        "--if-version",
        type=values.whole,
        default=None,
        metavar="N",
        help="only if it is still this one",
    )


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command that calls the admin API takes, and `--json`."""
    _add_reach(parser).add_argument(
        "--json", action="store_true", default=False, help="what the API answered, for scripts"
    )


def _add_reach(parser: argparse.ArgumentParser) -> Any:
    """What every command takes, told after its own options."""
    common = parser.add_argument_group("options of every command")
    common.add_argument(
        "--insecure",
        action="store_true",
        default=False,
        help="let the access token pass over plain http to another machine",
    )
    common.add_argument(
        "--config",
        default=None,
        metavar="FILE",
        help="without TOLLHOUSE_ADMIN_URL: instead of TOLLHOUSE_CONFIG or ./config.toml",
    )
    return common
