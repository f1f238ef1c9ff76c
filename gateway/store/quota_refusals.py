"""What follows from the quota store's refusals: whether less would pass, or later, and what the caller is told.

Calls and `explain` share it. Pure.
"""

import math
from typing import Protocol

from gateway.domain.ask import Ask
from gateway.domain.catalog import NUSD_PER_USD
from gateway.domain.errors import Ground, Reason, Refusal
from gateway.domain.limits import Metric
from gateway.domain.pricing import Pricing
from gateway.domain.quota import Hold, Limits, largest_output, shrunk
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
    return Refusal(
        Reason.QUOTA_UNAVAILABLE,
        "This key has a cap, and the quota store cannot be asked at the moment. Try again shortly.",
        retry_after_s=wait_s,
        cause=f"{reply.obstacle}: {reply.cause}",
        ground=Ground.STORE,
    )


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
    details: dict[str, int | str | None] = {
        "scope": refused.scope,
        "used": refused.used,
        "held": refused.held,
        "limit": refused.limit,
    }
    scope = refused.scope
    match refused.rule:
        case Rule.QUOTA | Rule.HELD:
            details = {f"{k}_nusd" if k != "scope" else k: v for k, v in details.items()}
            details["needed_nusd"] = call.hold.amount_nusd
            return _quota_refusal(refused, call, details)
        case Rule.CONCURRENCY:
            return Refusal(
                Reason.CONCURRENCY_EXCEEDED,
                f"The {scope} has {refused.used} calls running, and {refused.limit} are allowed at a time. "
                "Try again when one has ended.",
                scope=scope,
                retry_after_s=1,
                details=details,
                ground=Ground.CONCURRENCY,
            )
        case Rule.TOO_BIG:
            return Refusal(
                Reason.INVALID_REQUEST,
                f"This call alone may need {_amount(refused.metric, refused.used)}, and the {scope} is limited to "
                f"{_amount(refused.metric, refused.limit)} {refused.span}: it can never pass. "
                "Ask for less output.",
                scope=scope,
                details={**details, "metric": refused.metric, "window": refused.window},
                ground=Ground.LIMITS,
            )
        case Rule.WINDOW:
            wait_s = (refused.retry_ms or 0) / 1000
            return Refusal(
                Reason.RATE_LIMIT_EXCEEDED,
                f"The {scope} is limited to {_amount(refused.metric, refused.limit)} {refused.span}, and "
                f"{_amount(refused.metric, refused.used)} are used. Try again in {math.ceil(wait_s)} s.",
                scope=scope,
                retry_after_s=wait_s,
                details={**details, "metric": refused.metric, "window": refused.window},
                ground=Ground.LIMITS,
            )


def _quota_refusal(refused: Refused, call: Asking, details: dict[str, int | str | None]) -> Refusal:
    needed = _usd(call.hold.amount_nusd)
    state = (
        f"The quota of this {refused.scope} is {_usd(refused.limit)}: {_usd(refused.used)} used, "
        f"{_usd(refused.held)} held by running calls. This call may cost up to {needed}."
    )
    fits = _largest_output(refused, call)
    details["largest_max_output_tokens"] = fits
    less = f" At most {fits} tokens of output fit now." if fits else ""
    if refused.rule is Rule.HELD:
        return Refusal(
            Reason.QUOTA_RESERVED,
            f"{state} Try again when a running call has ended, or ask for less output.{less}",
            scope=refused.scope,
            retry_after_s=1,
            details=details,
            ground=Ground.QUOTA,
        )
    remedy = "Ask for less output, or have the quota raised."
    if refused.used >= refused.limit:
        remedy = "Have the quota raised."
    return Refusal(
        Reason.INSUFFICIENT_QUOTA,
        f"{state} {remedy}{less}",
        scope=refused.scope,
        details=details,
        ground=Ground.QUOTA,
    )


def _largest_output(refused: Refused, call: Asking) -> int:
    terms = call.terms
    room = room_of(refused, call)
    if not terms.strict or room.amount_nusd is None or room.amount_nusd < 0:
        return 0
    return largest_output(call.hold, call.ask, terms.model, terms.ratio_ppm, room)


def _amount(metric: Metric | None, value: int) -> str:
    return _usd(value) if metric is Metric.USD else f"{value} {metric}"


def _usd(nusd: int) -> str:
    whole, rest = divmod(nusd, NUSD_PER_USD)
    decimals = f"{rest:09d}".rstrip("0")
    return f"${whole}.{decimals:0<2}"
