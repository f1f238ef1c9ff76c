"""The query strings of lists of users and of the audit: as the document tells them, and how they are read (pure)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final, Literal

from multidict import MultiMapping
from pydantic import Field

from admin_api.mistakes import Mistakes
from admin_api.paging import Page, before_in, page_in, size_in
from admin_api.parameters import choice, instant, require_known, text
from admin_api.queries import Instant, Number, PageQuery, Query, Text
from gateway.domain.rejection import mistake
from gateway.domain.roles import ROLES
from gateway.domain.rules import Rule
from gateway.store.audit_rows import AuditQuery
from gateway.store.user_rows import UserQuery

_MAX_ID: Final = 10**15 - 1


class UserListQuery(PageQuery):
    """Which users, and which page of them, the newest first."""

    keyword: Text = ""
    """What the username, the display name or the e-mail address has to contain."""
    role: Literal["owner", "admin", "operator", "viewer", "user", ""] = ""
    """The role."""
    status: Literal[1, 2, ""] = ""
    """1 enabled, 2 disabled."""
    group: Text = ""
    """The group."""


class AuditListQuery(Query):
    """Which rows of the audit."""

    object_kind: Text = ""
    """What was changed: `token`, `user`, `access_token`, …"""
    object_id: Text = ""
    """Its id; with `object_kind`."""
    actor: Text = ""
    """Who did it: `user:1`, `cli`, `system`, `nobody`; or the number of a user."""
    action: Text = ""
    """What was done: `token.update`, `user.login`, …"""
    start: Instant = ""
    """Unix seconds; within."""
    end: Instant = ""
    """Unix seconds; not within."""
    cursor: Annotated[int, Field(ge=1, le=_MAX_ID)] | Literal[""] = ""
    """The last answer's `next_cursor`."""
    limit: Number = 10
    """Rows in an answer, brought into 1 to 100."""


def user_query_of(parameters: MultiMapping[str]) -> tuple[Page, UserQuery]:
    """The page asked for, and the query. Raises `Rejected` naming the parameter."""
    reading = (found := Mistakes()).reading
    reading(require_known, parameters, UserListQuery.model_fields)
    page = reading(page_in, parameters)
    query = UserQuery(
        keyword=reading(text, parameters, "keyword"),
        role=reading(choice, parameters, "role", ("", *ROLES), ""),
        group=reading(text, parameters, "group"),
        status=int(reading(choice, parameters, "status", ("", "1", "2"), "") or 0),
    )
    found.raise_any()
    return page, replace(query, limit=page.size, offset=page.offset)


def audit_query_of(parameters: MultiMapping[str]) -> AuditQuery:
    """The rows asked for. Raises `Rejected` naming the parameter."""
    reading = (found := Mistakes()).reading
    reading(require_known, parameters, AuditListQuery.model_fields)
    limit = reading(size_in, parameters, "limit")
    query = AuditQuery(
        object_kind=reading(text, parameters, "object_kind"),
        object_id=reading(text, parameters, "object_id"),
        actor=reading(_actor, parameters),
        action=reading(text, parameters, "action"),
        start=reading(instant, parameters, "start"),
        end=reading(instant, parameters, "end"),
        before=reading(before_in, parameters),
    )
    if query.object_id and not query.object_kind:
        found.add(mistake("object_id", Rule.ID_OF_WHAT))
    found.raise_any()
    return replace(query, limit=limit)


def _actor(parameters: Mapping[str, str]) -> str:
    actor = text(parameters, "actor")
    return f"user:{actor}" if actor.isascii() and actor.isdigit() else actor
