"""What is in `data` of an explanation: types as in `admin_api/answers.py`."""

from typing import Any, Literal

from admin_api.answers import Answer, Quota


class Rule(Answer):
    """A rule, and whose it is."""

    of: str
    """token, member, subscription, account, user, group, operator …"""
    name: str
    inherited: bool
    """The token has none of its own, and its group's applies."""
    group: str | None = None
    """The group, where the rule is one of a group."""


class Allowed(Answer):
    """Nothing stands in the way of the call."""

    result: Literal["allow"]


class ShadowRefusal(Answer):
    """What the caller would be told if a limit in the shadow refused."""

    reason: str
    message: str
    case: str
    params: dict[str, int | str | list[str]]
    scope: str
    retry_after_s: float | None = None
    details: dict[str, Any]


class Check(Answer):
    """What a check says of the call. A denied one tells what its caller would be told."""

    check: str
    """Its name in the chain of checks."""
    result: Literal["allow", "deny", "skipped"]
    reason: str | None = None
    message: str | None = None
    case: str | None = None
    """Which sentence the message is, for whoever says it in another language."""
    params: dict[str, int | str | list[str]] | None = None
    """What the sentence is filled with; amounts of dollars are texts."""
    rule: Rule | None = None
    remedy: str | None = None
    param: str | None = None
    scope: str | None = None
    retry_after_s: float | None = None
    details: dict[str, Any] | None = None
    shadow: list[ShadowRefusal] | None = None
    """Limits in the shadow that would have refused the call, which passes."""


class ExplainedCall(Answer):
    """The call as it was understood; what the checks did not get to is null."""

    method: str
    path: str
    ip: str | None
    route: str | None
    dialect: str | None
    model: str | None
    stream: bool | None
    max_tokens: int | None


class Hold(Answer):
    """What the call would hold."""

    reserve: Literal["strict", "estimate"]
    usd: float
    quota: int
    amount_nusd: int
    tokens: int
    input_tokens: int
    output_tokens: int
    most_output_tokens: int
    written_max_tokens: int | None
    """The maximum that would be written into the forwarded body."""


class Prices(Answer):
    """Dollars for a million tokens, and for the request."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float
    cache_write_usd_per_mtok: float
    request_usd: float


class Tier(Prices):
    """The prices of calls with more input than that."""

    above_input_tokens: int


class UsedPrices(Prices):
    """The prices that the call would be held and charged at."""

    ratio: float
    version: int
    tiers: list[Tier]


class Untold(Answer):
    """Why an upstream of another dialect cannot be told the call."""

    reason: str
    message: str
    case: str
    params: dict[str, int | str | list[str]]
    param: str | None
    """The member of the body, as its caller calls it."""


class ExplainedUpstream(Answer):
    """An upstream that could serve the call, in the order in which they are tried."""

    upstream: str
    model: str
    priority: int
    weight: int
    dialect: Literal["openai", "anthropic", "gemini"]
    translated: bool
    """The call is of another dialect."""
    left_out: list[str]
    """What it would not be told of the body, by the operator's leave or because it is put in words."""
    refused: Untold | None
    """What it cannot be told of the body; null where it can be told all, or no body is given."""


class UsedLimit(Answer):
    """A limit that the call is under; in dollars where `metric` is `usd`."""

    scope: str
    inherited: bool
    metric: Literal["requests", "tokens", "usd"]
    window: str
    mode: Literal["sliding", "calendar"]
    models: list[str] | None
    shadow: bool
    limit: float
    burst: float | None
    used: float
    available: float


class UsedConcurrency(Answer):
    """A bound on calls at once."""

    scope: str
    inherited: bool
    limit: int
    live: int


class Explanation(Answer):
    """What would become of a call, check by check. What the checks did not get to is null or empty."""

    decision: Allowed | Check
    """The first check that denies the call."""
    checks: list[Check]
    call: ExplainedCall
    hold: Hold | None
    price: UsedPrices | None
    candidates: list[ExplainedUpstream]
    quota: Quota | None
    limits: list[UsedLimit]
    concurrency: list[UsedConcurrency]
