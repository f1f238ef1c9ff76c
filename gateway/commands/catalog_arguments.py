"""What `tollhouse upstream`, `model` and `group` take: the parsers, and nothing that is slow to import.

An option that is not given is not in the namespace, so that `update` changes only what is.
"""

import argparse
from typing import Any, Final

from gateway.commands import values
from gateway.commands.arguments import add_common, add_version

_SET_HELP: Final = (
    "any field of the API, with its value in JSON, such as weight=3 or first_byte_timeout_s=120; null is the default; "
    "may be repeated"
)
_DIALECTS: Final = ("openai", "anthropic", "gemini")

Subparsers = Any  # argparse gives its type no public name


def add_catalog(commands: Subparsers) -> None:
    """`tollhouse upstream ACTION`, `model ACTION` and `group ACTION`."""
    upstream = _actions(commands, "upstream", "providers: list, make, change, test")
    _add_entry(upstream, "upstream", _add_upstream_fields)
    test = _on_one(
        upstream, "upstream", "test", "call it with each of its keys; nothing is changed"
    )
    test.add_argument("--model", help="one word of this model, which costs what it costs")
    _on_one(upstream, "upstream", "models", "the provider's own list of models")
    _add_entry(
        _actions(commands, "model", "models: prices, bounds, what a name stands for"),
        "model",
        _add_model_fields,
    )
    _add_entry(
        _actions(commands, "group", "groups: which models and upstreams, at what ratio"),
        "group",
        _add_group_fields,
    )


def _actions(commands: Subparsers, kind: str, help_: str) -> Subparsers:
    parser = commands.add_parser(kind, help=help_)
    return parser.add_subparsers(dest="action", required=True, metavar="ACTION")


def _add_entry(actions: Subparsers, kind: str, add_fields: Any) -> None:
    """The actions that all three have."""
    list_ = actions.add_parser("list", help=f"{kind}s, by name")
    list_.add_argument("--keyword", metavar="TEXT", help="whose names contain it")
    list_.add_argument(
        "--source", choices=("file", "api", *(("book", "upstream") * (kind == "model")))
    )
    list_.add_argument("--page", type=values.count, default=1, metavar="N")
    list_.add_argument("--size", type=values.count, default=50, metavar="N", help="at most 100")
    add_common(list_)
    _on_one(actions, kind, "show", "everything that is known of it")
    for name, help_ in (
        ("create", "make it; the next call may use it"),
        ("update", "change what is given, and nothing else"),
    ):
        parser = _on_one(actions, kind, name, help_, argument_default=argparse.SUPPRESS)
        add_fields(parser)
        parser.add_argument(
            "--set", action="append", type=values.field, metavar="FIELD=JSON", help=_SET_HELP
        )
        if name == "update":
            add_version(parser)
    delete = _on_one(actions, kind, "delete", "delete it, after asking")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    add_version(delete)


def _on_one(
    actions: Subparsers, kind: str, name: str, help_: str, **settings: Any
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_, **settings)
    parser.add_argument("name", metavar=kind.upper(), help="its name")
    add_common(parser)
    return parser


def _add_upstream_fields(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--base-url", metavar="URL", help="where its API begins, with its version at the end")
    add("--dialect", choices=_DIALECTS)
    add("--models", type=values.names, metavar="A,B", help="what it serves: names, gpt-*, or *")
    add(
        "--model",
        action="append",
        type=values.pair,
        metavar="OURS=THEIRS",
        help="a model that it calls by another name; may be repeated, and stands in the place of --models",
    )
    add("--allow-cidr", action="append", metavar="CIDR", help="may be repeated")
    add("--priority", type=int, metavar="N", help="the lowest is asked first")
    add("--weight", type=values.count, metavar="N")
    key = parser.add_mutually_exclusive_group()
    key.add_argument(
        "--api-key-env",
        action="append",
        metavar="VARIABLE",
        help="the variable of this command's environment that holds its key; may be repeated",
    )
    key.add_argument(
        "--api-key-stdin",
        action="store_true",
        help="read its key from standard input, or ask for it on a terminal",
    )
    key.add_argument("--no-api-key", action="store_true", help="send none")


def _add_model_fields(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--input-usd", type=values.usd, metavar="USD", help="for a million tokens of input")
    add("--output-usd", type=values.usd, metavar="USD", help="for a million tokens of output")
    add("--cached-input-usd", type=values.usd, metavar="USD", help="of input that was cached")
    add("--request-usd", type=values.usd, metavar="USD", help="for each request")
    add("--max-output-tokens", type=values.count, metavar="N")
    add("--max-input-tokens", type=values.count, metavar="N")
    add(
        "--members", type=values.names, metavar="A,B", help="stands for these, the first goes first"
    )


def _add_group_fields(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--description", metavar="TEXT", help="for people who choose a group")
    add("--users", choices=("all", "assigned"), help="who may choose it for tokens")
    add("--models", type=values.names, metavar="A,B", help="models that its tokens can call")
    add("--upstreams", type=values.names, metavar="A,B", help="upstreams that they can reach")
    add("--ratio", type=values.usd, metavar="NUMBER", help="multiplies every price")
    add("--groups", type=values.names, metavar="A,B", help="stands for these groups, in order")
    add("--limit", action="append", type=values.limit, metavar="LIMIT", help="may be repeated")
    add("--concurrency", type=values.count, metavar="N", help="calls at once of an account")
    add("--quota-usd", type=values.usd, metavar="USD", help="what an account that comes is granted")
    add("--token-quota-usd", type=values.usd, metavar="USD", help="what new tokens are granted")
    add("--token-expires-in-days", type=values.whole, metavar="N", help="when new tokens end")
