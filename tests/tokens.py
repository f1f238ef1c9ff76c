"""Tokens that tests make straight in the store."""

from gateway.domain.edit import Actor, TokenDraft
from gateway.store.editing import Keyed
from gateway.store.postgres import Pool, transaction
from gateway.store.token_creations import write_tokens


async def create_token(
    pool: Pool, actor: Actor, user_id: int, draft: TokenDraft, *, pepper: bytes, max_tokens: int
) -> Keyed:
    """A new token of that user, in a transaction of its own."""
    async with transaction(pool) as connection:
        (made,) = await write_tokens(
            connection, actor, user_id, [draft], pepper=pepper, max_tokens=max_tokens
        )
        return made
