"""What is to be sent to people: written in the transaction of what it tells of, sent afterwards by the admin app.

So a message is sent if and only if what it tells of was committed; again until the other side has taken it; and once
for each `once`, however often that is noticed. Contents are sealed, since a link in them may let somebody in.
"""

from collections.abc import Mapping
from typing import Any, Literal

import orjson

from gateway.store.postgres import Connection
from gateway.store.seal import Seal

Kind = Literal["mail", "webhook"]

_ENQUEUE = """
INSERT INTO outbox (kind, target, content, once) VALUES ($1, $2, $3, $4)
ON CONFLICT (once) DO NOTHING RETURNING id
"""


async def enqueue_mail(
    connection: Connection, seal: Seal, to: str, subject: str, text: str, *, once: str | None = None
) -> bool:
    """Write an e-mail of plain text, within the caller's transaction. False: this `once` was told before."""
    return await _enqueue(connection, seal, "mail", to, {"subject": subject, "text": text}, once)


async def enqueue_webhook(
    connection: Connection,
    seal: Seal,
    url: str,
    event: Mapping[str, Any],
    *,
    secret: str,
    once: str | None = None,
) -> bool:
    """Write a call of a webhook, signed with `secret`, within the caller's transaction. False as above."""
    content = {"event": dict(event), "secret": secret}
    return await _enqueue(connection, seal, "webhook", url, content, once)


async def _enqueue(
    connection: Connection,
    seal: Seal,
    kind: Kind,
    target: str,
    content: Mapping[str, Any],
    once: str | None,
) -> bool:
    sealed = seal.close(orjson.dumps(content), target.encode())
    return await connection.fetchval(_ENQUEUE, kind, target, sealed, once) is not None
