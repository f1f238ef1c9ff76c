"""What the quota store's refusals say to a caller: which scope, how much, when to come back."""

import math

from gateway.domain.errors import Reason, Refusal
from gateway.domain.limits import Metric
from gateway.domain.quota import Limits, largest_output
from gateway.relay.call import Call
from gateway.store.replies import Refused, Rule

_NUSD_PER_USD = 1_000_000_000


def room_of(refused: Refused, call: Call) -> Limits:
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


def refusal_of(refused: Refused, call: Call) -> Refusal:
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
            )
        case Rule.TOO_BIG:
            return Refusal(
                Reason.INVALID_REQUEST,
                f"This call alone may need {_amount(refused.metric, refused.used)}, and the {scope} is limited to "
                f"{_amount(refused.metric, refused.limit)} {refused.span}: it can never pass. "
                "Ask for less output.",
                scope=scope,
                details={**details, "metric": refused.metric, "window": refused.window},
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
            )


def _quota_refusal(refused: Refused, call: Call, details: dict[str, int | str | None]) -> Refusal:
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
        )
    remedy = "Ask for less output, or have the quota raised."
    if refused.used >= refused.limit:
        remedy = "Have the quota raised."
    return Refusal(
        Reason.INSUFFICIENT_QUOTA, f"{state} {remedy}{less}", scope=refused.scope, details=details
    )


def _largest_output(refused: Refused, call: Call) -> int:
    terms = call.terms
    room = room_of(refused, call)
    if not terms.strict or room.amount_nusd is None or room.amount_nusd < 0:
        return 0
    return largest_output(call.hold, call.ask, terms.model, terms.ratio_ppm, room)


def _amount(metric: Metric | None, value: int) -> str:
    return _usd(value) if metric is Metric.USD else f"{value} {metric}"


def _usd(nusd: int) -> str:
    whole, rest = divmod(nusd, _NUSD_PER_USD)
    decimals = f"{rest:09d}".rstrip("0")
    return f"${whole}.{decimals:0<2}"
