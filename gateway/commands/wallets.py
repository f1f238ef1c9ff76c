"""`tollhouse account …`, `grant` and `redeem …`: what each calls, and what it shows of the answer."""

import argparse
from collections.abc import Coroutine, Mapping
from typing import Any, Final
from urllib.parse import quote

from gateway.commands import wallet_texts
from gateway.commands.api_client import Answer, Api
from gateway.commands.errors import CommandFailed, WrongUse
from gateway.commands.giving import GIVING
from gateway.commands.running import carry_out, if_version, open_api, report, write_data
from gateway.commands.values import rules
from gateway.commands.wallet_calls import (
    ACCOUNTS,
    Action,
    once,
    path_of,
    reach,
    show_page,
    table,
)

_ENABLED, _DISABLED = 1, 2
_FIELDS: Final = {
    "name": "name",
    "role": "role",
    "quota_usd": "quota_usd",
    "add_quota_usd": "add_quota_usd",
    "remain_usd": "remain_usd",
    "concurrency": "max_concurrency",
    "start": "starts_time",
    "end": "ends_time",
}


def run(given: argparse.Namespace) -> int:
    """Carry the action out; answers the exit status."""
    words = ("command", "action", "member_action", "subscription_action")
    action = tuple(getattr(given, word) for word in words if hasattr(given, word))

    def begin() -> Coroutine[None, None, None]:
        if action in _CHANGES and not body_of(given):
            raise WrongUse("nothing to change: give an option such as --quota-usd")
        return _run(given, _ACTIONS[action])

    return carry_out(begin)


async def _run(given: argparse.Namespace, action: Action) -> None:
    async with open_api(given) as api:
        await action(api, given)


def body_of(given: argparse.Namespace) -> dict[str, Any]:
    """The body of a change: what was given. Raises `WrongUse`."""
    body = {field: getattr(given, name) for name, field in _FIELDS.items() if hasattr(given, name)}
    if getattr(given, "unlimited", False):
        body["quota_usd"] = None
    if body.get("max_concurrency") == 0:
        body["max_concurrency"] = None  # "none"
    if hasattr(given, "limit"):
        try:
            body["limits"] = rules(given.limit)
        except ValueError as error:
            raise WrongUse(f"--limit: {error}") from None
    return body


async def _list(api: Api, given: argparse.Namespace) -> None:
    query: dict[str, str | int] = {"p": given.page, "page_size": given.size}
    if given.user:
        query["user_id"] = given.user
    elif not given.mine:
        query |= await reach(api)
    if given.keyword:
        query["keyword"] = given.keyword
    if given.status:
        query["status"] = _ENABLED if given.status == "enabled" else _DISABLED
    answer = await api.call("GET", ACCOUNTS, query=query)
    show_page(given, answer, wallet_texts.ACCOUNTS, wallet_texts.account, "account")


async def _create(api: Api, given: argparse.Namespace) -> None:
    body: dict[str, Any] = {"name": given.name, "owner_id": given.owner}
    if given.unlimited or given.quota_usd is not None:
        body["quota_usd"] = given.quota_usd
    answer = await api.call("POST", ACCOUNTS, body=body, headers=once(given))
    _report(given, answer, "Made")


async def _show(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("GET", await path_of(api, given))
    if given.json:
        write_data(answer)
        return
    account = answer.data
    table(wallet_texts.ACCOUNTS, [wallet_texts.account(account)])
    if account["members"]:
        print()
        table(wallet_texts.MEMBERS, map(wallet_texts.member, account["members"]))
    if account["subscriptions"]:
        print()
        table(wallet_texts.SUBSCRIPTIONS, map(wallet_texts.subscription, account["subscriptions"]))


async def _update(api: Api, given: argparse.Namespace) -> None:
    path = await path_of(api, given)
    answer = await api.call("PATCH", path, body=body_of(given), headers=if_version(given))
    _report(given, answer, "Changed")


async def _disable(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("PATCH", await path_of(api, given), body={"status": _DISABLED})
    _report(given, answer, "Disabled")


async def _enable(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("PATCH", await path_of(api, given), body={"status": _ENABLED})
    _report(given, answer, "Enabled")


async def _history(api: Api, given: argparse.Namespace) -> None:
    of = {"user_id": given.member, "group": given.group, "token_id": given.token}
    query = {name: value for name, value in of.items() if value is not None}
    path = await path_of(api, given, "history")
    answer = await api.call("GET", path, query=query | {"limit": given.size})
    if given.json:
        write_data(answer)
    else:
        table(wallet_texts.ENTRIES, map(wallet_texts.entry, answer.data["items"]))


async def _list_members(api: Api, given: argparse.Namespace) -> None:
    query = {"p": given.page, "page_size": given.size}
    answer = await api.call("GET", await path_of(api, given, "member"), query=query)
    show_page(given, answer, wallet_texts.MEMBERS, wallet_texts.member, "member")


async def _add_member(api: Api, given: argparse.Namespace) -> None:
    is_id = given.user.isascii() and given.user.isdigit()
    user = {"user_id": int(given.user)} if is_id else {"username": given.user}
    path = await path_of(api, given, "member")
    answer = await api.call("POST", path, body=user | body_of(given))
    _report_member(given, answer, "Added")


async def _update_member(api: Api, given: argparse.Namespace) -> None:
    path = await path_of(api, given, "member", _user(given))
    answer = await api.call("PATCH", path, body=body_of(given), headers=if_version(given))
    _report_member(given, answer, "Changed")


async def _remove_member(api: Api, given: argparse.Namespace) -> None:
    path = await path_of(api, given, "member", _user(given))
    answer = await api.call("DELETE", path, headers=if_version(given))
    report(given, answer, "Removed. Their tokens in the account stop with the next call.")


async def _list_subscriptions(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("GET", await path_of(api, given, "subscription"))
    if given.json:
        write_data(answer)
    else:
        table(wallet_texts.SUBSCRIPTIONS, map(wallet_texts.subscription, answer.data))


async def _set_subscription(api: Api, given: argparse.Namespace) -> None:
    path = await path_of(api, given, "subscription", quote(given.group, safe=""))
    answer = await api.call("PUT", path, body=body_of(given), headers=if_version(given))
    _report_subscription(given, answer)


async def _end_subscription(api: Api, given: argparse.Namespace) -> None:
    path = await path_of(api, given, "subscription", quote(given.group, safe=""))
    _report_subscription(given, await api.call("DELETE", path, headers=if_version(given)))


def _user(given: argparse.Namespace) -> str:
    if not (given.user.isascii() and given.user.isdigit()):
        raise CommandFailed("Name the member by id; `tollhouse account member list` shows it.")
    return str(given.user)


def _report(given: argparse.Namespace, answer: Answer, done: str) -> None:
    report(given, answer, f"{done} {wallet_texts.summary(answer.data)}.")


def _report_member(given: argparse.Namespace, answer: Answer, done: str) -> None:
    member = answer.data
    report(given, answer, f"{done} {member['username']} ({member['role']}).")


def _report_subscription(given: argparse.Namespace, answer: Answer) -> None:
    told = answer.data
    state = "is active" if told["active"] else "is not active"
    report(given, answer, f"The subscription to {told['group']} {state}.")


_CHANGES: Final = {("account", "update"), ("account", "member", "update")}
"""What changes nothing unless something is given."""

_ACTIONS: Final[Mapping[tuple[str, ...], Action]] = {
    **GIVING,
    ("account", "list"): _list,
    ("account", "create"): _create,
    ("account", "show"): _show,
    ("account", "update"): _update,
    ("account", "disable"): _disable,
    ("account", "enable"): _enable,
    ("account", "history"): _history,
    ("account", "member", "list"): _list_members,
    ("account", "member", "add"): _add_member,
    ("account", "member", "update"): _update_member,
    ("account", "member", "remove"): _remove_member,
    ("account", "subscription", "list"): _list_subscriptions,
    ("account", "subscription", "set"): _set_subscription,
    ("account", "subscription", "end"): _end_subscription,
}
