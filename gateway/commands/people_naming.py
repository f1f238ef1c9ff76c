"""Which user is meant, where people name them."""

from typing import Final

from gateway.commands.api_client import Api
from gateway.commands.errors import CommandFailed

USERS: Final = "/api/user/"
_PAGE_SIZE: Final = 100


async def user_id(api: Api, name: str) -> int:
    """The id of the user that USER means, by their id or username. Raises `CommandFailed` where there is none."""
    if name.isascii() and name.isdigit():
        return int(name)
    page, more = 0, True
    while more:
        page += 1
        query: dict[str, str | int] = {"keyword": name, "p": page, "size": _PAGE_SIZE}
        items = (await api.call("GET", USERS, query=query)).data["items"]
        for each in items:
            if each["username"].lower() == name.lower():
                return int(each["id"])
        more = len(items) == _PAGE_SIZE
    raise CommandFailed(f"There is no user named {name!r}.")


async def whose(api: Api, name: str | None) -> str:
    """Where the things of a user are; one's own, where none is named."""
    return f"{USERS}self" if name is None else f"{USERS}{await user_id(api, name)}"
