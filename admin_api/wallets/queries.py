"""Query parameters of lists of accounts, members, codes and entries, for the document; and how they are read."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from admin_api.paging import Page, size_in
from admin_api.parameters import choice, integer, text
from admin_api.queries import Number, PageQuery, Query, Text
from admin_api.tokens.queries import EVERYBODY
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.store.accounts import MAX_ID, AccountQuery
from gateway.store.redeem import CodeQuery
from gateway.store.top_ups import Of

_STATES: Final = ("", "unused", "used", "expired", "revoked")


class AccountsQuery(PageQuery):
    """Which accounts, and which page of them."""

    keyword: Text = ""
    """What the name has to contain."""
    status: Literal[1, 2, ""] = ""
    """1 enabled, 2 disabled."""
    user_id: Number | Literal["all"] = ""
    """Whose accounts: your own unless it is given. Others', and `all`, are for administrators."""


class CodesQuery(PageQuery):
    """Which codes, and which page of them."""

    batch_id: Number = ""
    """Those of a batch."""
    state: Literal["", "unused", "used", "expired", "revoked"] = ""
    """What has become of them."""


class HistoryQuery(Query):
    """Whose history, and which part of it: the account's own, unless one of the three says otherwise."""

    user_id: Number = ""
    """A member's."""
    group: Text = ""
    """A subscription's."""
    token_id: Number = ""
    """A token's."""
    cursor: Annotated[str, Field(pattern=r"^[0-9]{0,15}$")] = ""
    """The last answer's `next_cursor`."""
    limit: Number = 10
    """Entries in an answer, brought into 1 to 100."""


def accounts_of(parameters: Mapping[str, str], page: Page, caller_id: int) -> AccountQuery:
    """The query of a list of accounts; `member_id` None: of everybody's. Raises `Rejected`."""
    status = integer(parameters, "status", 0)
    if parameters.get("status") and status not in {1, 2}:
        raise invalid("status", Rule.NO_ACCOUNT_STATUS, given=status)
    everybody = parameters.get("user_id", "").strip().lower() == EVERYBODY
    return AccountQuery(
        keyword=text(parameters, "keyword"),
        status=status,
        member_id=None if everybody else integer(parameters, "user_id", caller_id),
        limit=page.size,
        offset=page.offset,
    )


def codes_of(parameters: Mapping[str, str], page: Page) -> CodeQuery:
    """The query of a list of codes. Raises `Rejected`."""
    return CodeQuery(
        batch_id=integer(parameters, "batch_id", 0) or None,
        state=choice(parameters, "state", _STATES, ""),
        limit=page.size,
        offset=page.offset,
    )


def history_of(parameters: Mapping[str, str], account_id: int) -> tuple[Of, int, int]:
    """Of which scope the history is wanted, below which id, and how much of it. Raises `Rejected`."""
    of = Of(
        account_id,
        user_id=integer(parameters, "user_id", 0) or None,
        group=text(parameters, "group") or None,
        token_id=integer(parameters, "token_id", 0) or None,
    )
    if sum(each is not None for each in (of.user_id, of.group, of.token_id)) > 1:
        raise invalid("user_id", Rule.GRANTS_DISAGREE, other="group or token_id")
    before = integer(parameters, "cursor", 0) or MAX_ID
    return of, before, size_in(parameters, "limit")
