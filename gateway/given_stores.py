"""The stores that an operator named: they answer, or the start ends with the setting's name.

It must not know embedded servers: none is ever started in the place of one that was named.
"""

import contextlib
from collections.abc import Iterator

from gateway.config import ConfigError
from gateway.domain.errors import StoreUnavailable
from gateway.domain.redaction import redact
from gateway.settings import Config
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import connect

_WAIT_S = 1.0


async def require_given_stores(config: Config) -> None:
    """See that they answer. Raises `StoreUnavailable`, and `ConfigError` for an address that is none."""
    if dsn := config.postgres.dsn.get_secret_value():
        with _told_of("postgres.dsn"):
            connection = await connect(dsn)
            await connection.close()
    if url := config.redis.url.get_secret_value():
        with _told_of("redis.url"):
            pipeline = Pipeline(url, operation_timeout_s=config.redis.operation_timeout_s)
            await pipeline.start(_WAIT_S)
            await pipeline.close()


@contextlib.contextmanager
def _told_of(setting: str) -> Iterator[None]:
    """Name the setting in what is raised about a store."""
    try:
        yield
    except StoreUnavailable as error:
        raise StoreUnavailable(
            f"the server of {setting} cannot be used: {redact(str(error))}. No embedded one is started in its place"
        ) from error
    except ValueError as error:
        raise ConfigError([f"{setting}: {redact(str(error))}"]) from error
