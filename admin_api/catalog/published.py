"""The handler of published prices."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from admin_api.catalog.objects import published_object
from admin_api.catalog.queries import PriceQuery
from admin_api.envelope import accept
from admin_api.parameters import require_known, text


async def list_prices(request: web.Request) -> web.Response:
    """GET /api/price: what providers publish for a model of this name, from the price book.

    To begin a price of one's own with: an upstream's address need not be one that the book knows.
    """
    require_known(request.query, PriceQuery.model_fields)
    name = text(request.query, "model").strip()
    return accept(await asyncio.to_thread(_published, name) if name else [])


def _published(name: str) -> list[dict[str, Any]]:
    from gateway.pricebook import published  # noqa: PLC0415  (see there what it costs)

    found = published(name, datetime.now(UTC).date())
    return [published_object(*each) for each in sorted(found, key=lambda each: each.provider)]
