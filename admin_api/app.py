"""The composition root of the admin app."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from admin_api import record
from admin_api.answering import add_headers, answer_everything
from admin_api.bodies import MAX_BODY_BYTES
from admin_api.brake import Brake, Ration, Throttles
from admin_api.console.logo import read_logo
from admin_api.context import SERVICES, Notifier, Services
from admin_api.delivery.dispatch import Dispatch
from admin_api.describe import describe
from admin_api.gateway_client import GatewayClient
from admin_api.people.provider import Provider
from admin_api.routes import ROUTES, add_routes
from admin_api.warnings.watch import Watch
from gateway.config import Loaded, ServiceSecrets
from gateway.domain.network import Blocks
from gateway.domain.pepper import Pepper
from gateway.domain.units import Units
from gateway.explain.walk import Explainer
from gateway.store.catalog import CatalogReader
from gateway.store.passwords import Passwords
from gateway.store.postgres import Pool
from gateway.store.quota import QuotaStore
from gateway.store.seal import Seal
from gateway.store.upstream_keys import looking

_MOST_REVEALS, _REVEALS_WITHIN_S = 20, 1200.0
_MOST_CHATS, _CHATS_WITHIN_S = 120, 600.0


def build_app(
    loaded: Loaded,
    pool: Pool,
    notifier: Notifier,
    quota: QuotaStore,
    pepper: Pepper,
    seal: Seal,
    service_secrets: ServiceSecrets,
    *,
    write_line: record.Write,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """The application over an open pool and a quota store, which stay the caller's.

    `loaded` is the configuration with the providers' keys that this process knows. `write_line` takes each request's
    log line.

    Raises `RuntimeError` when a route declares no permission, `OSError` for a `mail.ca_file` that cannot be read, and
    `ConfigError` for a `console.logo` that is none.
    """
    config = loaded.config
    catalogs = CatalogReader(pool, loaded, looking(seal))
    app = web.Application(
        middlewares=[answer_everything(write_line)], client_max_size=MAX_BODY_BYTES
    )
    app[SERVICES] = Services(
        config=config,
        pool=pool,
        notifier=notifier,
        quota=quota,
        pepper=pepper,
        seal=seal,
        units=Units(config.quota.units_per_usd),
        passwords=Passwords(),
        brake=Brake(),
        reveals=Ration(_MOST_REVEALS, _REVEALS_WITHIN_S),
        playground=Ration(_MOST_CHATS, _CHATS_WITHIN_S),
        guesses=Brake(),
        throttles=Throttles(),
        proxies=Blocks.of(config.admin.trusted_proxies),
        clock=clock,
        explainer=Explainer(config, pool, quota, catalogs),
        catalogs=catalogs,
        dispatch=Dispatch(config, service_secrets.mail_password, pool, seal),
        provider=(
            Provider(config.oidc, service_secrets.oidc_client_secret)
            if config.oidc.issuer
            else None
        ),
        logo=read_logo(config.console.logo),
        gateway=GatewayClient(config),
        warnings_secret=service_secrets.warnings_secret,
    )
    app.cleanup_ctx.append(_own_services)
    app.on_response_prepare.append(add_headers)
    add_routes(app)
    describe(app, ROUTES)
    return app


async def _own_services(app: web.Application) -> AsyncIterator[None]:
    """What the app opens and runs itself, from its start to its end."""
    services = app[SERVICES]
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(services.passwords.close)
        await stack.enter_async_context(services.dispatch.open())
        if services.provider is not None:
            await stack.enter_async_context(services.provider.open())
        await stack.enter_async_context(services.gateway.open())
        await stack.enter_async_context(Watch(services).running())
        yield
