"""What the commands of wallets share: which account is meant, and what is shown of answers."""

import argparse
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from gateway.commands import wallet_texts
from gateway.commands.api_client import Answer, Api
from gateway.commands.errors import CommandFailed
from gateway.commands.running import note, write_data
from gateway.commands.tables import show_table

ACCOUNTS: Final = "/api/account/"
_PAGE_SIZE: Final = 100
Action = Callable[[Api, argparse.Namespace], Awaitable[None]]
Row = Callable[[Mapping[str, Any]], list[str]]


async def account_id(api: Api, named: str) -> int:
    """The id of the account that ACCOUNT means, by its id or whole name.

    Raises `CommandFailed` unless there is exactly one.
    """
    if named.isascii() and named.isdigit():
        return int(named)
    found = [each for each in await _accounts(api, named) if each["name"] == named]
    if not found:
        raise CommandFailed(f"There is no account named {named!r} within your reach.")
    if len(found) > 1:
        candidates = "\n".join(f"  {wallet_texts.summary(each)}" for each in found)
        raise CommandFailed(f"{len(found)} accounts have this name; give the id:\n{candidates}")
    return int(found[0]["id"])


async def _accounts(api: Api, keyword: str) -> list[dict[str, Any]]:
    """All accounts within reach whose names contain the keyword."""
    found: list[dict[str, Any]] = []
    page = 0
    while len(found) == page * _PAGE_SIZE:
        page += 1
        query: dict[str, str | int] = {"keyword": keyword, "p": page, "page_size": _PAGE_SIZE}
        answer = await api.call("GET", ACCOUNTS, query=query | await reach(api))
        found += answer.data["items"]
    return found


async def reach(api: Api) -> dict[str, str | int]:
    """All accounts for whoever may see all, one's own for everybody else."""
    me = (await api.call("GET", "/api/user/self")).data
    return {"user_id": "all"} if "account.read_any" in me["permissions"] else {}


async def path_of(api: Api, given: argparse.Namespace, *more: str) -> str:
    """The path of the account that ACCOUNT means, and of what is more in it."""
    return "/".join([f"{ACCOUNTS}{await account_id(api, given.account)}", *more])


def once(given: argparse.Namespace) -> dict[str, str]:
    """The header that lets a repetition make nothing."""
    return {"Idempotency-Key": given.idempotency_key} if given.idempotency_key else {}


def show_page(
    given: argparse.Namespace, answer: Answer, columns: tuple[str, ...], row: Row, what: str
) -> None:
    """A page of a list, and how much more there is."""
    if given.json:
        write_data(answer)
        return
    page = answer.data
    table(columns, map(row, page["items"]))
    shown = (page["page"] - 1) * page["page_size"] + len(page["items"])
    more = f"; --page {page['page'] + 1} shows more" if shown < page["total"] else ""
    note(f"{page['total']:,} {what}{'' if page['total'] == 1 else 's'}{more}")


def table(columns: tuple[str, ...], rows: Iterable[list[str]]) -> None:
    """A table whose figures stand at the right."""
    show_table(columns, rows, right=[each for each in columns if each in wallet_texts.NUMBERS])
