"""What is in `data` of the catalog's answers."""

from typing import Any, Literal

from pydantic import ConfigDict

from admin_api.answers import Answer, Limit, Page, Seconds

Source = Literal["file", "api"]


class _Entry(Answer):
    """What every entry has."""

    name: str
    source: Source
    """Those of the configuration file can only be changed there."""
    broken: str | None
    """Why it is left out of the catalog; what else is shown of it may be defaults then."""
    version: int
    """Goes up with every change; for `If-Match`. 0 for those of the file."""
    created_time: Seconds
    """Unix seconds; 0 for those of the file."""


class FileOnly(Answer):
    """What only the configuration file says of an upstream."""

    api_key_envs: list[str]
    """The variables of the environment that hold its keys."""
    unix_socket: str
    proxy: str
    """Without user and password."""
    ca_file: str
    cert_file: str
    key_file: str


class Upstream(_Entry):
    """An upstream."""

    dialect: Literal["openai", "anthropic", "gemini"]
    base_url: str
    api_key: str | None
    """The last four characters of its first key; null where it has none, or none that is known here."""
    api_keys: list[str]
    """Likewise, of all of them."""
    allow_cidrs: list[str]
    headers: dict[str, str]
    """Of those of the file, values are not shown."""
    models: list[str] | dict[str, str]
    weight: int
    priority: int
    affinity: bool
    connect_timeout_s: float
    first_byte_timeout_s: float
    idle_timeout_s: float
    total_timeout_s: float
    max_line_bytes: int
    on_disconnect: Literal["abort", "drain"]
    max_connections: int
    breaker_failures: int
    breaker_open_s: float
    breaker_longest_s: float
    retry_after_budget_s: float
    retry_unanswered: bool
    azure_api_version: str
    translate: bool
    leave_out: list[str]
    form: Literal["chats", "responses"]
    file_only: FileOnly | None
    """Null for those of the API."""


class UpstreamPage(Page):
    """A page of upstreams."""

    items: list[Upstream]


class TestedKey(Answer):
    """What came of a call with one key."""

    api_key: str | None
    """Its last four characters; null: no key was sent."""
    ok: bool
    status: int | None
    """What the provider answered; null where it did not."""
    latency_ms: float
    message: str
    """What the provider says, or what went wrong; empty where nothing did."""


class Tested(Answer):
    """What came of a test."""

    ok: bool
    """Whether every key is good."""
    called: str
    """Method and path, below `base_url`."""
    keys: list[TestedKey]


class OfferedModel(Answer):
    """A model that a provider lists."""

    name: str
    is_served: bool
    """Whether the upstream's `models` let it be called by this name, or another."""
    is_priced: bool
    """Whether a price is known of it."""


class Price(Answer):
    """What tokens cost, in dollars for a million; null: what other tokens of the direction do."""

    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float
    cache_write_usd_per_mtok: float
    cache_write_1h_usd_per_mtok: float | None
    reasoning_usd_per_mtok: float | None
    audio_input_usd_per_mtok: float | None
    audio_output_usd_per_mtok: float | None
    image_input_usd_per_mtok: float | None
    image_output_usd_per_mtok: float | None
    request_usd: float


class Tier(Price):
    """A price of calls with long input."""

    above_input_tokens: int


class EffectiveModel(Answer):
    """What is in force of a model."""

    price: Price | None
    """Null: it can be called with uncapped keys only."""
    tiers: list[Tier]
    price_version: int
    """As on ledger rows: 0 none, 1 the file, from 1000 the price book, from 1,000,000,000 the API."""
    price_source: Literal["file", "api", "book"] | None
    max_output_tokens: int | None
    default_output_tokens: int
    max_input_tokens: int | None
    image_max_tokens: int
    hides_output: bool


class PublishedPrice(Answer):
    """What a provider publishes for a model."""

    provider: str
    model: str
    """What the provider calls it."""
    price: Price
    tiers: list[Tier]
    max_input_tokens: int | None


class OwnTier(Answer):
    """A tier as it was said."""

    model_config = ConfigDict(extra="allow")

    above_input_tokens: int


class Model(Answer):
    """A model. What was not said of it is null; `effective` has what is in force."""

    name: str
    source: Literal["file", "api", "book", "upstream"]
    """`book`: the price book knows it, and an upstream serves it; `upstream`: an upstream serves it by name."""
    broken: str | None
    version: int
    """Goes up with every change; for `If-Match`. 0 for those that the API did not make."""
    created_time: Seconds
    input_usd_per_mtok: float | None
    output_usd_per_mtok: float | None
    cached_input_usd_per_mtok: float | None
    cache_write_usd_per_mtok: float | None
    cache_write_1h_usd_per_mtok: float | None
    reasoning_usd_per_mtok: float | None
    audio_input_usd_per_mtok: float | None
    audio_output_usd_per_mtok: float | None
    image_input_usd_per_mtok: float | None
    image_output_usd_per_mtok: float | None
    request_usd: float | None
    tiers: list[OwnTier] | None
    max_output_tokens: int | None
    default_output_tokens: int | None
    max_input_tokens: int | None
    max_output_field: str | None
    bytes_per_token: int | None
    image_max_tokens: int | None
    hides_output: bool | None
    members: list[str] | None
    upstreams: list[str]
    """Those that serve it."""
    effective: EffectiveModel | None
    """Null for a name that stands for others, and for one that is broken."""


class PastPrice(Answer):
    """A price that was set over the API."""

    version: int
    """As on ledger rows."""
    created_time: Seconds
    price: dict[str, Any]
    """As it was said."""


class ModelWithPrices(Model):
    """A model, with the prices that it was given over the API, the newest first."""

    prices: list[PastPrice]


class ModelPage(Page):
    """A page of models."""

    items: list[Model]


class TokenDefaults(Answer):
    """What applies where a token of the group says nothing."""

    models: list[str] | None
    allow_ips: list[str]
    deny_ips: list[str]
    limits: list[Limit]
    max_concurrency: int | None
    quota_usd: float | None
    """Granted to a new token that is made without any quota; 0 is unlimited, null nothing."""
    expires_in_days: int | None


class GroupSubscription(Answer):
    """What an account has in the group when it comes to it."""

    quota_usd: float | None


class Group(_Entry):
    """A group."""

    id: int
    description: str
    users: Literal["all", "assigned"]
    models: list[str]
    upstreams: list[str]
    ratio: float
    limits: list[Limit]
    max_concurrency: int | None
    token_defaults: TokenDefaults
    subscription: GroupSubscription
    groups: list[str]


class GroupPage(Page):
    """A page of groups."""

    items: list[Group]
