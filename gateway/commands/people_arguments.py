"""What `tollhouse user`, `access-token` and `audit-log` take: the parsers, and nothing that is slow to import.

An option that is not given is not in the namespace, so that `update` changes only what is.
"""

import argparse
from typing import Any, Final

from gateway.commands import values
from gateway.commands.arguments import Subparsers, add_common, add_span, add_version

ROLES: Final = ("owner", "admin", "operator", "viewer", "user")


def add_user(commands: Subparsers) -> tuple[argparse.ArgumentParser, ...]:
    """`tollhouse user ACTION`; answers the parsers of those that need no admin app."""
    user = commands.add_parser("user", help="people: list, make, change, disable, delete")
    actions = user.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_list(actions)
    _add_create(actions)
    _add_on_one(actions, "show", "one user, and the money of their account")
    _add_update(actions)
    _add_on_one(actions, "disable", "refuse their log-in, access tokens and keys")
    _add_on_one(actions, "enable", "let a disabled user go on")
    delete = _add_on_one(actions, "delete", "delete a user for good, and revoke their keys")
    delete.add_argument("--yes", action="store_true", help="do not ask")
    add_version(delete)
    password: argparse.ArgumentParser = actions.add_parser(
        "password", help="make a new one-time password, straight in the database"
    )
    password.add_argument("username")
    first: argparse.ArgumentParser = actions.add_parser(
        "first", help="make the first administrator, on a database without any user"
    )
    for each in (password, first):
        each.add_argument("--json", action="store_true", help="for scripts")
    return password, first


def add_access_token(commands: Subparsers) -> None:
    """`tollhouse access-token ACTION`."""
    access = commands.add_parser("access-token", help="what programs call the admin API with")
    actions = access.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="access tokens, newest first")
    _add_whose(listing)
    add_common(listing)
    create = actions.add_parser(
        "create",
        help="make one of your own; it is shown once",
        argument_default=argparse.SUPPRESS,
    )
    create.add_argument("name", metavar="NAME", help="what it is for")
    add = create.add_argument
    add("--scope", action="append", metavar="PERMISSION", help="only this; may be repeated")
    add("--allow-ip", action="append", metavar="CIDR", help="only from there; may be repeated")
    add("--expires-in-days", type=values.whole, metavar="N", help="counted from now; 0 is never")
    add_common(create)
    delete = actions.add_parser("delete", help="end an access token for good")
    delete.add_argument("id", type=values.count, metavar="ID")
    _add_whose(delete)
    add_common(delete)


def add_audit_log(commands: Subparsers) -> None:
    """`tollhouse audit-log`."""
    log = commands.add_parser("audit-log", help="who changed what, newest first")
    log.set_defaults(action="audit-log")
    log.add_argument("--object", metavar="KIND[:ID]", help="token, user:2, …")
    log.add_argument("--actor", help="user:1 or 1, cli, system, nobody")
    log.add_argument("--done", metavar="ACTION", help="token.update, user.login, …")
    add_span(log)
    log.add_argument("--limit", type=values.count, default=50, metavar="N", help="at most 100")
    log.add_argument("--cursor", type=values.count, metavar="N", help="go on behind that row")
    add_common(log)


def _add_list(actions: Subparsers) -> None:
    parser = actions.add_parser("list", help="users, newest first")
    parser.add_argument("--keyword", metavar="TEXT", help="in a name or an e-mail address")
    parser.add_argument("--role", choices=ROLES)
    parser.add_argument("--status", choices=("enabled", "disabled"))
    parser.add_argument("--group")
    parser.add_argument("--page", type=values.count, default=1, metavar="N")
    parser.add_argument("--size", type=values.count, default=50, metavar="N", help="at most 100")
    add_common(parser)


def _add_create(actions: Subparsers) -> None:
    parser = actions.add_parser(
        "create",
        help="make a user; their one-time password is shown once",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("username")
    _add_fields(parser)
    money = parser.add_mutually_exclusive_group()
    money.add_argument(
        "--grant-usd", type=values.usd, metavar="USD", help="on an account of their own"
    )
    money.add_argument("--unlimited", action="store_true", help="no cap on an account of their own")
    money.add_argument(
        "--account", type=values.count, metavar="ID", help="a member of this account instead"
    )
    parser.add_argument(
        "--idempotency-key", metavar="TEXT", help="repeating the command makes no second user"
    )
    add_common(parser)


def _add_update(actions: Subparsers) -> None:
    parser = _add_on_one(
        actions,
        "update",
        "change what is given, and nothing else",
        argument_default=argparse.SUPPRESS,
    )
    _add_fields(parser)
    add_version(parser)


def _add_fields(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--display-name", metavar="TEXT", help="how they are shown")
    parser.add_argument("--email", metavar="ADDRESS", help="empty takes it away")
    parser.add_argument("--group", help="of their tokens that name none")
    parser.add_argument("--role", choices=ROLES)


def _add_on_one(
    actions: Subparsers, name: str, help_: str, **settings: Any
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_, **settings)
    parser.add_argument("user", metavar="USER", help="their id, or their username")
    add_common(parser)
    return parser


def _add_whose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user", metavar="USER", help="of this user, whom you manage; else your own"
    )
