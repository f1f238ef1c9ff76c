"""The checks that a call passes before anything is taken: each refuses one thing.

The relay and `explain` run these same functions, so that they cannot drift.
"""

from datetime import UTC, datetime

from gateway.domain.ask import Ask
from gateway.domain.cases import Case, refusal
from gateway.domain.catalog import Catalog, Dialect, Dialects, Model
from gateway.domain.errors import Ground, Refusal
from gateway.domain.network import Address
from gateway.domain.passages import OTHER, Metering
from gateway.domain.redaction import redact
from gateway.domain.rejection import shown
from gateway.domain.routes import Route
from gateway.domain.rules import Param
from gateway.domain.token import DISABLED, Token


def require_live(token: Token, now: float) -> Refusal | None:
    """Refuse a token that is disabled or expired, or whose owner, membership or subscription is."""
    return (
        _require_own_state(token, now) or _require_owner(token) or _require_subscription(token, now)
    )


def _require_own_state(token: Token, now: float) -> Refusal | None:
    if token.status == DISABLED:
        return refusal(Case.KEY_DISABLED)
    if token.expires_at is not None and now >= token.expires_at:
        return refusal(Case.KEY_EXPIRED, {"at": _instant(token.expires_at)})
    if token.secret_expires_at is not None and now >= token.secret_expires_at:
        return refusal(Case.SECRET_ENDED, {"at": _instant(token.secret_expires_at)})
    return None


def _require_owner(token: Token) -> Refusal | None:
    if not token.account_live:
        return refusal(Case.ACCOUNT_DISABLED)
    if not token.user_live:
        return refusal(Case.USER_DISABLED)
    if not token.member_live:
        return refusal(Case.MEMBER_GONE)
    return None


def _require_subscription(token: Token, now: float) -> Refusal | None:
    group = token.group.name
    if token.group_from is not None and now < token.group_from:
        at = _instant(token.group_from)
        return refusal(Case.SUBSCRIPTION_TO_COME, {"group": group, "at": at})
    if token.group_until is not None and now >= token.group_until:
        at = _instant(token.group_until)
        return refusal(Case.SUBSCRIPTION_ENDED, {"group": group, "at": at})
    return None


def require_network(token: Token, address: Address | None) -> Refusal | None:
    """Refuse an address that is denied, or not allowed where only some are; deny goes before allow."""
    if not token.deny and not token.allow:
        return None
    if address is None:
        return refusal(Case.ADDRESS_UNKNOWN, ground=Ground.ALLOW if token.allow else Ground.DENY)
    if address in token.deny:
        return refusal(Case.ADDRESS_DENIED, {"address": address.text})
    if token.allow and address not in token.allow:
        return refusal(Case.ADDRESS_NOT_ALLOWED, {"address": address.text})
    return None


def require_model(
    token: Token, model: str, catalog: Catalog, dialects: Dialects | None = None
) -> Refusal | None:
    """Refuse a model that the token's list, its group, or every upstream of the group leaves out.

    With dialects, only upstreams count that speak the first, or that calls are translated for.
    """
    if token.models is not None and model not in token.models:
        return refusal(Case.MODEL_NOT_LISTED, {"model": shown(model)}, param="model")
    group = token.group
    told: dict[str, Param] = {"model": shown(model), "group": group.name}
    if group.models is not None and model not in group.models:
        return refusal(Case.MODEL_NOT_IN_GROUP, told, param="model")
    if not catalog.candidates(group, model, dialects):
        elsewhere = sorted({each.dialect for each in catalog.candidates(group, model)})
        if elsewhere:
            told["paths"] = [_PATHS[each] for each in elsewhere]
            return refusal(Case.MODEL_ELSEWHERE, told, param="model")
        return refusal(Case.MODEL_NOT_SERVED, told, param="model")
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
        case = Case.COST_AND_PATH_UNKNOWN if route.name == OTHER else Case.COST_UNKNOWN
        return refusal(case, {"method": method, "path": redact(path)})
    return None


def require_upstream(
    token: Token, model: str, path: str, catalog: Catalog, dialects: Dialects
) -> Refusal | None:
    """Refuse a passage's model that the token may not call, and a passage that no upstream of its group could take."""
    if model:
        return require_model(token, model, catalog, dialects)
    if catalog.candidates(token.group, "", dialects):
        return None
    told: dict[str, Param] = {
        "path": redact(path),
        "group": token.group.name,
        "dialect": dialects[0],
    }
    return refusal(Case.NO_UPSTREAM, told)


def too_large(max_bytes: int, setting: str = "max_body_bytes") -> Refusal:
    """What is told of a body beyond a bound of the operator's."""
    return refusal(Case.BODY_TOO_LARGE, {"most": max_bytes, "setting": setting})


def require_price(token: Token, model: Model) -> Refusal | None:
    """Refuse an unpriced model on a capped token: it would be free."""
    if token.capped and model.price is None:
        return refusal(Case.MODEL_NOT_PRICED, {"model": model.name}, param="model")
    return None


def require_known_price(token: Token, ask: Ask) -> Refusal | None:
    """Refuse, for a capped token, what the model's price says nothing of."""
    if not token.capped:
        return None
    if ask.background:
        return refusal(Case.BACKGROUND, param="background")
    if ask.dearer is not None:
        return refusal(Case.DEARER, {"member": ask.dearer}, param=ask.dearer)
    return None


def _instant(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
