"""`tollhouse user …`, `access-token …` and `audit-log`: what each calls, and what it shows of the answer."""

import argparse
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

from gateway.commands import people_texts
from gateway.commands.api_client import Api
from gateway.commands.errors import CommandFailed, WrongUse
from gateway.commands.naming import units_per_usd
from gateway.commands.people_naming import USERS, user_id, whose
from gateway.commands.running import ask, carry_out, if_version, note, open_api, report, write_data
from gateway.commands.tables import show_pairs, show_table

_ENABLED, _DISABLED = 1, 2
_FIELDS: Final = {
    "display_name": "display_name",
    "email": "email",
    "group": "group",
    "role": "role",
    "grant_usd": "grant_usd",
    "unlimited": "unlimited_quota",
    "account": "account_id",
}


def run(given: argparse.Namespace) -> int:
    """Carry the action out; answers the exit status."""

    def begin() -> Coroutine[None, None, None]:
        deletes = (given.command, given.action) == ("user", "delete")
        if deletes and not given.yes and not sys.stdin.isatty():
            raise WrongUse("without a terminal to ask on, delete needs --yes")
        if (given.command, given.action) == ("user", "update") and not _body(given):
            raise WrongUse("nothing to change: give an option such as --role or --email")
        return _run(given)

    return carry_out(begin)


async def _run(given: argparse.Namespace) -> None:
    async with open_api(given) as api:
        await _ACTIONS[given.command, given.action](api, given)


async def _list(api: Api, given: argparse.Namespace) -> None:
    query: dict[str, str | int] = {"p": given.page, "size": given.size}
    for name in ("keyword", "role", "group"):
        if getattr(given, name):
            query[name] = getattr(given, name)
    if given.status:
        query["status"] = _ENABLED if given.status == "enabled" else _DISABLED
    answer = await api.call("GET", USERS, query=query)
    if given.json:
        write_data(answer)
        return
    page, per_usd = answer.data, await units_per_usd(api)
    show_table(*people_texts.user_table(page["items"], per_usd), right=("ID", "Used", "Left"))
    shown = (page["page"] - 1) * page["page_size"] + len(page["items"])
    more = f"; --page {page['page'] + 1} shows more" if shown < page["total"] else ""
    note(f"{page['total']:,} user{'' if page['total'] == 1 else 's'}{more}")


async def _create(api: Api, given: argparse.Namespace) -> None:
    idempotency = getattr(given, "idempotency_key", None)
    headers = {"Idempotency-Key": idempotency} if idempotency else {}
    body = {"username": given.username, **_body(given)}
    answer = await api.call("POST", USERS, body=body, headers=headers)
    if given.json:
        write_data(answer)
        return
    note(f"Made {people_texts.user(answer.data)}.")
    _show_once("Their one-time password", answer.data["password"])


async def _show(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("GET", f"{USERS}{await user_id(api, given.user)}")
    if given.json:
        write_data(answer)
    else:
        show_pairs(people_texts.user_details(answer.data, await units_per_usd(api)))


async def _update(api: Api, given: argparse.Namespace) -> None:
    await _change(api, given, _body(given), "Changed")


async def _disable(api: Api, given: argparse.Namespace) -> None:
    await _change(api, given, {"status": _DISABLED}, "Disabled")


async def _enable(api: Api, given: argparse.Namespace) -> None:
    await _change(api, given, {"status": _ENABLED}, "Enabled")


async def _change(api: Api, given: argparse.Namespace, body: Mapping[str, Any], done: str) -> None:
    path = f"{USERS}{await user_id(api, given.user)}"
    answer = await api.call("PATCH", path, body=body, headers=if_version(given))
    report(given, answer, f"{done} {people_texts.user(answer.data)}.")


async def _delete(api: Api, given: argparse.Namespace) -> None:
    path = f"{USERS}{await user_id(api, given.user)}"
    headers = if_version(given)
    if not given.yes:
        shown = (await api.call("GET", path)).data
        headers = headers or {"If-Match": f'"{shown["version"]}"'}  # who was shown is deleted
        note(f"This deletes {people_texts.user(shown)}. All of their keys end for good.")
        if ask("Type 'delete' to go on:") != "delete":
            raise CommandFailed("Nobody was deleted.")
    report(given, await api.call("DELETE", path, headers=headers), "Deleted.")


async def _list_access(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("GET", f"{await whose(api, given.user)}/access_token")
    if given.json:
        write_data(answer)
    else:
        show_table(*people_texts.access_token_table(answer.data), right=("ID",))


async def _create_access(api: Api, given: argparse.Namespace) -> None:
    body = {
        "name": given.name,
        "scopes": getattr(given, "scope", []),
        "allow_ips": getattr(given, "allow_ip", []),
    }
    if hasattr(given, "expires_in_days"):
        body["expires_in_days"] = given.expires_in_days
    answer = await api.call("POST", f"{await whose(api, None)}/access_token", body=body)
    if given.json:
        write_data(answer)
    else:
        _show_once("Your access token", answer.data["access_token"])


async def _delete_access(api: Api, given: argparse.Namespace) -> None:
    path = f"{await whose(api, given.user)}/access_token/{given.id}"
    report(given, await api.call("DELETE", path), "Deleted.")


async def _audit_log(api: Api, given: argparse.Namespace) -> None:
    kind, _, object_id = (given.object or "").partition(":")
    wanted = {
        "object_kind": kind,
        "object_id": object_id,
        "actor": given.actor,
        "action": given.done,
        "start": given.start,
        "end": given.end,
        "cursor": given.cursor,
        "limit": given.limit,
    }
    query = {name: value for name, value in wanted.items() if value}
    answer = await api.call("GET", "/api/audit", query=query)
    if given.json:
        write_data(answer)
        return
    show_table(*people_texts.audit_table(answer.data["items"]))
    if (cursor := answer.data["next_cursor"]) is not None:
        note(f"There are more: --cursor {cursor} shows them")


def _body(given: argparse.Namespace) -> dict[str, Any]:
    return {
        member: getattr(given, name) for name, member in _FIELDS.items() if hasattr(given, name)
    }


def _show_once(what: str, secret: str) -> None:
    """The secret on standard output, alone where a script takes it."""
    if sys.stdout.isatty():
        print(f"{what}, shown this once:\n\n  {secret}\n")
    else:
        print(secret)


_ACTIONS: Final[Mapping[tuple[str, str], Callable[[Api, argparse.Namespace], Awaitable[None]]]] = {
    ("user", "list"): _list,
    ("user", "create"): _create,
    ("user", "show"): _show,
    ("user", "update"): _update,
    ("user", "disable"): _disable,
    ("user", "enable"): _enable,
    ("user", "delete"): _delete,
    ("access-token", "list"): _list_access,
    ("access-token", "create"): _create_access,
    ("access-token", "delete"): _delete_access,
    ("audit-log", "audit-log"): _audit_log,
}
