"""How what is in the outbox gets out: rows that are due are taken, sent by the caller, and marked.

A row that is taken is due again after a lease, so a process that ends while it sends loses nothing: the message is sent
by another, perhaps twice, with the same id. What was sent loses its content at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from gateway.domain.retries import pause_after
from gateway.store.outbox import Kind
from gateway.store.postgres import Pool, reading
from gateway.store.seal import Seal, Unsealable
from gateway.store.warning_log import remove_old_warnings

_TAKE = """
UPDATE outbox SET attempts = attempts + 1, due_at = now() + make_interval(secs => $3)
 WHERE id IN (SELECT id FROM outbox
               WHERE kind = $1 AND sent_at IS NULL AND failed_at IS NULL AND due_at <= now()
               ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING id, target, content, attempts, created_at
"""
_MARK_SENT = "UPDATE outbox SET sent_at = now(), content = '', error = NULL WHERE id = $1"
_PUT_OFF = """
UPDATE outbox SET due_at = now() + make_interval(secs => $2), error = $3
 WHERE id = $1 AND sent_at IS NULL
"""
_GIVE_UP = "UPDATE outbox SET failed_at = now(), error = $2 WHERE id = $1 AND sent_at IS NULL"

# What tells that something was told is kept for longer than a year: as long as it may be noticed again. What became of
# a warning is kept as long as the warning, without what was in it.
_REMOVE_OLD = """
DELETE FROM outbox WHERE warning_id IS NULL AND coalesce(sent_at, failed_at)
     < now() - CASE WHEN once IS NULL THEN interval '7 days' ELSE interval '400 days' END
"""
_EMPTY_OLD = """
UPDATE outbox SET content = ''
 WHERE warning_id IS NOT NULL AND failed_at < now() - interval '7 days' AND content <> ''
"""
_GIVE_UP_UNSENDABLE = """
UPDATE outbox SET failed_at = now(), error = 'nothing is set up that could send it'
 WHERE kind <> ALL($1::text[]) AND sent_at IS NULL AND failed_at IS NULL
   AND created_at < now() - interval '1 day'
"""
_MAX_ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent. `attempts` counts this one, too."""

    id: int
    target: str
    content: Mapping[str, Any] = field(repr=False)
    attempts: int
    created_at: datetime

    @property
    def unique_id(self) -> str:
        """The same at each attempt, and no other message's: the receiver can tell one that comes twice."""
        return f"msg_{self.id}_{int(self.created_at.timestamp() * 1000)}"


async def take_due(
    pool: Pool, seal: Seal, kind: Kind, most: int, lease_s: float
) -> Sequence[Message]:
    """Messages that are due, for this process alone until the lease ends. What cannot be opened is given up.

    Raises `StoreUnavailable`.
    """
    async with reading(pool) as connection:
        rows = await connection.fetch(_TAKE, kind, most, lease_s)
        messages = []
        for row in rows:
            try:
                content = orjson.loads(seal.open(row["content"], row["target"].encode()))
            except Unsealable as error:
                await connection.execute(_GIVE_UP, row["id"], str(error))
                continue
            messages.append(
                Message(row["id"], row["target"], content, row["attempts"], row["created_at"])
            )
    return messages


async def mark_sent(pool: Pool, message: Message) -> None:
    """It was taken by the other side. Raises `StoreUnavailable`: it will be sent once more."""
    async with reading(pool) as connection:
        await connection.execute(_MARK_SENT, message.id)


async def mark_failed(pool: Pool, message: Message, error: str, *, for_good: bool = False) -> bool:
    """Put it off after an attempt that failed, or give it up; whether it is given up. Raises `StoreUnavailable`."""
    pause_s = None if for_good else pause_after(message.attempts)
    told = error[:_MAX_ERROR_CHARACTERS].replace("\0", "")
    async with reading(pool) as connection:
        if pause_s is None:
            await connection.execute(_GIVE_UP, message.id, told)
        else:
            await connection.execute(_PUT_OFF, message.id, float(pause_s), told)
    return pause_s is None


async def tidy(pool: Pool, kinds: Sequence[Kind]) -> None:
    """Remove what was sent or given up long ago, and give up what is of no kind that is sent here.

    Raises `StoreUnavailable`.
    """
    async with reading(pool) as connection:
        await connection.execute(_GIVE_UP_UNSENDABLE, list(kinds))
        await connection.execute(_REMOVE_OLD)
        await connection.execute(_EMPTY_OLD)
        await remove_old_warnings(connection)
