"""An explanation as it is shown (pure)."""

from collections.abc import Iterator, Sequence
from typing import Any

from admin_api.tokens.objects import quota_object, usd
from gateway.domain.catalog import PPM, Price
from gateway.domain.edit import TokenRow
from gateway.domain.errors import Refusal
from gateway.domain.limits import Metric
from gateway.domain.token import SCOPES
from gateway.domain.units import Units
from gateway.explain.looking import Held
from gateway.explain.question import Question
from gateway.explain.remedies import inherits, remedy_of, rule_of
from gateway.explain.walk import Check, Explanation, Result
from gateway.explain.ways import Way
from gateway.store.token_money import ScopeMoney
from gateway.store.windows import Kind, Window, read_window_id

_PRICES = (
    ("input_usd_per_mtok", "input_nusd"),
    ("output_usd_per_mtok", "output_nusd"),
    ("cached_input_usd_per_mtok", "cached_input_nusd"),
    ("cache_write_usd_per_mtok", "cache_write_nusd"),
    ("request_usd", "request_nusd"),
)


def explanation_object(
    found: Explanation, question: Question, row: TokenRow, units: Units
) -> dict[str, Any]:
    """Everything; what the checks did not get to is null or empty."""
    checks = [_check(each, row) for each in found.checks]
    if found.shadows:
        (reserved,) = (each for each in checks if each["check"] == "reserve")
        reserved |= _shadows(found.shadows)
    denied = next((each for each in checks if each["result"] == Result.DENY), None)
    return {
        "decision": {"result": Result.ALLOW} if denied is None else denied,
        "checks": checks,
        "call": _call(found, question),
        "hold": None if found.held is None else _hold(found.held, units),
        "price": _price(found),
        "candidates": [_upstream(each) for each in found.ways],
        "quota": _quota(found),
        "limits": []
        if found.looked is None
        else [_limit(*each, row) for each in found.looked.windows],
        "concurrency": list(_concurrency(found, row)),
    }


def _check(check: Check, row: TokenRow) -> dict[str, Any]:
    shown: dict[str, Any] = {"check": check.name, "result": check.result}
    if (why := check.why) is not None:
        shown |= {"message": str(why), "case": why.case, "params": why.params}
    if (refusal := check.refusal) is None:
        return shown
    rule = rule_of(refusal, row)
    shown |= {
        **_told(refusal),
        "rule": rule._asdict(),
        "remedy": remedy_of(refusal, row),
    }
    if rule.of == "group":
        shown["rule"]["group"] = row.effective_group
    if refusal.param is not None:
        shown["param"] = refusal.param
    return shown | _figures(refusal)


def _told(refusal: Refusal) -> dict[str, Any]:
    """What its caller would be told, and of what the sentence is made."""
    return {
        "reason": refusal.reason,
        "message": refusal.message,
        "case": refusal.case,
        "params": dict(refusal.params),
    }


def _figures(refusal: Refusal) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if refusal.scope is not None:
        shown["scope"] = refusal.scope
    if refusal.retry_after_s is not None:
        shown["retry_after_s"] = refusal.retry_after_s
    if refusal.details:
        shown["details"] = refusal.details
    return shown


def _shadows(refusals: Sequence[Refusal]) -> dict[str, Any]:
    messages = " ".join(refusal.message for refusal in refusals)
    return {
        "message": f"Passes; but limits in the shadow would have refused it: {messages}",
        "shadow": [{**_told(each), **_figures(each)} for each in refusals],
    }


def _upstream(way: Way) -> dict[str, Any]:
    """One that could serve the call, and what it could not be told."""
    candidate, refusal = way.candidate, way.refusal
    return {
        "upstream": candidate.upstream.name,
        "model": candidate.model_name,
        "priority": candidate.upstream.priority,
        "weight": candidate.upstream.weight,
        "dialect": candidate.upstream.dialect,
        "translated": way.is_translated,
        "left_out": way.left_out,
        "refused": None if refusal is None else {**_told(refusal), "param": refusal.param},
    }


def _call(found: Explanation, question: Question) -> dict[str, Any]:
    route, ask = found.route, found.ask
    return {
        "method": question.method,
        "path": question.path,
        "ip": None if question.address is None else question.address.text,
        "route": None if route is None else route.name,
        "dialect": None if route is None else route.dialect,
        "model": None if ask is None else ask.model,
        "stream": None if ask is None else ask.stream,
        "max_tokens": None if ask is None else ask.max_output_tokens,
    }


def _hold(held: Held, units: Units) -> dict[str, Any]:
    hold = held.hold
    return {
        "reserve": "strict" if held.terms.strict else "estimate",
        "usd": usd(hold.amount_nusd),
        "quota": units.used(hold.amount_nusd),
        "amount_nusd": hold.amount_nusd,
        "tokens": hold.tokens,
        "input_tokens": hold.input_tokens,
        "output_tokens": hold.output_tokens,
        "most_output_tokens": hold.most_output_tokens,
        "written_max_tokens": hold.write_max_output,
    }


def _price(found: Explanation) -> dict[str, Any] | None:
    pricing = found.pricing
    if pricing is None or pricing.model.price is None:
        return None
    price: Price = pricing.model.price
    return {
        **{shown: usd(getattr(price, name)) for shown, name in _PRICES},
        "ratio": usd(pricing.ratio_ppm * (1_000_000_000 // PPM)),
        "version": price.version,
        "tiers": [
            {
                "above_input_tokens": tier.above_input_tokens,
                **{shown: usd(getattr(tier.price, name)) for shown, name in _PRICES},
            }
            for tier in price.tiers
        ],
    }


def _quota(found: Explanation) -> dict[str, dict[str, int | None]] | None:
    if found.looked is None or not found.looked.books:
        return None
    return quota_object(
        {
            scope: ScopeMoney(book.granted, book.used, book.pending, book.reserved)
            for scope, book in zip(SCOPES, found.looked.books, strict=True)
        }
    )


def _limit(window: Window, used: int, row: TokenRow) -> dict[str, Any]:
    units = usd if window.metric is Metric.USD else int
    burst = window.second if window.kind is Kind.BURST else None
    return {
        "scope": SCOPES[window.scope],
        "inherited": window.scope == 0 and inherits(row, "limits"),
        "metric": window.metric,
        "window": read_window_id(window.id).window,
        "mode": "calendar" if window.kind is Kind.CALENDAR else "sliding",
        "models": None if window.models is None else sorted(window.models),
        "shadow": window.shadow,
        "limit": units(window.limit),
        "burst": None if burst is None else units(burst),
        "used": units(used),
        "available": units(max(0, (window.limit if burst is None else burst) - used)),
    }


def _concurrency(found: Explanation, row: TokenRow) -> Iterator[dict[str, Any]]:
    books = () if found.looked is None else found.looked.books
    for number, book in enumerate(books):
        if most := found.token.concurrency[number]:
            yield {
                "scope": SCOPES[number],
                "inherited": number == 0 and inherits(row, "max_concurrency"),
                "limit": most,
                "live": book.live,
            }
