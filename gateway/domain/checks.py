"""The checks that a call passes before anything is taken: each refuses one thing.

The relay and `explain` run these same functions, so that they cannot drift.
"""

from datetime import UTC, datetime

from gateway.domain.ask import Ask
from gateway.domain.catalog import Catalog, Dialect, Model
from gateway.domain.errors import Ground, Reason, Refusal
from gateway.domain.network import Address
from gateway.domain.passages import OTHER, Metering
from gateway.domain.redaction import redact
from gateway.domain.rejection import shown
from gateway.domain.routes import Route
from gateway.domain.token import DISABLED, Token


def require_live(token: Token, now: float) -> Refusal | None:
    """Refuse a token that is disabled or expired, or whose owner, membership or subscription is."""
    return (
        _require_own_state(token, now) or _require_owner(token) or _require_subscription(token, now)
    )


def _require_own_state(token: Token, now: float) -> Refusal | None:
    if token.status == DISABLED:
        return Refusal(
            Reason.KEY_DISABLED,
            "This key is disabled. Its owner can enable it again.",
            ground=Ground.STATUS,
        )
    if token.expires_at is not None and now >= token.expires_at:
        return Refusal(
            Reason.KEY_EXPIRED,
            f"This key expired at {_instant(token.expires_at)}. Its owner can move the expiry.",
            ground=Ground.EXPIRY,
        )
    if token.secret_expires_at is not None and now >= token.secret_expires_at:
        return Refusal(
            Reason.KEY_EXPIRED,
            f"This secret was rotated and ended at {_instant(token.secret_expires_at)}. Use the new one.",
            ground=Ground.ROTATION,
        )
    return None


def _require_owner(token: Token) -> Refusal | None:
    if not token.account_live:
        return Refusal(
            Reason.ACCOUNT_DISABLED,
            "The account of this key is disabled.",
            ground=Ground.ACCOUNT,
        )
    if not token.user_live:
        return Refusal(
            Reason.ACCOUNT_DISABLED,
            "The user who owns this key is disabled.",
            ground=Ground.USER,
        )
    if not token.member_live:
        return Refusal(
            Reason.ACCOUNT_DISABLED,
            "The user who owns this key is no member of its account any more.",
            ground=Ground.MEMBER,
        )
    return None


def _require_subscription(token: Token, now: float) -> Refusal | None:
    if token.group_from is not None and now < token.group_from:
        return Refusal(
            Reason.GROUP_NOT_ALLOWED,
            f"The account's subscription to the group {token.group.name!r} of this key "
            f"begins at {_instant(token.group_from)}.",
            ground=Ground.SUBSCRIPTION,
        )
    if token.group_until is not None and now >= token.group_until:
        return Refusal(
            Reason.GROUP_NOT_ALLOWED,
            f"The account's subscription to the group {token.group.name!r} of this key "
            f"ended at {_instant(token.group_until)}.",
            ground=Ground.SUBSCRIPTION,
        )
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
            ground=Ground.ALLOW if token.allow else Ground.DENY,
        )
    if address in token.deny:
        return Refusal(
            Reason.IP_NOT_ALLOWED,
            f"This key may not be used from {address.text}: it is denied.",
            ground=Ground.DENY,
        )
    if token.allow and address not in token.allow:
        return Refusal(
            Reason.IP_NOT_ALLOWED,
            f"This key may not be used from {address.text}: it is not among the key's allowed addresses.",
            ground=Ground.ALLOW,
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
            f"This key's own model list does not allow {shown(model)!r}. GET /v1/models lists what it can call.",
            param="model",
            ground=Ground.OWN_MODELS,
        )
    group = token.group
    if group.models is not None and model not in group.models:
        return Refusal(
            Reason.MODEL_NOT_ALLOWED,
            f"The group {group.name!r} of this key does not allow {shown(model)!r}. "
            "GET /v1/models lists what it can call.",
            param="model",
            ground=Ground.GROUP_MODELS,
        )
    if not catalog.candidates(group, model, dialect):
        elsewhere = sorted({each.dialect for each in catalog.candidates(group, model)})
        if elsewhere:
            paths = " or ".join(_PATHS[each] for each in elsewhere)
            return Refusal(
                Reason.MODEL_NOT_FOUND,
                f"The model {shown(model)!r} is not served on this path: no upstream of the group {group.name!r} "
                f"serves it in this dialect. Call it by {paths}.",
                param="model",
                ground=Ground.GROUP_UPSTREAMS,
            )
        return Refusal(
            Reason.MODEL_NOT_FOUND,
            f"The model {shown(model)!r} does not exist here: no upstream of the group {group.name!r} serves it. "
            "GET /v1/models lists what this key can call.",
            param="model",
            ground=Ground.GROUP_UPSTREAMS,
        )
    return None


_PATHS: dict[Dialect, str] = {
    "openai": "POST /v1/chat/completions",
    "anthropic": "POST /v1/messages",
    "gemini": "POST /v1beta/models/…:generateContent",
}


def require_metering(token: Token, route: Route, method: str, path: str) -> Refusal | None:
    """Refuse, for a capped token, a passage that may cost anything and has no price."""
    rule = route.rule
    if rule is not None and rule.metering is Metering.UNCAPPED and token.capped:
        slip = " Is the path right? It is none that is known here." if route.name == OTHER else ""
        return Refusal(
            Reason.ROUTE_NOT_METERED,
            f"What {method} {redact(path)} costs is not known here, and this key has a cap. The operator can set a "
            f"price for each call in [[routes]], or the key can be made uncapped.{slip}",
            ground=Ground.ROUTES,
        )
    return None


def require_upstream(
    token: Token, model: str, path: str, catalog: Catalog, dialect: Dialect
) -> Refusal | None:
    """Refuse a passage's model that the token may not call, and a passage that no upstream of its group could take."""
    if model:
        return require_model(token, model, catalog, dialect)
    if catalog.candidates(token.group, "", dialect):
        return None
    return Refusal(
        Reason.UNKNOWN_URL,
        f"{redact(path)} cannot be called here: the group {token.group.name!r} of this key has no upstream that speaks "
        f"{dialect}.",
        ground=Ground.GROUP_UPSTREAMS,
    )


def too_large(max_bytes: int, setting: str = "max_body_bytes") -> Refusal:
    """What is told of a body beyond a bound of the operator's."""
    return Refusal(
        Reason.BODY_TOO_LARGE,
        f"The body is larger than {max_bytes} bytes (the operator's gateway.{setting}).",
        ground=Ground.BODY_SIZE,
    )


def require_price(token: Token, model: Model) -> Refusal | None:
    """Refuse an unpriced model on a capped token: it would be free."""
    if token.capped and model.price is None:
        return Refusal(
            Reason.MODEL_NOT_PRICED,
            f"The model {model.name!r} has no price here, and this key has a cap. The operator can set one in "
            "[[models]], or the key can be made uncapped.",
            param="model",
            ground=Ground.PRICE,
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
            ground=Ground.UNBOUNDED,
        )
    if ask.dearer is not None:
        return Refusal(
            Reason.UNSUPPORTED_PARAMETER,
            f"{ask.dearer!r} asks for something that may cost more than the model's price here, and this key has a "
            "cap. Leave it out, or use an uncapped key.",
            param=ask.dearer,
            ground=Ground.UNBOUNDED,
        )
    return None


def _instant(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
