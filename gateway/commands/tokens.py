"""`tollhouse token …`: what each action calls, and what it shows of the answer."""

import argparse
import getpass
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

from gateway.commands import texts
from gateway.commands.api_client import Answer, Api
from gateway.commands.bodies import create_body, needs_current, update_body
from gateway.commands.errors import CommandFailed, Declined, WrongUse, printable
from gateway.commands.naming import TOKENS, token_id, units_per_usd, whose
from gateway.commands.running import (
    ask,
    carry_out,
    if_version,
    note,
    open_api,
    remark,
    report,
    write_data,
)
from gateway.commands.tables import show_pairs, show_table

_EDITORS: Final = 5  # so often is an edit begun anew because somebody else was quicker
_ENABLED, _DISABLED = 1, 2


def run(given: argparse.Namespace, _: list[str]) -> int:
    """Carry the action out; answers the exit status."""

    def begin() -> Coroutine[None, None, None]:
        if (prepare := _BEFORE.get(given.action)) is not None:
            prepare(given)
        return _run(given)

    return carry_out(begin)


async def _run(given: argparse.Namespace) -> None:
    async with open_api(given) as api:
        await _ACTIONS[given.action](api, given)


async def _list(api: Api, given: argparse.Namespace) -> None:
    query = whose(given) | {"p": given.page, "size": given.size}
    for name in ("keyword", "group", "sort", "order"):
        if getattr(given, name):
            query[name] = getattr(given, name)
    if given.status:
        query["status"] = next(n for n, word in texts.STATUS.items() if word == given.status)
    answer = await api.call("GET", TOKENS, query=query)
    if given.json:
        write_data(answer)
        return
    page, per_usd = answer.data, await units_per_usd(api)
    owners = ["User"] if given.all else []
    show_table(
        ["ID", "Name", "Key", "Status", *owners, "Group", "Used", "Left", "Expires"],
        [
            [
                *(str(each["id"]), each["name"], each["key"], texts.status(each)),
                *([str(each["user_id"])] if owners else []),
                *(each["group"], texts.used(each, per_usd), texts.left(each, per_usd)),
                texts.when(each["expired_time"]),
            ]
            for each in page["items"]
        ],
        right=("ID", "User", "Used", "Left"),
    )
    shown = (page["page"] - 1) * page["page_size"] + len(page["items"])
    more = f"; --page {page['page'] + 1} shows more" if shown < page["total"] else ""
    note(f"{page['total']:,} token{'' if page['total'] == 1 else 's'}{more}")


async def _create(api: Api, given: argparse.Namespace) -> None:
    body = create_body(given)
    idempotency = getattr(given, "idempotency_key", None)
    headers = {"Idempotency-Key": idempotency} if idempotency else {}
    answer = await api.call("POST", TOKENS, body=body, headers=headers)
    remark(answer)
    if given.json:
        write_data(answer)
        return
    made = answer.data.get("items", [answer.data])
    per_usd = await units_per_usd(api)
    if "unlimited_quota" in body and not hasattr(given, "unlimited"):
        note(
            "No quota was given: unlimited. --quota-usd sets one, `tollhouse token update` later, too."
        )
    for token in made:
        note(f"Made {texts.summary(token, per_usd)}.")
        for warning in token.get("warnings") or ():
            note(f"Warning: {warning}")
    await _show_keys(api, made)


async def _show(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("GET", f"{TOKENS}{await token_id(api, given)}")
    if given.json:
        write_data(answer)
        return
    token = answer.data
    show_pairs(texts.details(token, await units_per_usd(api)))
    if token.get("quota"):
        print()
        figures = ("Granted", "Used", "Pending", "Held", "Available")
        show_table(("Scope", *figures), texts.scopes(token["quota"]), right=figures)


async def _update(api: Api, given: argparse.Namespace) -> None:
    path = f"{TOKENS}{await token_id(api, given)}"
    for left in reversed(range(_EDITORS)):
        try:
            answer = await _change(api, path, given)
            break
        except Declined as error:
            if error.code != "version_mismatch" or given.if_version is not None or not left:
                raise
    else:
        raise AssertionError
    await _report(api, given, answer, "Changed")


async def _change(api: Api, path: str, given: argparse.Namespace) -> Answer:
    current: Mapping[str, Any] = {}
    headers = if_version(given)
    if needs_current(given):
        current = (await api.call("GET", path)).data
        headers = headers or {"If-Match": f'"{current["version"]}"'}
    return await api.call("PATCH", path, body=update_body(given, current), headers=headers)


async def _rotate(api: Api, given: argparse.Namespace) -> None:
    path = f"{TOKENS}{await token_id(api, given)}/rotate"
    if given.end_overlap:
        answer = await api.call("DELETE", path)
        report(given, answer, "The old key has ended.")
        return
    answer = await api.call("POST", path, body={"overlap_seconds": given.overlap})
    remark(answer)
    if given.json:
        write_data(answer)
        return
    old = f"works for {given.overlap:,} s more" if given.overlap else "has ended"
    note(f"Token {answer.data['id']} has a new key; the old one {old}.")
    await _show_keys(api, [answer.data])


async def _reveal(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("POST", f"{TOKENS}{await token_id(api, given)}/key")
    if given.json:
        write_data(answer)
    else:
        print(answer.data["key"])


async def _disable(api: Api, given: argparse.Namespace) -> None:
    await _set_status(api, given, _DISABLED)


async def _enable(api: Api, given: argparse.Namespace) -> None:
    await _set_status(api, given, _ENABLED)


async def _set_status(api: Api, given: argparse.Namespace, status: int) -> None:
    path = f"{TOKENS}{await token_id(api, given)}"
    answer = await api.call("PATCH", path, query={"status_only": 1}, body={"status": status})
    await _report(api, given, answer, "Enabled" if status == _ENABLED else "Disabled")


async def _delete(api: Api, given: argparse.Namespace) -> None:
    path = f"{TOKENS}{await token_id(api, given)}"
    headers = if_version(given)
    if not given.yes:
        token = (await api.call("GET", path)).data
        headers = headers or {"If-Match": f'"{token["version"]}"'}  # what was shown is deleted
        note(
            f"This revokes {texts.summary(token, await units_per_usd(api))}. Its key ends for good."
        )
        if ask("Type 'delete' to go on:") != "delete":
            raise CommandFailed("Nothing was deleted.")
    answer = await api.call("DELETE", path, headers=headers)
    report(given, answer, "Deleted.")


async def _explain(api: Api, given: argparse.Namespace) -> None:
    body = {"model": given.model, "ip": given.ip, "max_tokens": given.max_tokens}
    answer = await api.call(
        "POST",
        f"{TOKENS}{await token_id(api, given)}/explain",
        body={name: value for name, value in body.items() if value is not None},
    )
    if given.json:
        write_data(answer)
        return
    checks = answer.data["checks"]
    columns = ("check", "result", "reason", "message", "remedy")
    show_table(
        [name.capitalize() for name in columns],
        [[str(check.get(name) or "") for name in columns] for check in checks],
    )
    print(f"\nDecision: {printable(texts.decision(answer.data['decision']))}")


async def _usage(api: Api, given: argparse.Namespace) -> None:
    names = ("interval", "by", "start", "end", "time_zone")
    query = {name: value for name in names if (value := getattr(given, name)) is not None}
    answer = await api.call("GET", f"{TOKENS}{await token_id(api, given)}/usage", query=query)
    if given.json:
        write_data(answer)
        return
    columns, rows = texts.usage(answer.data)
    if rows:
        words = 2 if given.by else 1
        show_table(columns, rows, right=columns[words:])
    else:
        note("Nothing was used in that time.")


async def _refusals(api: Api, given: argparse.Namespace) -> None:
    token = (await api.call("GET", f"{TOKENS}{await token_id(api, given)}")).data
    query = {"token_id": token["id"], "user_id": token["user_id"], "by": "reason"}
    query |= {name: at for name in ("start", "end") if (at := getattr(given, name)) is not None}
    answer = await api.call("GET", "/api/refusal/series", query=query | {"interval": "all"})
    if given.json:
        write_data(answer)
    elif answer.data["series"]:
        show_table(("Reason", "Calls", ""), texts.refusals(answer.data), right=("Calls",))
    else:
        note("Nothing was refused in that time.")


async def _find(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("POST", f"{TOKENS}find", body={"key": given.key})
    if given.json:
        write_data(answer)
    else:
        show_pairs(texts.details(answer.data, await units_per_usd(api)))


async def _report(api: Api, given: argparse.Namespace, answer: Answer, done: str) -> None:
    remark(answer)
    if given.json:
        write_data(answer)
    else:
        note(f"{done} {texts.summary(answer.data, await units_per_usd(api))}.")


async def _show_keys(api: Api, tokens: list[dict[str, Any]]) -> None:
    """The keys on standard output, this once; on a terminal with what to do with one."""
    if not sys.stdout.isatty():
        for token in tokens:
            print(token["key"])
    elif len(tokens) > 1:
        rows = [[str(token["id"]), token["name"], token["key"]] for token in tokens]
        show_table(("ID", "Name", "Key, shown this once"), rows, right=("ID",))
    else:
        base_url = (await api.call("GET", "/api/status")).data["openai_base_url"]
        print(f"Its key, shown this once:\n\n  export OPENAI_API_KEY={tokens[0]['key']}")
        print(f"  export OPENAI_BASE_URL={base_url}\n")


def _check_delete(given: argparse.Namespace) -> None:
    if not given.yes and not sys.stdin.isatty():
        raise WrongUse("without a terminal to ask on, delete needs --yes")


def _read_key(given: argparse.Namespace) -> None:
    given.key = (getpass.getpass("Key: ") if sys.stdin.isatty() else sys.stdin.readline()).strip()
    if not given.key:
        raise WrongUse("no key was given: type it, or pass it on standard input")


def _check_update(given: argparse.Namespace) -> None:
    if not needs_current(given):
        update_body(given, {})


_BEFORE: Final[Mapping[str, Callable[[argparse.Namespace], object]]] = {
    "create": create_body,
    "update": _check_update,
    "delete": _check_delete,
    "find": _read_key,
}
"""What is asked, or wrong, before anything is started."""

_ACTIONS: Final[Mapping[str, Callable[[Api, argparse.Namespace], Awaitable[None]]]] = {
    "list": _list,
    "create": _create,
    "show": _show,
    "update": _update,
    "rotate": _rotate,
    "reveal": _reveal,
    "disable": _disable,
    "enable": _enable,
    "delete": _delete,
    "explain": _explain,
    "usage": _usage,
    "refusals": _refusals,
    "find": _find,
}
