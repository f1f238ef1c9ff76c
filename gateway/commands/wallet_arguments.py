"""What `tollhouse account`, `grant` and `redeem` take: the parsers, and nothing that is slow to import.

An option of an edit that is not given is not in the namespace, so that only what is given changes.
"""

import argparse
from typing import Any, Final

from gateway.commands import values
from gateway.commands.arguments import Subparsers, add_common, add_version

_ROLES: Final = ("owner", "admin", "member")
_CODES: Final = ("unused", "used", "expired", "revoked")


def add_wallets(commands: Subparsers) -> None:
    """`tollhouse account`, `grant` and `redeem`."""
    _add_account(commands)
    _add_grant(commands)
    _add_redeem(commands)


def _add_account(commands: Subparsers) -> None:
    account = commands.add_parser("account", help="wallets: members, caps, groups, history")
    actions = account.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = actions.add_parser("list", help="accounts, newest first")
    listed.add_argument("--keyword", metavar="TEXT", help="whose names contain it")
    listed.add_argument("--status", choices=("enabled", "disabled"))
    whose = listed.add_mutually_exclusive_group()
    whose.add_argument("--user", type=values.count, metavar="ID", help="that this user is in")
    whose.add_argument("--mine", action="store_true", help="that you are a member of")
    _add_page(listed)
    add_common(listed)
    create = actions.add_parser("create", help="make an account; it is empty unless you say")
    create.add_argument("--name", required=True)
    create.add_argument("--owner", type=values.count, metavar="ID", help="the user who owns it")
    quota = create.add_mutually_exclusive_group()
    quota.add_argument("--quota-usd", type=values.usd, metavar="USD", help="the first grant")
    quota.add_argument("--unlimited", action="store_true", help="no cap")
    _add_idempotency(create)
    add_common(create)
    _on_account(actions, "show", "one account: its money, members and groups")
    update = _on_account(actions, "update", "change what is given, and nothing else", edits=True)
    update.add_argument("--name")
    _add_regrant(update)
    add_version(update)
    _on_account(actions, "disable", "refuse the calls of its tokens until it is enabled again")
    _on_account(actions, "enable", "let a disabled account be used again")
    history = _on_account(actions, "history", "every change of a grant, newest first")
    of = history.add_mutually_exclusive_group()
    of.add_argument("--member", type=values.count, metavar="ID", help="of this user's cap")
    of.add_argument("--group", help="of the subscription to it")
    of.add_argument("--token", type=values.count, metavar="ID", help="of this token")
    history.add_argument("--size", type=values.count, default=50, metavar="N", help="at most 100")
    _add_members(actions)
    _add_subscriptions(actions)


def _add_members(actions: Subparsers) -> None:
    member = actions.add_parser("member", help="who uses an account, and up to what")
    of_member = member.add_subparsers(dest="member_action", required=True, metavar="ACTION")
    _add_page(_on_account(of_member, "list", "the members, owners first"))
    for name, help_ in (
        ("add", "make a user a member"),
        ("update", "change a member"),
        ("remove", "their tokens in the account stop with the next call"),
    ):
        edits = name != "remove"
        parser = _on_account(of_member, name, help_, edits=edits)
        whom = "the user's id" + (", or name" if name == "add" else "")
        parser.add_argument("user", metavar="USER", help=whom)
        if edits:
            parser.add_argument("--role", choices=_ROLES)
            _add_regrant(parser)
            _add_bounds(parser)
        if name != "add":
            add_version(parser)


def _add_subscriptions(actions: Subparsers) -> None:
    subscription = actions.add_parser("subscription", help="groups that an account may use")
    of = subscription.add_subparsers(dest="subscription_action", required=True, metavar="ACTION")
    _on_account(of, "list", "the account's groups")
    put = _on_account(of, "set", "subscribe to a group, or change that", edits=True)
    put.add_argument("group", metavar="GROUP")
    for name, help_ in (("--start", "from then on"), ("--end", "until then")):
        put.add_argument(name, type=_moment, metavar="TIME", help=f"{help_}; none: no bound")
    _add_regrant(put)
    _add_bounds(put)
    add_version(put)
    end = _on_account(of, "end", "end it now")
    end.add_argument("group", metavar="GROUP")
    add_version(end)


def _add_grant(commands: Subparsers) -> None:
    grant = commands.add_parser("grant", help="give money to an account, or take it back")
    grant.add_argument("account", metavar="ACCOUNT", help="its id, or its whole name")
    grant.add_argument("amount", type=values.signed_usd, metavar="USD", help="-5 takes back")
    of = grant.add_mutually_exclusive_group()
    of.add_argument("--member", type=values.count, metavar="ID", help="to this user's cap there")
    of.add_argument("--group", help="to the cap of the subscription to it")
    grant.add_argument("--note", default="", metavar="TEXT", help="shown in the history")
    once = grant.add_mutually_exclusive_group()
    once.add_argument(
        "--reference", metavar="TEXT", help="a payment's name: the same again books nothing"
    )
    once.add_argument(
        "--idempotency-key", metavar="TEXT", help="repeating the command within a day gives nothing"
    )
    add_common(grant)


def _add_redeem(commands: Subparsers) -> None:
    redeem = commands.add_parser("redeem", help="codes that add to an account once")
    actions = redeem.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make codes; they are shown once")
    create.add_argument("--amount-usd", type=values.usd, required=True, metavar="USD")
    create.add_argument("--count", type=values.count, default=1, metavar="N", help="at most 1000")
    create.add_argument("--expires-in-days", type=values.whole, default=0, metavar="N")
    create.add_argument("--note", default="", metavar="TEXT")
    create.add_argument("--prefix", default="", metavar="TEXT", help="what codes begin with")
    _add_idempotency(create)
    add_common(create)
    listed = actions.add_parser("list", help="codes, newest first, and what has become of them")
    listed.add_argument("--batch", type=values.count, metavar="ID")
    listed.add_argument("--state", choices=_CODES)
    _add_page(listed)
    add_common(listed)
    revoke = actions.add_parser("revoke", help="let nobody use codes that nobody has used")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("--batch", type=values.count, metavar="ID", help="all of this batch")
    which.add_argument("--code", type=values.count, action="append", metavar="ID", dest="codes")
    add_common(revoke)
    use = actions.add_parser("use", help="add a code's amount to your account")
    use.add_argument("code", metavar="CODE")
    use.add_argument("--account", metavar="ACCOUNT", help="another of your accounts: id, or name")
    add_common(use)


def _on_account(
    actions: Subparsers, name: str, help_: str, *, edits: bool = False
) -> argparse.ArgumentParser:
    """`edits`: what is not given is not in the namespace."""
    default = argparse.SUPPRESS if edits else None
    parser: argparse.ArgumentParser = actions.add_parser(name, help=help_, argument_default=default)
    parser.add_argument("account", metavar="ACCOUNT", help="its id, or its whole name")
    add_common(parser)
    return parser


def _add_regrant(parser: argparse.ArgumentParser) -> None:
    quota = parser.add_mutually_exclusive_group()
    add: Any = quota.add_argument
    add("--quota-usd", type=values.usd, metavar="USD", help="the whole grant; 0 is nothing")
    add("--add-quota-usd", type=values.signed_usd, metavar="USD", help="so much more, or less")
    add("--remain-usd", type=values.usd, metavar="USD", help="what is left from now on")
    add("--unlimited", action="store_true", help="no cap")


def _add_bounds(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--limit", action="append", type=values.limit, metavar="LIMIT", help="may be repeated")
    add("--concurrency", type=values.concurrency, metavar="N", help="calls at once; none: any")


def _add_page(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--page", type=values.count, default=1, metavar="N")
    parser.add_argument("--size", type=values.count, default=50, metavar="N", help="at most 100")


def _add_idempotency(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--idempotency-key", metavar="TEXT", help="repeating the command makes nothing again"
    )


def _moment(text: str) -> int | None:
    return None if text == values.NONE else values.moment(text)
