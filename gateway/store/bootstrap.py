"""The first start on an empty database: the first administrator, and a key that works.

Also what is done from the command line when nobody can log in any more.
"""

from dataclasses import dataclass, field

import asyncpg

from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.edit import Actor, TokenDraft
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, Rejected, mistake
from gateway.domain.rules import Rule
from gateway.settings import Config
from gateway.store.configured import register
from gateway.store.passwords import Passwords, one_time_password
from gateway.store.people import find_user, set_password, write_access_token, write_user
from gateway.store.postgres import Connection, open_pool, transaction
from gateway.store.token_creations import write_tokens

_BOOTSTRAP_LOCK = 0x746F6C6D
_SYSTEM = Actor("system", any_group=True)
_COMMAND_LINE = Actor("cli", any_group=True)
_USERNAME = "admin"
_ACCOUNT = "default"
_KEY_NAME = "first key"


class UnknownUser(Rejected):
    """There is no user of that name."""

    def __init__(self, username: str) -> None:
        super().__init__(Problem.NOT_FOUND, mistake("username", Rule.NO_USER, given=username))


@dataclass(frozen=True, slots=True)
class Credentials:
    """The first administrator's secrets: known once, here."""

    user_id: int
    username: str
    password: str = field(repr=False)
    access_token: str = field(repr=False)
    key: str = field(repr=False)


async def bootstrap(
    pool_or_dsn: asyncpg.Pool | str, pepper: Pepper, config: Config
) -> Credentials | None:
    """Make the first administrator and key where the database has no users.

    Registers the configured groups in any case. None where there are users already. Safe to run
    from several processes at once. Raises `ConfigError` for a name that the admin API has taken,
    and `StoreUnavailable`.
    """
    if not isinstance(pool_or_dsn, str):
        return await _bootstrap(pool_or_dsn, pepper, config)
    pool = await open_pool(
        pool_or_dsn, size=1, statement_timeout_s=config.postgres.statement_timeout_s
    )
    async with pool:
        return await _bootstrap(pool, pepper, config)


async def new_one_time_password(pool: asyncpg.Pool, username: str) -> str:
    """A new password that must be changed after it was used; ends the user's sessions.

    Raises `UnknownUser` and `StoreUnavailable`.
    """
    found = await find_user(pool, username)
    if found is None:
        raise UnknownUser(username)
    password = one_time_password()
    await set_password(pool, _COMMAND_LINE, found[0].id, await _hash(password), once=True)
    return password


async def _bootstrap(pool: asyncpg.Pool, pepper: Pepper, config: Config) -> Credentials | None:
    async with transaction(pool) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _BOOTSTRAP_LOCK)
        await register(connection, config)
        if await connection.fetchval('SELECT EXISTS (SELECT FROM "user")'):
            return None
        return await _write_first(connection, pepper)


async def _write_first(connection: Connection, pepper: Pepper) -> Credentials:
    password = one_time_password()
    account_id = await connection.fetchval(
        "INSERT INTO account (name, granted) VALUES ($1, NULL) RETURNING id", _ACCOUNT
    )
    user_id = await write_user(
        connection,
        _SYSTEM,
        _USERNAME,
        role="owner",
        password_hash=await _hash(password),
        password_once=True,
        account_id=account_id,
    )
    access_token = await write_access_token(connection, _SYSTEM, user_id, "first token", pepper)
    draft = TokenDraft(name=_KEY_NAME, granted=NUSD_PER_USD)
    (first,) = await write_tokens(
        connection, _SYSTEM, user_id, [draft], pepper=pepper, max_tokens=1
    )
    return Credentials(user_id, _USERNAME, password, access_token, first.key)


async def _hash(password: str) -> str:
    passwords = Passwords()
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()
