"""What is in `data` of answers about usage and calls: types as in `admin_api/answers.py`."""

from typing import Any

from pydantic import create_model

from admin_api.answers import Answer
from gateway.store.charges import COUNTS

_COUNTS: dict[str, Any] = dict.fromkeys(COUNTS, (int, ...))


class Amount(Answer):
    """Money in three forms."""

    quota: int
    """Quota units, rounded up."""
    usd: float
    """Dollars, exact."""
    amount_nusd: int
    """Nano-dollars."""


Counts = create_model(
    "Counts", __base__=Answer, __doc__="Tokens, as the ledger has them.", **_COUNTS
)


class Sums(Counts, Amount):
    """Requests, tokens and money of several calls together."""

    requests: int
    errors: int
    """Those of them whose callers were answered 400 or more, or had left."""
    duration_ms: int | None
    """How long they took, on average; null where there are none."""
    ttfb_ms: int | None
    """How long until the upstream's first byte, on average of those that got one."""


class Pace(Sums):
    """The same, and what there was in the last 60 seconds."""

    rpm: int
    """Requests."""
    tpm: int
    """Tokens."""


class Point(Sums):
    """What was used in an hour, a day, or all the time asked for."""

    start: int
    """Unix seconds."""


class Series(Answer):
    """The points of one key; of all keys that have no series of their own, where it is null."""

    key: str | int | None
    name: str | None
    """What the token or user of the key is called; null where the key is neither."""
    total: Sums
    points: list[Point]


class Usage(Answer):
    """Series, and their total."""

    interval: str
    time_zone: str
    start: int
    end: int
    by: str | None
    total: Sums
    series: list[Series]


class TokenUsage(Usage):
    """Series of one token."""

    token_id: int


class Attempt(Answer):
    """A try at an upstream."""

    upstream: str
    status: int | None
    """Null where it gave no answer."""
    at: float
    """Unix seconds at which it was over."""


class Call(Counts, Amount):
    """A call of the ledger, with the correction that it has had."""

    request_id: str
    started_at: float
    """Unix seconds."""
    user_id: int
    username: str | None
    account_id: int
    token_id: int
    token_name: str | None
    group: str | None
    model: str | None
    upstream: str | None
    dialect: str
    route: str
    status: int
    ttfb_ms: int | None
    duration_ms: int
    address: str | None
    correction_nusd: int
    """The part of the amount that came later."""
    unbilled_nusd: int
    """What it cost above what was held for it."""
    estimated: bool
    anomaly: str | None
    price_version: int
    end_user: str | None
    """Whom the caller called for."""
    tags: dict[str, str] | None
    """What the caller told of the call."""
    from_console: bool
    """Whether it was made in the console's playground."""
    attempts: list[Attempt]
    """Each try at an upstream, in their order, where the first was not enough; else none."""


class OwnCall(Call):
    """The same, with the names of New-API."""

    created_at: int
    type: int
    model_name: str | None
    prompt_tokens: int
    completion_tokens: int
    use_time: int
    ip: str


class CallPart(Answer):
    """A part of the list; with `p`, a page of it, that has `page`, `page_size`, `total` and `total_is_more`, too."""

    items: list[Call]
    next_cursor: str | None
    """For what comes behind; null where there is no more."""
    page: int | None = None
    page_size: int | None = None
    total: int | None = None
    """At most 10,000."""
    total_is_more: bool | None = None
    """Whether there are more than `total`."""


class OwnCallPart(CallPart):
    """The same, with the names of New-API in its items."""

    items: list[OwnCall]  # type: ignore[assignment]
