"""The bodies of the catalog's calls: the fields of the configuration file, with bounds for what comes from outside.

Absent fields stay as they are, and `null` is the default. What only the file may say (paths, sockets, variables of the
environment, proxies) is no field here.
"""

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr

from admin_api.bodies import Body, IsNumber, LimitBody, Lines
from admin_api.fields import MAX_LIST

_MOST_USD = 10_000  # of a price: what is dearer was mistyped
_MOST_TOKENS = 1_000_000_000
_MOST_KEYS = 100

UpstreamName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
ModelName = Annotated[
    StrictStr,
    Field(pattern=r"^\w([^\s\x00-\x1f\x7f-\x9f*]{0,198}[^\s\x00-\x1f\x7f-\x9f*/])?$"),
]
GroupName = Annotated[StrictStr, Field(pattern=r"^\w([\w .-]{0,98}[\w.-])?$")]
Pattern = Annotated[StrictStr, Field(pattern=r"^[^\s\x00-\x1f\x7f-\x9f]{1,200}$")]
Patterns = Annotated[list[Pattern], Field(max_length=MAX_LIST)]
ApiKey = Annotated[StrictStr, Field(pattern=r"^(…[!-~]{0,4}|[!-~]{1,4096})$")]
Usd = Annotated[Decimal, Field(ge=0, le=_MOST_USD), IsNumber]
Seconds = Annotated[float, Field(gt=0, le=86_400), IsNumber]
Tokens = Annotated[StrictInt, Field(ge=1, le=_MOST_TOKENS)]
# Visible ASCII; the host without / ? # @, the path without ? #.
Url = Annotated[
    StrictStr, Field(max_length=1000, pattern=r'^https?://[!"$-.0->A-~]+(/[!"$->@-~]*)?$')
]
HeaderName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
HeaderValue = Annotated[
    StrictStr, Field(max_length=1000, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")
]


class _Edit(Body):
    """What an edit may have beside its fields: GET's object may be sent back whole."""

    version: StrictInt | None = None
    """The version that is to be changed: 412 if it is another by now. `If-Match` goes before it."""
    source: Any = None
    """Ignored."""
    broken: Any = None
    """Ignored."""
    created_time: Any = None
    """Ignored."""


class UpstreamFields(Body):
    """What can be said of an upstream."""

    dialect: Literal["openai", "anthropic", "gemini"] | None = None
    """What it speaks; `openai` by default."""
    api_key: ApiKey | None = None
    """Its key. It is sealed, and only its last four characters are shown."""
    api_keys: Annotated[list[ApiKey], Field(max_length=_MOST_KEYS)] | None = None
    """Instead of it: several keys, which take turns; an empty list sends none."""
    allow_cidrs: Lines | None = None
    """Addresses that may be called though they are not public: a list, or by lines or commas."""
    headers: Annotated[dict[HeaderName, HeaderValue], Field(max_length=50)] | None = None
    """Headers that every call there carries. They are shown: a secret has no place in them."""
    models: Patterns | Annotated[dict[ModelName, Pattern], Field(max_length=MAX_LIST)] | None = None
    """What it serves: names, `gpt-*`, or `*`; or by our names what they are called there."""
    weight: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    """Its share of the calls within a priority."""
    priority: Annotated[StrictInt, Field(ge=-1_000_000, le=1_000_000)] | None = None
    """The lowest is asked first."""
    affinity: StrictBool | None = None
    """Whether calls of one conversation go to the same key."""
    connect_timeout_s: Seconds | None = None
    """For a connection, TLS included."""
    first_byte_timeout_s: Seconds | None = None
    """Until the answer begins."""
    idle_timeout_s: Seconds | None = None
    """Between two pieces of an answer."""
    total_timeout_s: Seconds | None = None
    """For the whole answer."""
    max_line_bytes: Annotated[StrictInt, Field(ge=65_536, le=8_388_608)] | None = None
    """The longest line of a stream."""
    on_disconnect: Literal["abort", "drain"] | None = None
    """What happens when a caller leaves: the call is ended, or read on for the exact figure."""
    max_connections: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None
    """Of each worker; 0 is no bound."""
    breaker_failures: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None
    """So many failures in a row let it rest; 0 is never."""
    breaker_open_s: Seconds | None = None
    """How long it rests."""
    breaker_longest_s: Seconds | None = None
    """How long it rests at most, when it goes on failing."""
    retry_after_budget_s: Annotated[float, Field(ge=0, le=60), IsNumber] | None = None
    """How long a call waits where it asks for patience and there is nobody else."""
    retry_unanswered: StrictBool | None = None
    """Whether a call that it took and never answered is sent to another."""
    azure_api_version: (
        Annotated[
            StrictStr,
            Field(json_schema_extra={"pattern": r"^([0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?)?$"}),
        ]
        | None
    ) = None
    """It is Azure OpenAI, called by deployments in this version of its API; empty for everything else."""
    translate: StrictBool | None = None
    """Whether calls of other dialects are translated for it."""
    leave_out: (
        Annotated[
            list[
                Annotated[
                    StrictStr, Field(json_schema_extra={"pattern": r"^(\*|[A-Za-z_.]{1,64})$"})
                ]
            ],
            Field(max_length=64),
        ]
        | None
    ) = None
    """Settings of such calls that it need not be told where its dialect has no word for them; `*`: any."""
    form: Literal["chats", "responses"] | None = None
    """Whether such calls are chats, in OpenAI's dialect, or responses, which carry what a model has thought."""


_OPENAI: Final[dict[str, Any]] = {
    "name": "openai-eu",
    "base_url": "https://eu.api.openai.com/v1",
    "models": ["gpt-*"],
}


class CreateUpstreamBody(UpstreamFields):
    """An upstream to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_OPENAI | {"api_key": "sk-proj-0123456789abcdef"}]}
    )

    name: UpstreamName
    """It stands in log lines and in the ledger, and stays."""
    base_url: Url
    """Where its API begins, with its version at the end. It has to lead to a public address, or an allowed one."""


class UpdateUpstreamBody(_Edit, UpstreamFields):
    """What is to change of an upstream."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"priority": 1}]})

    name: StrictStr | None = None
    """Only as the path says."""
    base_url: Url | None = None
    """Keys stay with the address that they were given for: another host needs them again."""
    file_only: Any = None
    """Ignored."""


class TestBody(Body):
    """What is to be called."""

    __test__ = False  # for pytest: it tests an upstream
    model_config = ConfigDict(json_schema_extra={"examples": [{"model": "gpt-5.4-mini"}]})

    model: ModelName | None = None
    """Asks this model for a word, which costs what it costs; without it the list of models is asked for."""


class _Price(Body):
    """Dollars for a million tokens; a price is given with both of the first two, or not at all."""

    input_usd_per_mtok: Usd | None = None
    """Of input."""
    output_usd_per_mtok: Usd | None = None
    """Of output."""
    cached_input_usd_per_mtok: Usd | None = None
    """Of input that the provider had cached."""
    cache_write_usd_per_mtok: Usd | None = None
    """Of input that it wrote to its cache."""
    cache_write_1h_usd_per_mtok: Usd | None = None
    """Likewise, for an hour."""
    reasoning_usd_per_mtok: Usd | None = None
    """Of reasoning."""
    audio_input_usd_per_mtok: Usd | None = None
    """Of audio in the input."""
    audio_output_usd_per_mtok: Usd | None = None
    """Of audio in the output."""
    image_input_usd_per_mtok: Usd | None = None
    """Of images in the input."""
    image_output_usd_per_mtok: Usd | None = None
    """Of images in the output."""


class TierBody(_Price):
    """The price of calls with more input than this."""

    above_input_tokens: Tokens
    """From where on it holds."""


class ModelFields(_Price):
    """What can be said of a model."""

    request_usd: Usd | None = None
    """Dollars for each request, beside its tokens."""
    tiers: Annotated[list[TierBody], Field(max_length=20)] | None = None
    """Prices of calls with long input."""
    max_output_tokens: Tokens | None = None
    """The longest answer that it gives."""
    default_output_tokens: Tokens | None = None
    """The longest answer to a capped call that names no maximum."""
    max_input_tokens: Tokens | None = None
    """The longest input that it takes."""
    max_output_field: Literal["max_tokens", "max_completion_tokens", "max_output_tokens"] | None = (
        None
    )
    """The field that a maximum is written into, where the model insists."""
    bytes_per_token: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    """Bytes of input that a token has at least."""
    image_max_tokens: Tokens | None = None
    """Tokens that one image counts at most."""
    hides_output: StrictBool | None = None
    """Whether it thinks without showing it in the stream."""
    members: Annotated[list[ModelName], Field(max_length=100)] | None = None
    """Makes the name stand for these models, the first to be called first; then it has nothing else."""


class CreateModelBody(ModelFields):
    """A model to be set up."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "gpt-5.4-mini", "input_usd_per_mtok": 1, "output_usd_per_mtok": 4}
            ]
        }
    )

    name: ModelName
    """What callers write in `model`."""


class UpdateModelBody(_Edit, ModelFields):
    """What is to change of a model. Another price has another number on ledger rows."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max_output_tokens": 4000}]})

    name: StrictStr | None = None
    """Only as the path says."""
    effective: Any = None
    """Ignored."""
    upstreams: Any = None
    """Ignored."""
    prices: Any = None
    """Ignored."""


class TokenDefaultsBody(Body):
    """What applies where a token of the group says nothing."""

    models: Patterns | None = None
    """Models that it can call; null: those of the group."""
    allow_ips: Lines | None = None
    """Addresses that calls may come from."""
    deny_ips: Lines | None = None
    """Addresses that they may not come from."""
    limits: list[LimitBody] | None = None
    """Limits of each token by itself."""
    max_concurrency: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    """Calls at once with one token."""
    quota_usd: Annotated[Decimal, Field(ge=0, le=4_000_000), IsNumber] | None = None
    """Granted to a new token that is made without any quota; 0 is unlimited."""
    expires_in_days: Annotated[StrictInt, Field(ge=0, le=36_500)] | None = None
    """When a new token ends that is made without an expiry; 0 is never."""


class GroupSubscriptionBody(Body):
    """What an account has in the group, for all of its tokens together."""

    quota_usd: Annotated[Decimal, Field(ge=0, le=4_000_000), IsNumber] | None = None
    """Granted when the account comes to the group; null is no cap."""


class GroupFields(Body):
    """What can be said of a group."""

    description: (
        Annotated[StrictStr, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")] | None
    ) = None
    """For people who choose a group."""
    users: Literal["all", "assigned"] | None = None
    """Whether every user may choose it for tokens, or those alone who are in it or subscribe to it."""
    models: Patterns | None = None
    """Models that its tokens can call; `*` is all."""
    upstreams: Annotated[list[Pattern], Field(max_length=MAX_LIST)] | None = None
    """Upstreams that its tokens can reach; `*` is all."""
    ratio: Annotated[Decimal, Field(ge=0, le=1000), IsNumber] | None = None
    """Multiplies every price."""
    limits: list[LimitBody] | None = None
    """Limits over all of an account's tokens in the group together."""
    max_concurrency: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    """Calls at once, likewise."""
    token_defaults: TokenDefaultsBody | None = None
    """What applies where a token says nothing. It is replaced as a whole."""
    subscription: GroupSubscriptionBody | None = None
    """What an account has in it. It is replaced as a whole, and counts for accounts that come later."""
    groups: Annotated[list[GroupName], Field(max_length=100)] | None = None
    """Makes it stand for an ordered list of others; then it has no models, upstreams and ratio."""


class CreateGroupBody(GroupFields):
    """A group to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "research", "ratio": 2, "users": "all"}]}
    )

    name: GroupName
    """It stays."""


class UpdateGroupBody(_Edit, GroupFields):
    """What is to change of a group."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ratio": 3}]})

    name: StrictStr | None = None
    """Only as the path says."""
    id: Any = None
    """Ignored."""
