"""The first start on an empty database: the first administrator, and a key that works.

Also what is done from the command line when nobody can log in any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import asyncpg

from gateway.catalog_entries import DEFAULT_GROUP
from gateway.catalog_settings import GroupSettings, UpstreamSettings
from gateway.config import ConfigError, Loaded
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.edit import Actor, TokenDraft
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Problem, Rejected, mistake
from gateway.domain.rules import Rule
from gateway.settings import Config
from gateway.store.catalog_edits import group_columns
from gateway.store.passwords import Passwords, one_time_password
from gateway.store.people import find_user, set_password, write_access_token, write_user
from gateway.store.postgres import Connection, open_pool, transaction
from gateway.store.token_creations import write_tokens

_BOOTSTRAP_LOCK = 0x746F6C6D
_REGISTER = 'INSERT INTO "group" (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING'
_CLOSE = """UPDATE "group" SET open = false WHERE source = 'file' AND open AND name <> ALL ($1::text[])"""
_DESCRIBE = """
UPDATE "group" SET open = $2, subscription_granted = $3
 WHERE name = $1 AND source = 'file' AND (open, subscription_granted) IS DISTINCT FROM ($2, $3::bigint)
"""
_TAKEN = """
SELECT 'groups', name FROM "group" WHERE source = 'api' AND name = ANY ($1::text[])
UNION ALL SELECT 'models', name FROM model WHERE name = ANY ($2::text[])
UNION ALL SELECT 'upstreams', name FROM upstream WHERE name = ANY ($3::text[])
"""
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


async def register_entries(pool: asyncpg.Pool, loaded: Loaded) -> None:
    """Give every configured group a row, and so an id.

    Raises `ConfigError` for a name in the configuration that the admin API has taken.
    """
    async with transaction(pool) as connection:
        await _register(connection, loaded.config, loaded.left_out)


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
        await _register(connection, config)
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


async def _register(
    connection: Connection, config: Config, left_out: Iterable[UpstreamSettings] = ()
) -> None:
    groups = {DEFAULT_GROUP: GroupSettings(), **config.groups}
    await connection.execute(_REGISTER, sorted(groups))
    await connection.execute(_CLOSE, [*groups])
    await connection.executemany(
        _DESCRIBE, [(name, *group_columns(settings)) for name, settings in groups.items()]
    )
    taken = await connection.fetch(
        _TAKEN,
        [*groups],
        [model.name for model in config.models],
        [upstream.name for upstream in (*config.upstreams, *left_out)],
    )
    if taken:
        raise ConfigError(
            [
                f"{table}.{name}: the admin API made one of this name; rename this one, or delete that one over the "
                "API before it stands here"
                for table, name in taken
            ]
        )


async def _hash(password: str) -> str:
    passwords = Passwords()
    try:
        return await passwords.hash(password)
    finally:
        passwords.close()
