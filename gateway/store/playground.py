"""Secrets of the console: one opens a token for five minutes, and for calls of somebody at one address.

The admin app makes one for each call of the playground, and keeps none. That the address stands in the secret's own
row is why nobody can claim one: an ordinary key has none, whatever headers come with it.
"""

from typing import Final

from gateway.domain.edit import Actor
from gateway.domain.pepper import Pepper
from gateway.store import audit
from gateway.store.postgres import Pool, transaction
from gateway.store.secrets import new_secret
from gateway.store.token_rows import read_token

LASTING_S: Final = 300

_INSERT = """
INSERT INTO token_secret (token_id, digest, pepper_version, display, last4, purpose, expires_at, address)
VALUES ($1, $2, $3, $4, $5, 'playground', now() + make_interval(secs => $6), $7)
"""
# Those that somebody else is removing are left to them.
_DELETE_ENDED = """
DELETE FROM token_secret WHERE id IN (
  SELECT id FROM token_secret WHERE purpose = 'playground' AND expires_at < now() FOR UPDATE SKIP LOCKED)
"""


async def mint_console_secret(
    pool: Pool, actor: Actor, token_id: int, address: str, pepper: Pepper
) -> str:
    """A key of one of the actor's tokens, for calls of whoever is at `address`. Those that have ended are removed.

    It is none of the token's ten live secrets, and no list shows it. Raises `Rejected` and `StoreUnavailable`.
    """
    key, secret = new_secret(pepper, None)
    async with transaction(pool) as connection:
        await read_token(connection, actor, token_id)
        await connection.execute(_DELETE_ENDED)
        values = (secret.digest, secret.pepper_version, secret.display, secret.last4)
        await connection.execute(_INSERT, token_id, *values, float(LASTING_S), address)
        await audit.record(connection, actor, "token.playground", token_id)
    return key
