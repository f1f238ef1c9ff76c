"""Accounts, members, subscriptions, entries and codes as they are shown (pure)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from admin_api.tokens.objects import limit_object, usd
from gateway.domain.token import SCOPE_LETTERS
from gateway.domain.wallets import (
    AccountRow,
    CodeBatch,
    CodeRow,
    Entry,
    MemberRow,
    SubscriptionRow,
)
from gateway.store.books import Book, StoredBook
from gateway.store.redeem import MadeBatch
from gateway.store.token_money import ScopeMoney
from gateway.store.top_ups import Granted, Of

Books = Mapping[str, StoredBook] | None
"""Of the quota store, by scope; None where it cannot be asked."""
_NEVER: Final = -1


class _Money(Protocol):
    @property
    def granted(self) -> int | None: ...
    @property
    def used(self) -> int: ...


def account_object(row: AccountRow, books: Books) -> dict[str, Any]:
    """An account."""
    return {
        "id": row.id,
        "name": row.name,
        "status": row.status,
        "role": row.role,
        "owner": row.owner,
        "member_total": row.members,
        "created_time": int(row.created_at.timestamp()),
        **_wallet(row, f"a{row.id}", books),
        "version": row.version,
    }


def member_object(row: MemberRow, books: Books) -> dict[str, Any]:
    """A member."""
    return {
        "account_id": row.account_id,
        "user_id": row.user_id,
        "username": row.username,
        "display_name": row.display_name or row.username,
        "role": row.role,
        **_wallet(row, f"m{row.account_id}.{row.user_id}", books),
        "limits": [limit_object(each) for each in row.limits],
        "max_concurrency": row.max_concurrency,
        "version": row.version,
    }


def subscription_object(row: SubscriptionRow, books: Books, now: datetime) -> dict[str, Any]:
    """A subscription, at `now`."""
    begun = row.starts_at is None or row.starts_at <= now
    ended = row.ends_at is not None and row.ends_at <= now
    return {
        "account_id": row.account_id,
        "group": row.group,
        "implied": row.implied,
        "active": begun and not ended and not row.implied,
        "starts_time": None if row.starts_at is None else int(row.starts_at.timestamp()),
        "ends_time": None if row.ends_at is None else int(row.ends_at.timestamp()),
        **_wallet(row, f"g{row.account_id}.{row.group_id}", books),
        "limits": [limit_object(each) for each in row.limits],
        "max_concurrency": row.max_concurrency,
        "version": row.version,
    }


def money_of(row: AccountRow, books: Books) -> ScopeMoney:
    """An account's money as both stores have it."""
    book = None if books is None else books.get(f"a{row.id}")
    pending = held = None if books is None else 0
    if book is not None:
        pending, held = book.pending, book.reserved
    return ScopeMoney(row.granted, row.used, pending, held)


def entry_object(entry: Entry, of: Of) -> dict[str, Any]:
    """A change of the grant of what `of` names."""
    return {
        "id": entry.id,
        "time": int(entry.at.timestamp()),
        "account_id": entry.account_id,
        "scope": SCOPE_LETTERS[entry.scope],
        "user_id": of.user_id,
        "group": of.group,
        "token_id": of.token_id,
        "amount_usd": usd(entry.delta),
        "amount_nusd": entry.delta,
        "kind": entry.kind,
        "actor": entry.actor,
        "actor_name": entry.actor_name,
        "reference": entry.reference,
        "note": entry.note,
    }


def granted_object(granted: Granted, of: Of) -> dict[str, Any]:
    """What was booked, and the money as it is now."""
    return {"entry": entry_object(granted.entry, of), **_sums(granted.book)}


def codes_object(made: MadeBatch, batch: CodeBatch) -> dict[str, Any]:
    """New codes, whole."""
    return {
        "batch_id": made.id,
        "amount_usd": usd(batch.amount),
        "amount_nusd": batch.amount,
        "expired_time": _expiry(batch.expires_at),
        "codes": made.codes,
    }


def code_object(row: CodeRow) -> dict[str, Any]:
    """A code in a list."""
    return {
        "id": row.id,
        "batch_id": row.batch_id,
        "code": row.display,
        "amount_usd": usd(row.amount),
        "state": row.state,
        "note": row.note,
        "created_time": int(row.created_at.timestamp()),
        "expired_time": _expiry(row.expires_at),
        "used_time": 0 if row.used_at is None else int(row.used_at.timestamp()),
        "used_by": row.used_by,
        "used_by_name": row.used_by_name,
        "account_id": row.account_id,
        "actor": row.actor,
    }


def _wallet(row: _Money, scope_id: str, books: Books) -> dict[str, Any]:
    held = None
    if books is not None:
        held = usd(books[scope_id].reserved if scope_id in books else 0)
    return {**_sums(row), "held_usd": held}


def _sums(row: _Money | Book) -> dict[str, Any]:
    return {
        "quota_usd": None if row.granted is None else usd(row.granted),
        "used_usd": usd(row.used),
        "remain_usd": None if row.granted is None else usd(row.granted - row.used),
    }


def _expiry(at: datetime | None) -> int:
    return _NEVER if at is None else int(at.timestamp())
