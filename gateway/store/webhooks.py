"""Where people want events sent: their webhooks, each with a secret that its calls are signed with.

A secret is as Standard Webhooks have it (https://www.standardwebhooks.com): `whsec_` and base64 of 32 random bytes.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.domain.edit import Actor
from gateway.domain.rejection import Problem, invalid, rejected
from gateway.domain.rules import Rule
from gateway.domain.webhook import secret_of
from gateway.store import audit
from gateway.store.postgres import Connection, Pool, reading, transaction
from gateway.store.seal import Seal

MOST_WEBHOOKS: Final = 10
_SECRET_BYTES: Final = 32
_LIST: Final = "SELECT id, url, created_at FROM webhook WHERE user_id = $1 ORDER BY id"
_INSERT: Final = """
INSERT INTO webhook (user_id, url, sealed_secret) VALUES ($1, $2, $3) RETURNING id, url, created_at
"""
_IS_OWN: Final = "SELECT EXISTS (SELECT FROM webhook WHERE id = $1 AND user_id = $2)"
_DELETE: Final = "DELETE FROM webhook WHERE id = $1 AND user_id = $2 RETURNING url"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook as its owner sees it."""

    id: int
    url: str
    created_at: datetime


async def list_webhooks(pool: Pool, user_id: int) -> list[Webhook]:
    """A user's own. Raises `StoreUnavailable`."""
    async with reading(pool) as connection:
        return [Webhook(*row) for row in await connection.fetch(_LIST, user_id)]


async def create_webhook(
    pool: Pool, actor: Actor, user_id: int, url: str, seal: Seal
) -> tuple[Webhook, str]:
    """A new one, with its secret, which is known only now. Raises `Rejected` and `StoreUnavailable`."""
    secret = secret_of(secrets.token_bytes(_SECRET_BYTES))
    async with transaction(pool) as connection:
        # Takes turns: the bound is the user's.
        await connection.fetchval('SELECT 1 FROM "user" WHERE id = $1 FOR NO KEY UPDATE', user_id)
        if len(await connection.fetch(_LIST, user_id)) >= MOST_WEBHOOKS:
            raise invalid("url", Rule.TOO_MANY_WEBHOOKS, most=MOST_WEBHOOKS)
        sealed = seal.close(secret.encode(), owner_of(user_id, url))
        (row,) = await connection.fetch(_INSERT, user_id, url, sealed)
        made = Webhook(*row)
        await audit.record(connection, actor, "webhook.create", made.id, after={"url": url})
    return made, secret


async def delete_webhook(pool: Pool, actor: Actor, user_id: int, webhook_id: int) -> None:
    """Forget one of the user's own. Raises `Rejected` (not found) and `StoreUnavailable`."""
    async with transaction(pool) as connection:
        url = await connection.fetchval(_DELETE, webhook_id, user_id)
        if url is None:
            raise rejected(Problem.NOT_FOUND, "id", Rule.NO_WEBHOOK, given=webhook_id)
        await audit.record(connection, actor, "webhook.delete", webhook_id, before={"url": url})


async def open_webhook(pool: Pool, user_id: int, webhook_id: int, seal: Seal) -> tuple[str, str]:
    """URL and secret of one of the user's own. Raises `Rejected` (not found), `Unsealable`, `StoreUnavailable`."""
    async with reading(pool) as connection:
        if not await connection.fetchval(_IS_OWN, webhook_id, user_id):
            raise rejected(Problem.NOT_FOUND, "id", Rule.NO_WEBHOOK, given=webhook_id)
        ((url, secret),) = await read_secrets(connection, seal, [webhook_id])
    return url, secret


async def read_secrets(
    connection: Connection, seal: Seal, webhook_ids: Sequence[int]
) -> list[tuple[str, str]]:
    """URL and secret of those webhooks. Raises `Unsealable`."""
    rows = await connection.fetch(
        "SELECT user_id, url, sealed_secret FROM webhook WHERE id = ANY ($1) ORDER BY id",
        webhook_ids,
    )
    return [
        (
            row["url"],
            seal.open(row["sealed_secret"], owner_of(row["user_id"], row["url"])).decode(),
        )
        for row in rows
    ]


def owner_of(user_id: int, url: str) -> bytes:
    """Whose a webhook's secret is."""
    return f"webhook {user_id} {url}".encode()
