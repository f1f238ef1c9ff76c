"""From bodies of the wallets to changes: the rules across fields (pure)."""

from datetime import UTC, datetime
from decimal import Decimal

from admin_api import fields
from admin_api.wallets.bodies import (
    AccountUpdate,
    BoundFields,
    CodesBody,
    GrantFields,
    MemberBody,
    MemberUpdate,
    OfFields,
    SubscriptionBody,
)
from gateway.domain.catalog import nusd
from gateway.domain.edit import UNCHANGED, Unchanged
from gateway.domain.limits import MAX_EXACT, Limit
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.domain.units import Units
from gateway.domain.wallets import (
    AccountChange,
    CodeBatch,
    MemberChange,
    Regrant,
    SubscriptionChange,
)
from gateway.store.top_ups import Of

_MILLISECONDS_FROM = 10**11  # as seconds that is the year 5138


def account_change_of(body: AccountUpdate) -> AccountChange:
    """What the body makes of an account. Raises `Rejected`."""
    return AccountChange(
        name=UNCHANGED if body.name is None else fields.parse_name(body.name),
        status=UNCHANGED if body.status is None else body.status,
        regrant=regrant_of(body),
    )


def member_change_of(body: MemberBody | MemberUpdate) -> MemberChange:
    """What the body makes of a member. Raises `Rejected`."""
    return MemberChange(
        role=UNCHANGED if body.role is None else body.role,
        limits=_limits(body),
        max_concurrency=_at_once(body),
        regrant=regrant_of(body),
    )


def subscription_change_of(body: SubscriptionBody) -> SubscriptionChange:
    """What the body makes of a subscription. Raises `Rejected`."""
    return SubscriptionChange(
        starts_at=_instant(body, "starts_time", body.starts_time),
        ends_at=_instant(body, "ends_time", body.ends_time),
        limits=_limits(body),
        max_concurrency=_at_once(body),
        regrant=regrant_of(body),
    )


def regrant_of(body: GrantFields) -> Regrant | None:
    """What the body wants of a grant. Raises `Rejected` where it wants several things."""
    wishes = []
    if "quota_usd" in body.model_fields_set:
        amount = None if body.quota_usd is None else nusd(body.quota_usd)
        wishes.append(Regrant("quota_usd", "to", amount))
    if body.add_quota_usd is not None:
        amount = fields.nusd_of("add_quota_usd", body.add_quota_usd)
        wishes.append(Regrant("add_quota_usd", "add", amount))
    if body.remain_usd is not None:
        wishes.append(Regrant("remain_usd", "remain", nusd(body.remain_usd)))
    if len(wishes) > 1:
        raise invalid(wishes[0].field, Rule.GRANTS_DISAGREE, other=wishes[1].field)
    return wishes[0] if wishes else None


def gift_of(body: OfFields, units: Units, *, positive: bool = False) -> Regrant:
    """The amount that a body gives. Raises `Rejected`."""
    field, amount = _amount(body.amount_usd, body.quota, units)
    if amount == 0 or (positive and amount < 0):
        raise invalid(field, Rule.NO_PAYMENT if positive else Rule.NO_AMOUNT)
    return Regrant(field, "add", amount)


def of_body(body: OfFields, account_id: int) -> Of:
    """What the money is for. Raises `Rejected`."""
    if body.user_id is not None and body.group is not None:
        raise invalid("user_id", Rule.GRANTS_DISAGREE, other="group")
    return Of(account_id, user_id=body.user_id, group=body.group)


def batch_of(body: CodesBody, units: Units, now: datetime) -> CodeBatch:
    """The codes to be made. Raises `Rejected`."""
    _, amount = _amount(body.amount_usd, body.quota, units)
    at = None if body.expired_time is None else fields.parse_expired_time(body.expired_time, now)
    if body.expires_in_days is not None:
        if body.expired_time is not None:
            raise invalid("expires_in_days", Rule.EXPIRIES_DISAGREE)
        at = fields.parse_expires_in_days(body.expires_in_days, now)
    return CodeBatch(
        count=body.count, amount=amount, note=body.note, prefix=body.prefix, expires_at=at
    )


def _amount(usd: Decimal | None, quota: int | None, units: Units) -> tuple[str, int]:
    """The field that names an amount, and its nano-dollars."""
    if (usd is None) == (quota is None):
        raise invalid("amount_usd", Rule.ONE_OF_TWO, other="quota")
    if usd is not None:
        return "amount_usd", fields.nusd_of("amount_usd", usd)
    amount = (quota or 0) * units.nusd
    if abs(amount) >= MAX_EXACT:
        raise invalid("quota", Rule.BEYOND_BOOKS)
    return "quota", amount


def _limits(body: BoundFields) -> tuple[Limit, ...] | Unchanged:
    if "limits" not in body.model_fields_set:
        return UNCHANGED
    return fields.parse_limits(body.limits) or ()


def _at_once(body: BoundFields) -> int | Unchanged | None:
    return body.max_concurrency if "max_concurrency" in body.model_fields_set else UNCHANGED


def _instant(body: SubscriptionBody, name: str, seconds: int | None) -> datetime | Unchanged | None:
    if name not in body.model_fields_set:
        return UNCHANGED
    if seconds is None:
        return None
    if seconds >= _MILLISECONDS_FROM:
        raise invalid(name, Rule.MILLISECONDS, seconds=seconds // 1000)
    return datetime.fromtimestamp(seconds, UTC)
