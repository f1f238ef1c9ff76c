"""Handlers that need no caller: what this installation is, whether it works, the page at `/`."""

from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from aiohttp import web

from admin_api.context import SERVICES
from admin_api.envelope import accept
from gateway import __version__
from gateway.settings import Config
from gateway.store.postgres import reading

_CONSOLE = files("admin_api").joinpath("console")
_PAGE = Template(_CONSOLE.joinpath("index.html").read_text(encoding="utf-8"))
_STYLE = _CONSOLE.joinpath("console.css").read_text(encoding="utf-8")

PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


async def status(request: web.Request) -> web.Response:
    """GET /api/status: version, base URLs, and how many quota units a dollar has."""
    config = request.app[SERVICES].config
    gateway_url, admin_url = base_urls(config)
    return accept(
        {
            "system_name": "Tollhouse",
            "version": __version__,
            "quota_per_unit": config.quota.units_per_usd,
            "gateway_url": gateway_url,
            "openai_base_url": f"{gateway_url}/v1",
            "admin_url": admin_url,
            "registration": config.admin.registration,
            "oidc_providers": _providers(config),
            "mail": bool(config.mail.host),
            "email_verification_required": config.admin.require_verified_email,
        }
    )


async def healthz(request: web.Request) -> web.Response:  # noqa: ARG001 -- a handler
    """GET /healthz: the process answers."""
    return accept()


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: the process and Postgres answer; 503 otherwise."""
    async with reading(request.app[SERVICES].pool) as connection:
        await connection.fetchval("SELECT 1")
    return accept()


async def page(request: web.Request) -> web.Response:
    """GET /: what this is and how to use it, for people."""
    config = request.app[SERVICES].config
    gateway_url, admin_url = base_urls(config)
    text = _PAGE.substitute(
        version=escape(__version__),
        gateway_url=escape(gateway_url),
        admin_url=escape(admin_url),
        units=f"{config.quota.units_per_usd:,}",
    )
    return web.Response(text=text, content_type="text/html", headers=PAGE_HEADERS)


async def style(request: web.Request) -> web.Response:  # noqa: ARG001 -- a handler
    """GET /console.css: how the pages look."""
    return web.Response(text=_STYLE, content_type="text/css", headers=PAGE_HEADERS)


def _providers(config: Config) -> list[dict[str, str]]:
    if not config.oidc.issuer:
        return []
    login_url = f"{base_urls(config)[1]}/api/oidc/login"
    return [{"name": config.oidc.name, "login_url": login_url}]


def base_urls(config: Config) -> tuple[str, str]:
    """The origins of gateway and admin API as callers reach them."""
    gateway, admin = config.gateway, config.admin
    return (
        gateway.public_url.rstrip("/") or f"http://{gateway.listen}",
        admin.public_url.rstrip("/") or f"http://{admin.listen}",
    )
