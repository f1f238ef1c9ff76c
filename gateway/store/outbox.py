"""What is to be sent to people: written in the transaction of what it tells of, sent afterwards by the admin app.

So a message is sent if and only if what it tells of was committed; again until the other side has taken it; and once
for each `once`, however often that is noticed. Contents are sealed, since a link in them may let somebody in.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import orjson

from gateway.store.postgres import Connection
from gateway.store.seal import Seal

Kind = Literal["mail", "webhook"]

_ENQUEUE = """
INSERT INTO outbox (kind, target, content, once, warning_id, user_id) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (once) DO NOTHING RETURNING id
"""


class Of(NamedTuple):
    """Which warning a message tells of, and to whom; None is the operator."""

    warning_id: int | None = None
    user_id: int | None = None


_NO_WARNING = Of()


async def enqueue_mail(
    connection: Connection,
    seal: Seal,
    to: str,
    subject: str,
    text: str,
    *,
    once: str | None = None,
    of: Of = _NO_WARNING,
) -> bool:
    """Write an e-mail of plain text, within the caller's transaction. False: this `once` was told before."""
    content = {"subject": subject, "text": text}
    return await _enqueue(connection, seal, "mail", to, content, once, of)


async def enqueue_webhook(
    connection: Connection,
    seal: Seal,
    url: str,
    event: Mapping[str, Any],
    *,
    secret: str,
    once: str | None = None,
    of: Of = _NO_WARNING,
) -> bool:
    """Write a call of a webhook, signed with `secret`, within the caller's transaction. False as above."""
    content = {"event": dict(event), "secret": secret}
    return await _enqueue(connection, seal, "webhook", url, content, once, of)


async def _enqueue(
    connection: Connection,
    seal: Seal,
    kind: Kind,
    target: str,
    content: Mapping[str, Any],
    once: str | None,
    of: Of,
) -> bool:
    sealed = seal.close(orjson.dumps(content), target.encode())
    return await connection.fetchval(_ENQUEUE, kind, target, sealed, once, *of) is not None
