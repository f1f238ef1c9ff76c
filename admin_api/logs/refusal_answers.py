"""What is in `data` of the answers about refusals: types as in `admin_api/answers.py`."""

from typing import Literal

from admin_api.answers import Answer


class RefusalCount(Answer):
    """How often calls of a token were refused for one reason within an hour."""

    hour: int
    """Unix seconds at which it began; hours of UTC."""
    token_id: int
    """0: callers without a token."""
    token_name: str | None
    user_id: int | None
    """Whose the token is."""
    username: str | None
    reason: str
    """The `code` that callers saw; `shadow` where a limit in the shadow would have refused."""
    kind: Literal["refusal", "failure", "shadow"]
    """Refused by Tollhouse; let pass and failed at an upstream (the log has it, too); or not refused at all."""
    calls: int


class RefusalPart(Answer):
    """A part of the list."""

    items: list[RefusalCount]
    next_cursor: str | None
    """For what comes behind; null where there is no more."""


class RefusalSums(Answer):
    """How many calls."""

    refusals: int
    """Refused by Tollhouse: they reached no upstream, and the log does not have them."""
    failures: int
    """Let pass and failed at an upstream: the log has them, too."""
    shadow: int
    """Let pass, though a limit in the shadow would have refused them."""


class RefusalPoint(RefusalSums):
    """An hour, a day, or all the time asked for."""

    start: int
    """Unix seconds."""


class RefusalSeries(Answer):
    """The points of one key; of all keys that have no series of their own, where it is null."""

    key: str | None
    """0 of callers without a token."""
    name: str | None
    """What the token or user of the key is called; null where the key is neither, or nobody knows it."""
    total: RefusalSums
    points: list[RefusalPoint]


class RefusalUsage(Answer):
    """Series, and their total."""

    interval: str
    time_zone: str
    start: int
    end: int
    by: str | None
    total: RefusalSums
    series: list[RefusalSeries]
