"""`tollhouse upstream`, `model` and `group`: what each action calls, and what it shows of the answer."""

import argparse
import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final
from urllib.parse import quote

from gateway.commands import catalog_texts
from gateway.commands.api_client import Answer, Api
from gateway.commands.catalog_bodies import entry_body
from gateway.commands.errors import CommandFailed, WrongUse
from gateway.commands.running import ask, carry_out, if_version, note, open_api, report, write_data
from gateway.commands.tables import show_pairs, show_table


def run(given: argparse.Namespace, _: list[str]) -> int:
    """Carry the action out; answers the exit status."""

    def begin() -> Coroutine[None, None, None]:
        if given.action in {"create", "update"}:
            given.body = _body(given)
        if given.action == "delete" and not given.yes and not sys.stdin.isatty():
            raise WrongUse("without a terminal to ask on, delete needs --yes")
        return _run(given)

    return carry_out(begin)


async def _run(given: argparse.Namespace) -> None:
    async with open_api(given) as api:
        await _ACTIONS[given.action](api, given)


async def _list(api: Api, given: argparse.Namespace) -> None:
    query: dict[str, Any] = {"p": given.page, "size": given.size}
    query |= {name: value for name in ("keyword", "source") if (value := getattr(given, name))}
    answer = await api.call("GET", f"/api/{given.command}", query=query)
    if given.json:
        write_data(answer)
        return
    page = answer.data
    rows = [catalog_texts.row(given.command, each) for each in page["items"]]
    show_table(catalog_texts.COLUMNS[given.command], rows, right=("Input", "Output", "Ratio"))
    for each in page["items"]:
        if each["broken"]:
            note(f"{each['name']} is broken: {each['broken']}")
    shown = (page["page"] - 1) * page["page_size"] + len(rows)
    more = f"; --page {page['page'] + 1} shows more" if shown < page["total"] else ""
    note(f"{page['total']:,} {given.command}{'' if page['total'] == 1 else 's'}{more}")


async def _show(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("GET", _path(given))
    if given.json:
        write_data(answer)
    else:
        show_pairs(catalog_texts.details(answer.data))


async def _create(api: Api, given: argparse.Namespace) -> None:
    body = {"name": given.name, **given.body}
    _report(given, await api.call("POST", f"/api/{given.command}", body=body), "Made")


async def _update(api: Api, given: argparse.Namespace) -> None:
    body, headers = given.body, if_version(given)
    if isinstance(defaults := body.get("token_defaults"), dict):  # the API replaces them as a whole
        current = (await api.call("GET", _path(given))).data
        body = {**body, "token_defaults": {**current["token_defaults"], **defaults}}
        headers = headers or {"If-Match": f'"{current["version"]}"'}
    answer = await api.call("PATCH", _path(given), body=body, headers=headers)
    _report(given, answer, "Changed")


async def _delete(api: Api, given: argparse.Namespace) -> None:
    headers = if_version(given)
    if not given.yes:
        entry = (await api.call("GET", _path(given))).data
        headers = headers or {"If-Match": f'"{entry["version"]}"'}  # what was shown is deleted
        note(f"This deletes the {given.command} {given.name}. New calls cannot use it.")
        if ask("Type 'delete' to go on:") != "delete":
            raise CommandFailed("Nothing was deleted.")
    answer = await api.call("DELETE", _path(given), headers=headers)
    report(given, answer, "Deleted.")


async def _test(api: Api, given: argparse.Namespace) -> None:
    body = {} if given.model is None else {"model": given.model}
    answer = await api.call("POST", f"{_path(given)}/test", body=body)
    if given.json:
        write_data(answer)
    else:
        columns = ("Key", "Result", "Status", "Latency", "Message")
        show_table(columns, catalog_texts.tested(answer.data), right=("Latency",))
    if not answer.data["ok"]:
        raise CommandFailed(f"{given.name} does not answer {answer.data['called']} as it should.")


async def _models(api: Api, given: argparse.Namespace) -> None:
    answer = await api.call("GET", f"{_path(given)}/models")
    if given.json:
        write_data(answer)
        return
    words = {True: "yes", False: "no"}
    show_table(
        ("Name", "Served", "Priced"),
        [
            [each["name"], words[each["is_served"]], words[each["is_priced"]]]
            for each in answer.data
        ],
    )


def _body(given: argparse.Namespace) -> dict[str, Any]:
    body = entry_body(given, os.environ)
    if getattr(given, "api_key_stdin", False):
        is_asked = sys.stdin.isatty()
        key = (getpass.getpass("Key: ") if is_asked else sys.stdin.readline()).strip()
        if not key:
            raise WrongUse("no key was given: type it, or pass it on standard input")
        body["api_keys"] = [key]
    if given.action == "update" and not body:
        raise WrongUse("nothing to change: give an option, such as --set FIELD=JSON")
    return body


def _path(given: argparse.Namespace) -> str:
    return f"/api/{given.command}/{quote(given.name)}"


def _report(given: argparse.Namespace, answer: Answer, done: str) -> None:
    entry = answer.data
    report(
        given, answer, f"{done} the {given.command} {entry['name']}, version {entry['version']}."
    )


_ACTIONS: Final[Mapping[str, Callable[[Api, argparse.Namespace], Awaitable[None]]]] = {
    "list": _list,
    "show": _show,
    "create": _create,
    "update": _update,
    "delete": _delete,
    "test": _test,
    "models": _models,
}
