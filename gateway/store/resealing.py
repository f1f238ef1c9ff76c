"""After a change of keys: what is kept sealed is sealed anew, wherever it stands.

Not what is kept for a day at most (`idempotency`, `outbox`): until then the previous key opens it.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from gateway.store import secrets, upstream_keys, webhooks
from gateway.store.postgres import Connection, Pool, transaction
from gateway.store.seal import Seal, Unsealable


class _Kept(NamedTuple):
    """A column of sealed values. `read` gives those behind $1: which, the value, and what tells its owner."""

    read: str
    write: str
    owner: Callable[..., bytes]
    first: Any


_KEPT: Final = (
    _Kept(
        "SELECT id, sealed FROM token_secret WHERE sealed IS NOT NULL AND id > $1 "
        "ORDER BY id LIMIT 500 FOR UPDATE",
        "UPDATE token_secret SET sealed = $2 WHERE id = $1",
        lambda: secrets.OWNER,
        0,
    ),
    _Kept(
        "SELECT name, sealed_keys, name FROM upstream WHERE sealed_keys IS NOT NULL AND name > $1 "
        "ORDER BY name LIMIT 500 FOR UPDATE",
        "UPDATE upstream SET sealed_keys = $2 WHERE name = $1",
        upstream_keys.owner_of,
        "",
    ),
    _Kept(
        "SELECT id, sealed_secret, user_id, url FROM webhook WHERE id > $1 ORDER BY id LIMIT 500 FOR UPDATE",
        "UPDATE webhook SET sealed_secret = $2 WHERE id = $1",
        webhooks.owner_of,
        0,
    ),
)


async def reseal(pool: Pool, seal: Seal) -> tuple[int, int]:
    """Seal anew what an earlier key sealed; how many values were, and how many no key at hand opens.

    Raises `StoreUnavailable`; what was done until then stays done.
    """
    done = lost = 0
    for kept in _KEPT:
        last = kept.first
        while last is not None:
            async with transaction(pool) as connection:
                last, more_done, more_lost = await _some(connection, seal, kept, last)
            done, lost = done + more_done, lost + more_lost
    return done, lost


async def _some(connection: Connection, seal: Seal, kept: _Kept, last: Any) -> tuple[Any, int, int]:
    """The next of them: the last one (None at the end), how many were sealed anew, how many are lost."""
    done = lost = 0
    rows = await connection.fetch(kept.read, last)
    for which, sealed, *owned_by in rows:
        if not seal.is_old(sealed):
            continue
        owner = kept.owner(*owned_by)
        try:
            content = seal.open(sealed, owner)
        except Unsealable:
            lost += 1
            continue
        await connection.execute(kept.write, which, seal.close(content, owner))
        done += 1
    return (rows[-1][0] if rows else None), done, lost
