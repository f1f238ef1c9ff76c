"""The checks that a call passes before anything is taken: each refuses one thing.

The relay and `explain` run these same functions, so that they cannot drift.
"""

from datetime import UTC, datetime

from gateway.domain.ask import Ask
from gateway.domain.catalog import Catalog, Dialect, Model
from gateway.domain.errors import Reason, Refusal
from gateway.domain.network import Address
from gateway.domain.token import DISABLED, Token


def require_live(token: Token, now: float) -> Refusal | None:
    """Refuse a token that is disabled or expired, or whose owner is."""
    if token.status == DISABLED:
        return Refusal(Reason.KEY_DISABLED, "This key is disabled. Its owner can enable it again.")
    if token.expires_at is not None and now >= token.expires_at:
        return Refusal(
            Reason.KEY_EXPIRED,
            f"This key expired at {_instant(token.expires_at)}. Its owner can move the expiry.",
        )
    if token.secret_expires_at is not None and now >= token.secret_expires_at:
        return Refusal(
            Reason.KEY_EXPIRED,
            f"This secret was rotated and ended at {_instant(token.secret_expires_at)}. Use the new one.",
        )
    if not token.account_live:
        return Refusal(Reason.ACCOUNT_DISABLED, "The account of this key is disabled.")
    if not token.user_live:
        return Refusal(Reason.ACCOUNT_DISABLED, "The user who owns this key is disabled.")
    return None


def require_network(token: Token, address: Address | None) -> Refusal | None:
    """Refuse an address that is denied, or not allowed where only some are; deny goes before allow."""
    if not token.deny and not token.allow:
        return None
    if address is None:
        return Refusal(
            Reason.IP_NOT_ALLOWED,
            "This key is limited to some addresses and yours could not be determined "
            "(what the proxy says of it is unreadable).",
        )
    if address in token.deny:
        return Refusal(
            Reason.IP_NOT_ALLOWED, f"This key may not be used from {address.text}: it is denied."
        )
    if token.allow and address not in token.allow:
        return Refusal(
            Reason.IP_NOT_ALLOWED,
            f"This key may not be used from {address.text}: it is not among the key's allowed addresses.",
        )
    return None


def require_model(
    token: Token, model: str, catalog: Catalog, dialect: Dialect | None = None
) -> Refusal | None:
    """Refuse a model that the token's list, its group, or every upstream of the group leaves out.

    With a dialect, only upstreams of that one count.
    """
    if token.models is not None and model not in token.models:
        return Refusal(
            Reason.MODEL_NOT_ALLOWED,
            f"This key's own model list does not allow {model!r}. GET /v1/models lists what it can call.",
            param="model",
        )
    group = token.group
    if group.models is not None and model not in group.models:
        return Refusal(
            Reason.MODEL_NOT_ALLOWED,
            f"The group {group.name!r} of this key does not allow {model!r}. "
            "GET /v1/models lists what it can call.",
            param="model",
        )
    if not catalog.candidates(group, model, dialect):
        elsewhere = sorted({each.dialect for each in catalog.candidates(group, model)})
        if elsewhere:
            paths = " or ".join(_PATHS[each] for each in elsewhere)
            return Refusal(
                Reason.MODEL_NOT_FOUND,
                f"The model {model!r} is not served on this path: no upstream of the group {group.name!r} serves it in "
                f"this dialect. Call it by {paths}.",
                param="model",
            )
        return Refusal(
            Reason.MODEL_NOT_FOUND,
            f"The model {model!r} does not exist here: no upstream of the group {group.name!r} serves it. "
            "GET /v1/models lists what this key can call.",
            param="model",
        )
    return None


_PATHS: dict[Dialect, str] = {
    "openai": "POST /v1/chat/completions",
    "anthropic": "POST /v1/messages",
    "gemini": "POST /v1beta/models/…:generateContent",
}


def require_price(token: Token, model: Model) -> Refusal | None:
    """Refuse an unpriced model on a capped token: it would be free."""
    if token.capped and model.price is None:
        return Refusal(
            Reason.MODEL_NOT_PRICED,
            f"The model {model.name!r} has no price here, and this key has a cap. The operator can set one in "
            "[[models]], or the key can be made uncapped.",
            param="model",
        )
    return None


def require_known_price(token: Token, ask: Ask) -> Refusal | None:
    """Refuse, for a capped token, what the model's price says nothing of."""
    if not token.capped:
        return None
    if ask.background:
        return Refusal(
            Reason.UNSUPPORTED_PARAMETER,
            "'background' work cannot be bounded in cost; leave it out, or use an uncapped key.",
            param="background",
        )
    if ask.dearer is not None:
        return Refusal(
            Reason.UNSUPPORTED_PARAMETER,
            f"{ask.dearer!r} asks for something that may cost more than the model's price here, and this key has a "
            "cap. Leave it out, or use an uncapped key.",
            param=ask.dearer,
        )
    return None


def _instant(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
