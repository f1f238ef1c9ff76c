"""The accounts and tokens of a plan in the database, before anything runs."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from gateway.config import load
from gateway.domain.edit import Actor, TokenDraft
from gateway.domain.limits import Limit, Metric
from gateway.domain.pepper import Pepper
from gateway.store.bootstrap import bootstrap
from gateway.store.grants import write_grant
from gateway.store.people import write_user
from gateway.store.postgres import Connection, apply_schema, open_pool, transaction
from tests.chaos.plan import Plan, TokenPlan
from tests.tokens import create_token

_SYSTEM = Actor("system", any_group=True)


@dataclass(frozen=True, slots=True)
class Made:
    """By the tokens' numbers: their ids, keys, and scopes ("t5 m1.2 g1.3 a1"). And an administrator's access token."""

    token_ids: list[int]
    keys: list[str]
    scopes: list[tuple[str, ...]]
    access_token: str


def make_accounts(dsn: str, config: Path, pepper: Pepper, plan: Plan) -> Made:
    """Make all of a plan."""
    return asyncio.run(_make(dsn, config, pepper, plan))


async def _make(dsn: str, config: Path, pepper: Pepper, plan: Plan) -> Made:
    await apply_schema(dsn)
    loaded = load({}, str(config))
    async with await open_pool(dsn, size=1, statement_timeout_s=10) as pool:
        first = await bootstrap(pool, pepper, loaded.config)
        assert first is not None
        users: dict[tuple[int, int], int] = {}
        async with transaction(pool) as connection:
            for number, account in enumerate(plan.accounts):
                account_id = None
                for user, granted in enumerate(account.members):
                    user_id = await write_user(
                        connection,
                        _SYSTEM,
                        f"user-{number}-{user}",
                        account_id=account_id,
                        granted=account.granted,
                    )
                    users[number, user] = user_id
                    account_id = await connection.fetchval(
                        'SELECT account_id FROM "user" WHERE id = $1', user_id
                    )
                    if granted is not None:
                        await _grant_member(connection, account_id, user_id, granted)
        made = Made([], [], [], first.access_token)
        for token in plan.tokens:
            created = await create_token(
                pool,
                _SYSTEM,
                users[token.account, token.user],
                _draft(token),
                pepper=pepper,
                max_tokens=1000,
            )
            row = created.row
            group_id = await pool.fetchval(
                'SELECT id FROM "group" WHERE name = $1', row.effective_group
            )
            made.token_ids.append(row.id)
            made.keys.append(created.key)
            made.scopes.append(
                (
                    f"t{row.id}",
                    f"m{row.account_id}.{row.user_id}",
                    f"g{row.account_id}.{group_id}",
                    f"a{row.account_id}",
                )
            )
    return made


async def _grant_member(
    connection: Connection, account_id: int, user_id: int, granted: int
) -> None:
    await connection.execute(
        "UPDATE member SET granted = $3, gver = gver + 1 WHERE account_id = $1 AND user_id = $2",
        account_id,
        user_id,
        granted,
    )
    await write_grant(connection, _SYSTEM, ("m", account_id, user_id), granted, "create")


def _draft(token: TokenPlan) -> TokenDraft:
    limits = []
    if token.requests_per_minute:
        limits.append(Limit(Metric.REQUESTS, "1m", token.requests_per_minute))
    if token.tokens_per_minute:
        limits.append(Limit(Metric.TOKENS, "1m", token.tokens_per_minute))
    return TokenDraft(
        name=f"token-{token.number}",
        granted=token.granted,
        limits=tuple(limits),
        max_concurrency=token.max_concurrency,
    )
