"""What the handlers of tokens share: whom a request is about, what it answers with, and whom it tells."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from admin_api.context import Services
from admin_api.tokens.objects import TokenObjects, secret_object
from gateway.domain.edit import TokenRow
from gateway.store.editing import Edited
from gateway.store.secrets import list_secrets
from gateway.store.token_money import read_held


async def publish(services: Services, edits: Iterable[Edited], *, made: bool = False) -> bool:
    """Tell of committed edits; whether the next request on any worker obeys all of them.

    `made`: the tokens are new, so that no worker keeps one of them.
    """
    notifier = services.notifier
    told = await asyncio.gather(
        *(
            notifier.books_changed(each.row.account_id, each.books)
            if made
            else notifier.token_changed(each.row.account_id, each.row.id, each.books)
            for each in edits
        )
    )
    return all(told)


async def objects_of(
    services: Services, rows: Sequence[TokenRow], generation: int | None = None
) -> list[dict[str, Any]]:
    """The objects of tokens, with what running calls hold of them.

    `generation`: the catalog's, where it was read with them.
    """
    if not rows:
        return []
    held = await read_held(services.quota, rows)
    await services.catalogs.read(generation)
    objects = _objects(services)
    return [objects.of(*each) for each in zip(rows, held, strict=True)]


def object_of(services: Services, row: TokenRow, held_nusd: int | None) -> dict[str, Any]:
    """The object of a token; `held_nusd` None where nobody knows it."""
    return _objects(services).of(row, held_nusd)


def _objects(services: Services) -> TokenObjects:
    return TokenObjects(
        services.units, services.groups, services.clock(), kept=services.config.keys.recoverable
    )


async def secrets_of(services: Services, row: TokenRow) -> list[dict[str, Any]]:
    """The secrets that open a token, or did; the newest first."""
    return [secret_object(each) for each in await list_secrets(services.pool, row.id)]
