"""The settings of the catalog: groups, limits, models and prices, routes, upstreams. Pure.

The configuration file and the admin API describe them with the same fields, and these types read both.
"""

import re
from decimal import Decimal
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, SecretStr, StrictBool, field_validator, model_validator

from gateway.domain.catalog import NUSD_PER_USD, Form
from gateway.domain.limits import MAX_EXACT, RINGS
from gateway.domain.network import parse_blocks
from gateway.domain.outbound import is_never_called
from gateway.domain.rejection import BrokenRule
from gateway.domain.rules import Rule
from gateway.setting_types import Seconds, Section, Usd, Variable

_REFILL_MINUTES = 24 * 60
_MEMBER = re.compile(r"\*|[A-Za-z_.]{1,64}")
_AZURE_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?")
_VISIBLE = re.compile(r"[!-~]+")
_MOST_USD = Decimal(MAX_EXACT) / NUSD_PER_USD


def _whole_names(models: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Refuse a pattern: only upstreams have them, and here one would match nothing."""
    for name in models or ():
        if "*" in name and name != "*":
            raise BrokenRule(Rule.NO_PATTERN, given=name)
    return models


class LimitSettings(Section):
    """One limit of a group or token."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    metric: Literal["requests", "tokens", "usd"]
    """What is counted."""
    window: Literal["1m", "5h", "1d", "7d", "30d", "month"]
    """The time over which it counts; `month` is for calendars only."""
    limit: Usd
    burst: Usd | None = None
    mode: Literal["sliding", "calendar"] = "sliding"
    """Whether the window moves along, or is a day or month of the calendar."""
    models: tuple[str, ...] | None = None
    time_zone: str = "UTC"
    """An IANA name: whose calendar."""
    shadow: StrictBool = False
    """It refuses nothing: what it would have refused passes, and is counted and logged as such."""

    _check_models = field_validator("models")(_whole_names)

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise BrokenRule(Rule.NO_TIME_ZONE, given=value) from None
        return value

    @model_validator(mode="after")
    def _check_mode(self) -> Self:
        if self.mode == "sliding" and self.window not in RINGS:
            raise BrokenRule(Rule.CALENDAR_ONLY, window=self.window)
        if self.mode == "calendar" and self.window not in {"1d", "month"}:
            raise BrokenRule(Rule.NO_CALENDAR_WINDOW)
        if self.metric != "usd" and self.limit != int(self.limit):
            raise BrokenRule(Rule.LIMIT_NOT_WHOLE, metric=self.metric)
        return self

    @model_validator(mode="after")
    def _check_burst(self) -> Self:
        if self.burst is None:
            return self
        if self.window != "1m" or self.mode != "sliding":
            raise BrokenRule(Rule.BURST_ONLY_BY_MINUTE)
        if self.burst <= 0 or self.limit <= 0:
            raise BrokenRule(Rule.BURST_NOT_ABOVE_ZERO)
        if self.burst > self.limit * _REFILL_MINUTES:
            raise BrokenRule(Rule.BURST_TOO_LARGE, times=_REFILL_MINUTES)
        if self.metric != "usd" and self.burst != int(self.burst):
            raise BrokenRule(Rule.BURST_NOT_WHOLE, metric=self.metric)
        return self


class TokenDefaultSettings(Section):
    """[groups.NAME.token_defaults]: what applies where a token leaves the field null."""

    models: tuple[str, ...] | None = None
    allow_ips: tuple[str, ...] = ()
    deny_ips: tuple[str, ...] = ()
    limits: tuple[LimitSettings, ...] = ()
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    quota_usd: Annotated[Usd, Field(lt=_MOST_USD)] | None = None
    expires_in_days: Annotated[int, Field(ge=0, le=36_500)] | None = None

    _check_models = field_validator("models")(_whole_names)
    _check_blocks = field_validator("allow_ips", "deny_ips")(parse_blocks)


class SubscriptionSettings(Section):
    """[groups.NAME.subscription]: what an account has to spend in the group, over all of its tokens together."""

    quota_usd: Annotated[Usd, Field(lt=_MOST_USD)] | None = None


class GroupSettings(Section):
    """[groups.NAME]."""

    description: str = ""
    users: Literal["all", "assigned"] = "assigned"
    models: tuple[str, ...] = ("*",)
    upstreams: tuple[str, ...] = ("*",)
    ratio: Annotated[Decimal, Field(ge=0, le=1000)] = Decimal(1)
    limits: tuple[LimitSettings, ...] = ()
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    token_defaults: TokenDefaultSettings = TokenDefaultSettings()
    subscription: SubscriptionSettings = SubscriptionSettings()
    groups: tuple[str, ...] = ()

    _check_models = field_validator("models")(_whole_names)

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        own = sorted(self.model_fields_set & {"models", "upstreams", "ratio"})
        if self.groups and own:
            raise ValueError(f"what stands for other groups has no {', '.join(own)} of its own")
        return self


class PriceSettings(Section):
    """What tokens cost. A price is given whole (input and output) or not at all."""

    input_usd_per_mtok: Usd | None = None
    output_usd_per_mtok: Usd | None = None
    cached_input_usd_per_mtok: Usd | None = None
    cache_write_usd_per_mtok: Usd | None = None
    cache_write_1h_usd_per_mtok: Usd | None = None
    reasoning_usd_per_mtok: Usd | None = None
    audio_input_usd_per_mtok: Usd | None = None
    audio_output_usd_per_mtok: Usd | None = None
    image_input_usd_per_mtok: Usd | None = None
    image_output_usd_per_mtok: Usd | None = None

    @model_validator(mode="after")
    def _check_price(self) -> Self:
        given = {name for name in PriceSettings.model_fields if getattr(self, name) is not None}
        if given and not {"input_usd_per_mtok", "output_usd_per_mtok"} <= given:
            raise ValueError(
                "input_usd_per_mtok and output_usd_per_mtok belong together, and to any other price"
            )
        return self


class TierSettings(PriceSettings):
    """[[models.tiers]]: the price of calls with more input than `above_input_tokens`."""

    above_input_tokens: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.input_usd_per_mtok is None:
            raise ValueError("a tier needs input_usd_per_mtok and output_usd_per_mtok")
        return self


class ModelSettings(PriceSettings):
    """[[models]]: a model's price and bounds."""

    name: Annotated[str, Field(min_length=1)]
    request_usd: Usd = Decimal(0)
    tiers: tuple[TierSettings, ...] = ()
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    default_output_tokens: Annotated[int, Field(ge=1)] = 16_384
    max_input_tokens: Annotated[int, Field(ge=1)] | None = None
    max_output_field: Literal["max_tokens", "max_completion_tokens", "max_output_tokens"] | None = (
        None
    )
    bytes_per_token: Annotated[int, Field(ge=1)] = 1
    image_max_tokens: Annotated[int, Field(ge=1)] | None = None
    hides_output: bool | None = None
    members: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_members(self) -> Self:
        if self.members and (own := sorted(self.model_fields_set - {"name", "members"})):
            raise ValueError(f"a group of models has no {', '.join(own)} of its own")
        if len(set(self.members)) < len(self.members):
            raise ValueError("members: a model is named twice")
        return self

    @model_validator(mode="after")
    def _check_tiers(self) -> Self:
        starts = [tier.above_input_tokens for tier in self.tiers]
        if len(set(starts)) < len(starts):
            raise ValueError("tiers: two have the same above_input_tokens")
        if self.tiers and self.input_usd_per_mtok is None:
            raise ValueError(
                "tiers need input_usd_per_mtok and output_usd_per_mtok below the first"
            )
        return self


_OWN_HEADERS = frozenset(
    {
        *("host", "connection", "content-length", "transfer-encoding", "content-type", "accept"),
        *("accept-encoding", "authorization", "x-api-key", "x-goog-api-key", "expect", "te"),
        *("upgrade", "keep-alive", "trailer", "user-agent", "traceparent", "tracestate"),
    }
)
_VERSIONED = {
    "api.openai.com": "https://api.openai.com/v1",
    "api.anthropic.com": "https://api.anthropic.com/v1",
    "generativelanguage.googleapis.com": "https://generativelanguage.googleapis.com/v1beta",
}


class RouteSettings(Section):
    """[[routes]]: what calls below /v1 cost that are passed on without being read for tokens."""

    path: Annotated[str, Field(pattern=r"^/v1/[A-Za-z0-9_.*/-]+$")]
    methods: tuple[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], ...] = ()
    metering: Literal["free", "call", "uncapped", "never"]
    request_usd: Usd | None = None

    @model_validator(mode="after")
    def _check_price(self) -> Self:
        if (self.request_usd is not None) != (self.metering == "call"):
            raise ValueError('request_usd is the price of metering = "call", and of nothing else')
        return self


class UpstreamSettings(Section):
    """[[upstreams]]: a provider."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]  # stands in log lines as it is
    dialect: Literal["openai", "anthropic", "gemini"] = "openai"
    base_url: str
    unix_socket: Annotated[str, Field(pattern=r"^(/.+)?$")] = ""
    affinity: bool = False
    allow_cidrs: tuple[str, ...] = ()
    proxy: SecretStr = SecretStr("")
    cert_file: str = ""
    key_file: str = ""
    headers: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")],
        Annotated[str, Field(pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")],
    ] = Field(default={}, repr=False)
    api_key_env: Variable = ""
    api_key_envs: tuple[Variable, ...] = ()
    models: tuple[str, ...] | dict[str, str] = ("*",)
    weight: Annotated[int, Field(ge=1)] = 1
    priority: int = 0
    ca_file: str = ""
    connect_timeout_s: Seconds = 5
    first_byte_timeout_s: Seconds = 60
    idle_timeout_s: Seconds = 120
    total_timeout_s: Seconds = 900
    max_line_bytes: Annotated[int, Field(ge=65_536, le=8_388_608)] = 1_048_576
    on_disconnect: Literal["abort", "drain"] = "abort"
    max_connections: Annotated[int, Field(ge=0)] = 0
    breaker_failures: Annotated[int, Field(ge=0)] = 5
    breaker_open_s: Seconds = 5
    breaker_longest_s: Seconds = 60
    retry_after_budget_s: Annotated[float, Field(ge=0, le=60)] = 2
    retry_unanswered: bool = False
    azure_api_version: str = ""
    translate: bool = True
    leave_out: tuple[str, ...] = ()
    form: Form = "chats"

    @property
    def key_names(self) -> tuple[str, ...]:
        """The environment variables that hold its keys."""
        return self.api_key_envs or ((self.api_key_env,) if self.api_key_env else ())

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        if self.api_key_env and self.api_key_envs:
            raise ValueError("give one of api_key_env and api_key_envs, not both")
        if "" in self.api_key_envs:
            raise ValueError("api_key_envs: a name is empty")
        return self

    _check_cidrs = field_validator("allow_cidrs")(parse_blocks)

    @field_validator("proxy")
    @classmethod
    def _check_proxy(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        parts = urlsplit(url)
        if url and (parts.scheme != "http" or not parts.hostname):
            raise ValueError('must be an http:// URL, such as "http://proxy.example:3128"')
        return value

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, value: dict[str, str]) -> dict[str, str]:
        if ours := sorted(name for name in value if name.lower() in _OWN_HEADERS):
            raise ValueError(f"{ours[0]} is set by Tollhouse itself")
        return value

    @model_validator(mode="after")
    def _check_way(self) -> Self:
        if self.proxy.get_secret_value() and self.unix_socket:
            raise ValueError("proxy and unix_socket are two ways: set one")
        return self

    @model_validator(mode="after")
    def _check_form(self) -> Self:
        if self.form != "chats" and self.dialect != "openai":
            raise ValueError('form = "responses" needs dialect = "openai"')
        return self

    @field_validator("leave_out")
    @classmethod
    def _check_leave_out(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not _MEMBER.fullmatch(name):
                raise ValueError('must be names of members, such as "seed", or "*"')
        return value

    @field_validator("azure_api_version")
    @classmethod
    def _check_azure_version(cls, value: str) -> str:
        if value and not _AZURE_VERSION.fullmatch(value):
            raise ValueError('must be a date, such as "2024-10-21" or "2025-04-01-preview"')
        return value

    @model_validator(mode="after")
    def _check_azure(self) -> Self:
        if self.azure_api_version and self.dialect != "openai":
            raise ValueError('azure_api_version needs dialect = "openai"')
        if self.azure_api_version and urlsplit(self.base_url).path.strip("/"):
            raise ValueError(
                "azure_api_version: base_url ends with the host, such as "
                '"https://NAME.openai.azure.com"; an API below /openai/v1 needs no version'
            )
        return self

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(
                'must be an http:// or https:// URL, such as "https://api.openai.com/v1"'
            )
        if not _VISIBLE.fullmatch(value):  # it stands in the head of each request
            raise ValueError(
                "holds spaces or letters that no request may: write xn--… in a host, %20 in a path"
            )
        if parts.username or parts.query or parts.fragment:
            raise ValueError("may hold no user, query or fragment")
        _ = parts.port
        if is_never_called(parts.hostname):
            raise ValueError(
                "is a link-local, metadata, multicast or unspecified address: it is never called"
            )
        if parts.hostname in _VERSIONED and not parts.path.strip("/"):
            raise ValueError(f"lacks the version at its end: {_VERSIONED[parts.hostname]}")
        return value.rstrip("/")
