"""What is in `data` of the answers about warnings and webhooks."""

from typing import Any, Literal

from admin_api.answers import Answer, Seconds


class WebhookObject(Answer):
    """A webhook."""

    id: int
    url: str
    created_time: int
    """Unix seconds."""


class CreatedWebhook(WebhookObject):
    """A webhook that was made now."""

    secret: str
    """What calls are signed with; not shown again."""


class About(Answer):
    """What a warning is of; null is what does not belong to it, or a name that nobody knows any more."""

    scope: Literal["token", "member", "subscription", "account"] | None
    """Null of an upstream."""
    token_id: int | None
    token_name: str | None
    user_id: int | None
    """The token's maker, or the member."""
    username: str | None
    account_id: int | None
    account_name: str | None
    group_id: int | None
    group: str | None
    upstream: str | None


class Delivery(Answer):
    """A message that told of a warning."""

    channel: Literal["mail", "webhook"]
    target: str
    """The address; of a webhook its scheme and host, since the rest may let somebody in."""
    user_id: int | None
    """To whom; null is the operator."""
    username: str | None
    state: Literal["sent", "waiting", "failed"]
    """Taken by the other side, to be tried (again), or given up."""
    attempts: int
    error: str | None
    """Of the last attempt, where that failed."""
    time: Seconds
    """When it was sent or given up, or is due."""


class WarningObject(About):
    """A warning that was told."""

    id: int
    time: Seconds
    kind: Literal["quota", "limit", "expiry", "upstream"]
    data: dict[str, Any]
    """As the event had it."""
    deliveries: list[Delivery]
    """In your own list those to you alone; none where there was nowhere to send it."""


class WarningPart(Answer):
    """A part of the list."""

    items: list[WarningObject]
    next_cursor: int | None
    """For what comes behind; null where there is no more."""


class StandingObject(About):
    """Something that people are warned of, as it is now."""

    kind: Literal["quota", "expiry", "upstream"]
    told_time: int | None
    """Unix seconds at which it was warned of last; null where it was not yet."""
    percent: int | None
    """Of a quota: how much of it is used, rounded down."""
    used_usd: float | None
    granted_usd: float | None
    expires_time: int | None
    """Of an expiry: Unix seconds."""
    out_since: int | None
    """Of an upstream: Unix seconds since when some gateway cannot use it."""


class Counts(Answer):
    """How many there are of each kind."""

    quota: int
    expiry: int
    upstream: int


class StandingList(Answer):
    """What stands now; 200 of each kind at most."""

    items: list[StandingObject]
    counts: Counts


class WebhookTest(Answer):
    """What became of a test."""

    works: bool
    """Whether it was taken: an answer of 200 to 299."""
    status: int | None
    """Null where there was no answer."""
    error: str | None
    took_ms: int


class Operator(Answer):
    """Where the operator is told of everything; set in the configuration."""

    mail: list[str]
    webhook: str | None
    """Scheme and host; null where there is none."""
    sends_mail: bool
    """Whether e-mail can be sent at all."""
