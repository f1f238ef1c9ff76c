"""`python -m admin_api [--config FILE]`: the admin app, one process."""

import argparse
import asyncio
import contextlib
import functools
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import cast

import uvloop
from aiohttp import web

from admin_api.app import build_app
from admin_api.context import SERVICES, Services
from admin_api.notifier import StoreNotifier
from admin_api.proxied import serve_proxied
from admin_api.record import access_log
from admin_api.server import Runner
from admin_api.status import base_urls
from gateway import log
from gateway.admin_settings import AdminSettings
from gateway.bounded_server import BoundedServer
from gateway.child import allow_descriptors, heed_signals, spare_the_collector, tell_ready
from gateway.config import (
    ConfigError,
    Loaded,
    ServiceSecrets,
    load,
    read_pepper,
    read_seal_keys,
    read_service_secrets,
)
from gateway.domain.errors import StoreUnavailable
from gateway.domain.network import Blocks
from gateway.domain.pepper import Pepper
from gateway.listen import PortTaken, as_bound, is_held, listening_socket, probe_ports, url_of
from gateway.reload import GATEWAY_ONLY, follow, take_over
from gateway.settings import Config
from gateway.store.configured import register_entries
from gateway.store.pipeline import Pipeline
from gateway.store.postgres import SchemaError, check_schema, open_pool
from gateway.store.quota import QuotaStore
from gateway.store.seal import Seal
from gateway.store.valkey import open_valkey

_log = logging.getLogger(__name__)

_BACKLOG = 128
_SHUTDOWN_S = 10.0


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Exit status 2: it cannot start as configured."""
    parser = argparse.ArgumentParser(prog="tollhouse admin", description=__doc__)
    parser.add_argument(
        "--config", metavar="FILE", help="instead of TOLLHOUSE_CONFIG or ./config.toml"
    )
    given = parser.parse_args(arguments)
    log.configure()
    allow_descriptors()
    try:
        settings = _read_settings(given.config)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            read = functools.partial(load, os.environ, given.config)
            runner.run(_serve(read, *settings))
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"tollhouse: {problem}\n")
        return 2
    except (PortTaken, SchemaError, StoreUnavailable, OSError) as error:
        sys.stderr.write(f"tollhouse: {error}\n")
        return 2
    return 0


def _read_settings(path: str | None) -> tuple[Loaded, ServiceSecrets, Pepper, Seal]:
    """Configuration, secrets, pepper and seal. Raises `ConfigError` with the problems of all."""
    problems: list[str] = []
    loaded, service_secrets, pepper, seal = (
        Loaded(Config(), None, {}, ()),
        ServiceSecrets(),
        None,
        None,
    )
    try:
        loaded = load(os.environ, path)
        problems += [
            f"{setting} must be given: the admin app of its own has no embedded server "
            "(`tollhouse run` starts them)"
            for setting, value in (
                ("postgres.dsn", loaded.config.postgres.dsn),
                ("redis.url", loaded.config.redis.url),
            )
            if not value.get_secret_value()
        ]
        service_secrets = read_service_secrets(os.environ, loaded.config)
    except ConfigError as error:
        problems += error.problems
    try:
        pepper = read_pepper(os.environ)
    except ConfigError as error:
        problems += error.problems
    try:
        seal = Seal(*read_seal_keys(os.environ))
    except ConfigError as error:
        problems += error.problems
    if problems or pepper is None or seal is None:
        raise ConfigError(problems)
    return loaded, service_secrets, pepper, seal


async def _serve(
    read: Callable[[], Loaded],
    loaded: Loaded,
    service_secrets: ServiceSecrets,
    pepper: Pepper,
    seal: Seal,
) -> None:
    """Open everything in the order in which it is needed; all of it is closed in reverse."""
    config = loaded.config
    stopping, hangups = heed_signals()
    if not is_held():
        probe_ports({"admin.listen": config.admin.listen})
    _warn(config)
    async with contextlib.AsyncExitStack() as stack:
        pool = await open_pool(
            config.postgres.dsn.get_secret_value(),
            size=config.postgres.pool_size,
            statement_timeout_s=config.postgres.statement_timeout_s,
        )
        stack.push_async_callback(pool.close)
        await check_schema(pool)
        await register_entries(pool, loaded)
        url, timeout_s = config.redis.url.get_secret_value(), config.redis.operation_timeout_s
        pipeline = await stack.enter_async_context(Pipeline(url, operation_timeout_s=timeout_s))
        valkey = await stack.enter_async_context(open_valkey(url))
        quota = QuotaStore(pipeline, pause_s=config.quota.pause_s)
        notifier = StoreNotifier(quota, valkey, timeout_s=2 * timeout_s)
        lines = stack.enter_context(access_log(config.log.access))
        app = build_app(
            *(loaded, pool, notifier, quota, pepper, seal, service_secrets),
            write_line=lines.write,
        )
        runner = Runner(app, config.admin, _SHUTDOWN_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        bound = await stack.enter_async_context(_open_port(runner, config.admin))
        take = functools.partial(_take_over, read, app[SERVICES])
        following = asyncio.create_task(follow(hangups, take, loaded))
        stack.callback(following.cancel)
        spare_the_collector()
        tell_ready(url_of(bound))
        await stopping.wait()


def _warn(config: Config) -> None:
    """Tell the operator of settings that are allowed and hardly meant."""
    if not config.admin.public_url and (config.mail.host or config.oidc.issuer):
        _log.warning("admin.public_url is not set: links lead people to %s", base_urls(config)[1])
    if config.admin.insecure_http:
        _log.warning(
            "admin.insecure_http is on: over plain http, whoever listens on the network can take a session"
        )


@contextlib.asynccontextmanager
async def _open_port(runner: Runner, settings: AdminSettings) -> AsyncIterator[str]:
    """Serve for as long as the block runs; where, as `host:port`."""
    listener = listening_socket(settings.listen, "admin.listen", shared=is_held(), backlog=_BACKLOG)
    bound = as_bound(settings.listen, listener)
    if settings.proxy_protocol:
        server = cast("BoundedServer", runner.server)
        trusted = Blocks.of(settings.trusted_proxies)
        async with serve_proxied(server, listener, trusted, backlog=_BACKLOG):
            yield bound
    else:
        await web.SockSite(runner, listener, backlog=_BACKLOG).start()
        yield bound


async def _take_over(read: Callable[[], Loaded], services: Services, before: Loaded) -> Loaded:
    """Show what the file says now of the catalog."""

    async def adopt(now: Loaded) -> None:
        await register_entries(services.pool, now)
        await services.catalogs.adopt(now)
        services.explainer.adopt(now.config)

    return await take_over(before, read, adopt, unread=GATEWAY_ONLY)


if __name__ == "__main__":
    sys.exit(main())
