"""Handlers that need no caller: what this installation is, and whether it works."""

from aiohttp import web

from admin_api.catalog.objects import json_number
from admin_api.context import SERVICES
from admin_api.cookies import may_be_plain
from admin_api.envelope import accept
from gateway import __version__
from gateway.settings import Config
from gateway.store.postgres import reading


async def status(request: web.Request) -> web.Response:
    """GET /api/status: version, base URLs, how many quota units a dollar has, and how the console looks."""
    services = request.app[SERVICES]
    config, console = services.config, services.config.console
    gateway_url, admin_url = base_urls(config)
    return accept(
        {
            "system_name": console.name,
            "version": __version__,
            "quota_per_unit": config.quota.units_per_usd,
            "gateway_url": gateway_url,
            "openai_base_url": f"{gateway_url}/v1",
            "admin_url": admin_url,
            "registration": config.admin.registration,
            "oidc_providers": _providers(config),
            "mail": bool(config.mail.host),
            "email_verification_required": config.admin.require_verified_email,
            "insecure_http": may_be_plain(request),
            "language": console.language,
            "logo": None if services.logo is None else services.logo.address,
            "notice": console.notice,
            "currency": {
                "code": console.currency,
                "rate": json_number(console.currency_per_usd),
            },
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
