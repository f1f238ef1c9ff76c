"""What is in `data` of each answer: types for the API's document, and for readers.

Handlers build plain dicts; tests hold these types against them.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[int, Field(description="Unix seconds.")]
Nusd = Annotated[int | None, Field(description="Nano-dollars; null where it is not known.")]


class Answer(BaseModel):
    """A part of `data`; more fields may be added to it."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Page(Answer):
    """What every page says; one beyond the end is empty."""

    page: int
    page_size: int
    total: int


class Nothing(Answer):
    """The answer has no `data`."""


class Limit(Answer):
    """A limit as it is shown; in dollars where `metric` is `usd`."""

    metric: Literal["requests", "tokens", "usd"]
    window: str
    limit: float
    burst: float | None
    bound: float
    """The most that any stretch of the window's length holds."""
    mode: Literal["sliding", "calendar"]
    models: list[str] | None
    """The models that are counted; null counts all."""
    time_zone: str
    shadow: bool
    """It refuses nothing, and tells what it would have refused."""


class Effective(Answer):
    """What is in force, with the group's defaults; null restricts nothing."""

    models: list[str] | None
    allow_ips: list[str]
    deny_ips: list[str]
    limits: list[Limit]
    max_concurrency: int | None


class ScopeMoney(Answer):
    """The money of one scope."""

    granted_nusd: Nusd
    """Null where the scope has no cap."""
    used_nusd: Nusd
    pending_nusd: Nusd
    """Settled, and not in the ledger yet."""
    held_nusd: Nusd
    """Held by running calls."""
    available_nusd: Nusd
    """What a further call can cost at most; null where the scope has no cap."""


class Quota(Answer):
    """The money of the four scopes of a token; the smallest `available_nusd` counts."""

    token: ScopeMoney
    member: ScopeMoney
    subscription: ScopeMoney
    account: ScopeMoney


class Reservation(Answer):
    """A running call, and what it holds."""

    request_id: str
    """The `x-request-id` of the answer to come."""
    model: str
    started_at: float
    """Unix seconds."""
    age_s: float
    held_quota: int
    held_nusd: int
    tokens: int
    """The tokens that the call is held for."""


class SignInProvider(Answer):
    """A provider with which people sign in."""

    name: str
    """For people."""
    login_url: str
    """Where a browser begins."""


class Currency(Answer):
    """In what money is shown to people; books and prices are dollars."""

    code: str
    """Three letters (ISO 4217)."""
    rate: float
    """How much of it a US dollar is."""


class Installation(Answer):
    """What this installation is."""

    system_name: str
    """What the operator calls it."""
    version: str
    quota_per_unit: int
    """Quota units in a dollar."""
    gateway_url: str
    openai_base_url: str
    """The base URL for OpenAI SDKs."""
    admin_url: str
    registration: Literal["open", "invite", "closed"]
    """Who may register."""
    oidc_providers: list[SignInProvider]
    """With which one signs in instead of with a password."""
    mail: bool
    """Whether e-mail is sent: to reset a password, to verify an address."""
    email_verification_required: bool
    """Whether an address is to be verified before the first key."""
    insecure_http: bool
    """Whether a session of the caller lasts over plain http (`admin.insecure_http`, and a private address)."""
    language: Literal["en", "zh"]
    """That of people who have not chosen one."""
    logo: str | None
    """Where the operator's logo is, on this server."""
    notice: str
    """A line for everybody; empty where there is none."""
    currency: Currency
