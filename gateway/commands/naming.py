"""Which token is meant, where people name it; and what a dollar is in quota units."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from gateway.commands import texts
from gateway.commands.api_client import Api
from gateway.commands.errors import CommandFailed

TOKENS: Final = "/api/token/"
_PAGE_SIZE: Final = 100


async def token_id(api: Api, given: argparse.Namespace) -> int:
    """The id of the token that TOKEN means, by its id or whole name.

    Raises `CommandFailed` unless there is exactly one.
    """
    name: str = given.token
    if name.isascii() and name.isdigit():
        return int(name)
    found = await _named(api, name, whose(given))
    if not found:
        remedy = "" if given.all or given.user else " among yours; --all looks among everybody's"
        raise CommandFailed(f"There is no token named {name!r}{remedy}.")
    if len(found) > 1:
        per_usd = await units_per_usd(api)
        candidates = "\n".join(f"  {texts.summary(each, per_usd)}, {each['key']}" for each in found)
        raise CommandFailed(f"{len(found)} tokens have this name; give the id:\n{candidates}")
    return int(found[0]["id"])


async def _named(api: Api, name: str, among: Mapping[str, str | int]) -> list[dict[str, Any]]:
    found, page = [], 0
    while True:
        page += 1
        query = {"keyword": name, "p": page, "size": _PAGE_SIZE, "sort": "id", **among}
        items = (await api.call("GET", TOKENS, query=query)).data["items"]
        found += [each for each in items if each["name"] == name]
        if len(items) < _PAGE_SIZE:
            return found


def whose(given: argparse.Namespace) -> dict[str, str | int]:
    """Among whose tokens is looked, as the query of a list."""
    if given.all:
        return {"user_id": "all"}
    return {} if given.user is None else {"user_id": given.user}


async def units_per_usd(api: Api) -> int:
    """Quota units of a dollar."""
    return int((await api.call("GET", "/api/status")).data["quota_per_unit"])
