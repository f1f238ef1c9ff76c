"""What follows from the quota store's refusals: whether less would pass, or later, and what the caller is told.

Calls and `explain` share it. Pure.
"""

import math
from collections.abc import Mapping
from typing import Final, Protocol

from gateway.domain.ask import Ask
from gateway.domain.cases import Case, refusal
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.errors import Refusal
from gateway.domain.limits import Metric
from gateway.domain.pricing import Pricing
from gateway.domain.quota import Hold, Limits, largest_output, shrunk
from gateway.domain.rules import Param
from gateway.store.replies import Again, Obstacle, Refused, Rule


class Asking(Protocol):
    """A call that asks the store for its hold."""

    hold: Hold

    @property
    def ask(self) -> Ask:
        """What it asks an upstream for."""
        ...

    @property
    def terms(self) -> Pricing:
        """By what it is held."""
        ...


def shrink(call: Asking, refused: Refused) -> bool:
    """Take less output where the caller named no maximum; whether there is reason to ask again."""
    room = room_of(refused, call)
    if not call.terms.strict or room == Limits():
        return False
    terms = call.terms
    smaller = shrunk(call.hold, call.ask, terms.model, terms.ratio_ppm, room)
    if smaller is None or smaller.amount_nusd >= call.hold.amount_nusd:
        return False
    call.hold = smaller
    return True


def may_pass_later(call: Asking, refused: Refused) -> bool:
    """Whether settlements of other calls can let it pass."""
    if refused.rule is Rule.HELD:
        return True
    if refused.rule is not Rule.QUOTA or not refused.held:
        return False
    terms = call.terms
    most = Limits(amount_nusd=refused.limit - refused.used)
    return (
        terms.strict and shrunk(call.hold, call.ask, terms.model, terms.ratio_ppm, most) is not None
    )


def unavailable(reply: Again) -> Refusal:
    """What a capped call is told while the store cannot decide."""
    wait_s = reply.value / 1000 if reply.obstacle is Obstacle.PAUSE else 1.0
    cause = f"{reply.obstacle}: {reply.cause}"
    return refusal(Case.QUOTA_STORE_SILENT, retry_after_s=wait_s, cause=cause)


def room_of(refused: Refused, call: Asking) -> Limits:
    """What the call could hold now, where less would pass; no limits where less would not help."""
    match refused.rule:
        case Rule.QUOTA | Rule.HELD:
            return Limits(amount_nusd=refused.free + call.hold.amount_nusd)
        case Rule.TOO_BIG if refused.metric is Metric.TOKENS:
            return Limits(tokens=refused.limit)
        case Rule.TOO_BIG if refused.metric is Metric.USD:
            return Limits(amount_nusd=refused.limit)
        case _:
            return Limits()


def refusal_of(refused: Refused, call: Asking) -> Refusal:
    """A store's refusal in words."""
    scope = refused.scope
    details: dict[str, int | str | None] = {
        "scope": scope,
        "used": refused.used,
        "held": refused.held,
        "limit": refused.limit,
    }
    match refused.rule:
        case Rule.QUOTA | Rule.HELD:
            details = {f"{k}_nusd" if k != "scope" else k: v for k, v in details.items()}
            details["needed_nusd"] = call.hold.amount_nusd
            return _quota_refusal(refused, call, details)
        case Rule.CONCURRENCY:
            told: dict[str, Param] = {"scope": scope, "used": refused.used, "limit": refused.limit}
            one = Case.TOO_MANY_AT_ONCE
            return refusal(one, told, scope=scope, retry_after_s=1, details=details)
        case Rule.TOO_BIG | Rule.WINDOW:
            details |= {"metric": refused.metric, "window": refused.window}
            return _limit_refusal(refused, details)


def _limit_refusal(refused: Refused, details: dict[str, int | str | None]) -> Refusal:
    in_usd = refused.metric is Metric.USD
    told: dict[str, Param] = {"scope": refused.scope}
    if in_usd:
        told |= {"limit": _usd(refused.limit), "used": _usd(refused.used)}
    else:
        told |= {"limit": refused.limit, "used": refused.used, "metric": str(refused.metric)}
    if not refused.has_burst:
        told["window"] = str(refused.window)
    wait_s = None
    if refused.rule is Rule.WINDOW:
        wait_s = (refused.retry_ms or 0) / 1000
        told["seconds"] = math.ceil(wait_s)
    case = _LIMITS[refused.rule, in_usd, refused.has_burst]
    return refusal(case, told, scope=refused.scope, retry_after_s=wait_s, details=details)


_LIMITS: Final[Mapping[tuple[Rule, bool, bool], Case]] = {
    (Rule.WINDOW, False, False): Case.LIMIT_REACHED,
    (Rule.WINDOW, False, True): Case.BURST_REACHED,
    (Rule.WINDOW, True, False): Case.USD_LIMIT_REACHED,
    (Rule.WINDOW, True, True): Case.USD_BURST_REACHED,
    (Rule.TOO_BIG, False, False): Case.ABOVE_LIMIT,
    (Rule.TOO_BIG, False, True): Case.ABOVE_BURST,
    (Rule.TOO_BIG, True, False): Case.ABOVE_USD_LIMIT,
    (Rule.TOO_BIG, True, True): Case.ABOVE_USD_BURST,
}
"""By the rule, whether it counts dollars, and whether it has a burst."""


def _quota_refusal(refused: Refused, call: Asking, details: dict[str, int | str | None]) -> Refusal:
    told: dict[str, Param] = {
        "scope": refused.scope,
        "limit": _usd(refused.limit),
        "used": _usd(refused.used),
        "held": _usd(refused.held),
        "needed": _usd(call.hold.amount_nusd),
    }
    details["largest_max_output_tokens"] = fits = _largest_output(refused, call)
    if fits:
        told["fits"] = fits
    if refused.rule is Rule.HELD:
        case = Case.QUOTA_RESERVED_IN_PART if fits else Case.QUOTA_RESERVED
        return refusal(case, told, scope=refused.scope, retry_after_s=1, details=details)
    if fits:
        case = Case.QUOTA_FOR_LESS
    else:
        case = Case.QUOTA_USED_UP if refused.used >= refused.limit else Case.QUOTA_TOO_SMALL
    return refusal(case, told, scope=refused.scope, details=details)


def _largest_output(refused: Refused, call: Asking) -> int:
    terms = call.terms
    room = room_of(refused, call)
    if not terms.strict or room.amount_nusd is None or room.amount_nusd < 0:
        return 0
    return largest_output(call.hold, call.ask, terms.model, terms.ratio_ppm, room)


def _usd(nusd: int) -> str:
    whole, rest = divmod(nusd, NUSD_PER_USD)
    decimals = f"{rest:09d}".rstrip("0")
    return f"${whole}.{decimals:0<2}"
