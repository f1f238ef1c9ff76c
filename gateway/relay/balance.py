"""What a key can still spend, asked with the key itself: its clients know no other address than this one.

OpenAI's former `/v1/dashboard/billing/*`, which many clients still show, and New-API's `GET /api/usage/token/`.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import orjson
from aiohttp.web import StreamResponse

from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.errors import Refusal, StoreUnavailable
from gateway.domain.token import Token
from gateway.domain.units import Units
from gateway.relay.answer import send_json, written
from gateway.relay.call import Call
from gateway.relay.chain import keys_unavailable
from gateway.store.keys import KeyStore

_UNLIMITED_USD = 100_000_000  # what New-API says of a key without a quota
_CENTS = 100

Ending = Callable[[Call], Awaitable[StreamResponse | Refusal]]


class Balance(NamedTuple):
    """`used_nusd` is the token's own, `left_nusd` the least that any of its scopes has left (None: none is capped)."""

    used_nusd: int
    left_nusd: int | None


def answer_balance(keys: KeyStore, units: Units) -> Ending:
    """The ending of these calls."""

    async def ending(call: Call) -> StreamResponse | Refusal:
        token = call.entry.token
        try:
            books = await keys.books(token)
        except StoreUnavailable as error:
            return keys_unavailable(error)
        left = [book.granted - book.used for book in books if book.granted is not None]
        own = next(book for book in books if book.scope_id == f"t{token.id}")
        balance = Balance(own.used, max(0, min(left)) if left else None)
        if call.path.endswith("/subscription"):
            members = _subscription(token, balance)
        elif call.path.endswith("/usage"):
            members = {
                "object": "list",
                "total_usage": _CENTS * balance.used_nusd / NUSD_PER_USD,
                "daily_costs": [],
            }
        else:
            members = _token_usage(token, balance, units)
        send_json(call, 200, orjson.dumps(members))
        return written(call.request)

    return ending


def _subscription(token: Token, balance: Balance) -> dict[str, object]:
    if balance.left_nusd is None:
        limit_usd: float = _UNLIMITED_USD
    else:
        limit_usd = (balance.used_nusd + balance.left_nusd) / NUSD_PER_USD
    return {
        "object": "billing_subscription",
        "has_payment_method": True,
        "soft_limit_usd": limit_usd,
        "hard_limit_usd": limit_usd,
        "system_hard_limit_usd": limit_usd,
        "access_until": int(token.expires_at or 0),
    }


def _token_usage(token: Token, balance: Balance, units: Units) -> dict[str, object]:
    used, left = units.used(balance.used_nusd), 0
    if balance.left_nusd is not None:
        left = units.remaining(balance.used_nusd + balance.left_nusd, balance.used_nusd)
    return {
        "code": True,
        "message": "ok",
        "data": {
            "object": "token_usage",
            "name": token.name,
            "total_granted": used + left,
            "total_used": used,
            "total_available": left,
            "unlimited_quota": balance.left_nusd is None,
            "model_limits": dict.fromkeys(sorted(token.models or ()), True),
            "model_limits_enabled": token.models is not None,
            "expires_at": int(token.expires_at or 0),
        },
    }
