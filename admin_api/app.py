"""The composition root of the admin app; and the one place where errors are answered."""

import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from admin_api import record
from admin_api.auth import find_address
from admin_api.bodies import MAX_BODY_BYTES
from admin_api.brake import Brake, Ration, Throttles
from admin_api.console.logo import read_logo
from admin_api.context import REQUEST_ID, SERVICES, Notifier, Services
from admin_api.delivery.dispatch import Dispatch
from admin_api.describe import describe
from admin_api.envelope import CODE, Code, Declined, decline
from admin_api.gateway_client import GatewayClient
from admin_api.people.provider import Provider
from admin_api.routes import ROUTES, add_routes
from admin_api.warnings.watch import Watch
from gateway.config import Loaded, ServiceSecrets
from gateway.domain.errors import StoreUnavailable
from gateway.domain.network import Blocks
from gateway.domain.pepper import Pepper
from gateway.domain.rejection import Rejected
from gateway.domain.units import Units
from gateway.explain.walk import Explainer
from gateway.settings import Config
from gateway.store.catalog import CatalogReader
from gateway.store.passwords import Passwords
from gateway.store.postgres import Pool
from gateway.store.quota import QuotaStore
from gateway.store.seal import Seal
from gateway.store.upstream_keys import looking

_log = logging.getLogger(__name__)

_MOST_REVEALS, _REVEALS_WITHIN_S = 20, 1200.0
_MOST_CHATS, _CHATS_WITHIN_S = 120, 600.0

# What is no page runs nothing, is framed nowhere and tells no other site where it was read.
EVERYWHERE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_HTTP_CODES = {
    404: (
        Code.UNKNOWN_URL,
        "There is nothing at this address; the token API is at /api/token/, and /api/docs tells more.",
    ),
    405: (
        Code.METHOD_NOT_ALLOWED,
        "This address does not take this method; Allow names those it takes.",
    ),
    413: (Code.BODY_TOO_LARGE, f"The body may be {MAX_BODY_BYTES} bytes at most."),
}


def build_app(
    config: Config,
    pool: Pool,
    notifier: Notifier,
    quota: QuotaStore,
    pepper: Pepper,
    seal: Seal,
    *,
    service_secrets: ServiceSecrets = ServiceSecrets(),  # noqa: B008 -- it cannot change
    write_line: record.Write | None = None,
    loaded: Loaded | None = None,
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """The application over an open pool and a quota store, which stay the caller's.

    `write_line` takes each request's log line. `loaded` is the configuration with the providers' keys that this process
    knows; without it, it knows none.

    Raises `RuntimeError` when a route declares no permission, `OSError` for a `mail.ca_file` that cannot be read, and
    `ConfigError` for a `console.logo` that is none.
    """
    if loaded is None:
        loaded = Loaded(config, None, {upstream.name: () for upstream in config.upstreams}, ())
    catalogs = CatalogReader(pool, loaded, looking(seal))
    app = web.Application(
        middlewares=[_answer_everything(write_line or _no_line)], client_max_size=MAX_BODY_BYTES
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
    app.cleanup_ctx.append(_own_passwords)
    app.cleanup_ctx.append(_own_dispatch)
    app.cleanup_ctx.append(_own_provider)
    app.cleanup_ctx.append(_own_gateway)
    app.cleanup_ctx.append(_own_watch)
    app.on_response_prepare.append(_add_headers)
    add_routes(app)
    describe(app, ROUTES)
    return app


async def _own_passwords(app: web.Application) -> AsyncIterator[None]:
    yield
    app[SERVICES].passwords.close()


async def _own_dispatch(app: web.Application) -> AsyncIterator[None]:
    async with app[SERVICES].dispatch.open():
        yield


async def _own_provider(app: web.Application) -> AsyncIterator[None]:
    provider = app[SERVICES].provider
    async with contextlib.nullcontext() if provider is None else provider.open():
        yield


async def _own_gateway(app: web.Application) -> AsyncIterator[None]:
    async with app[SERVICES].gateway.open():
        yield


async def _own_watch(app: web.Application) -> AsyncIterator[None]:
    async with Watch(app[SERVICES]).running():
        yield


def _answer_everything(write_line: record.Write) -> Middleware:
    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        """An id, an answer and a log line for every request, whatever happens."""
        begun = time.perf_counter()
        request[REQUEST_ID] = uuid.uuid4().hex
        find_address(request, request.app[SERVICES])
        response = await _answered(request, handler)
        code = response.get(CODE)
        write_line(record.line(request, response.status, code, time.perf_counter() - begun))
        return response

    return answer


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer has, streamed ones too: it is called before their heads are sent."""
    response.headers["X-Request-Id"] = request[REQUEST_ID]
    response.headers["X-Content-Type-Options"] = "nosniff"
    for name, value in EVERYWHERE.items():
        response.headers.setdefault(name, value)
    if request.app[SERVICES].config.admin.public_url.startswith("https:"):
        response.headers["Strict-Transport-Security"] = "max-age=31536000"
    response.headers["Server"] = "tollhouse"  # else aiohttp tells its own and Python's versions


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Declined as declined:
        return decline(declined.code, declined.message, declined.headers)
    except Rejected as rejected:
        return decline(rejected.problem, rejected.message, mistakes=rejected.mistakes)
    except StoreUnavailable as error:
        _log.warning("store unavailable: %s", error)
        message = "The database does not answer; nothing is known to have changed. Try again."
        return decline(Code.STORE_UNAVAILABLE, message, {"Retry-After": "1"})
    except web.HTTPException as error:
        return _of_aiohttp(error)
    except Exception:  # noqa: BLE001 -- the only one of this process; logged with its traceback
        _log.exception("request %s failed", request[REQUEST_ID])
        message = f"This is a fault of Tollhouse; its log has it under {request[REQUEST_ID]}."
        return decline(Code.INTERNAL_ERROR, message)


def _of_aiohttp(error: web.HTTPException) -> web.StreamResponse:
    """What aiohttp's router and body reader raise, in our form."""
    code, message = _HTTP_CODES.get(error.status, (Code.INVALID_REQUEST, error.reason))
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return decline(code, message, allow)


def _no_line(line: str) -> None:
    """Where nobody wants request lines."""
