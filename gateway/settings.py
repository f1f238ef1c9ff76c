"""The shape of the configuration: every setting with its type, bounds and default. Pure.

`config.example.toml` describes them for people; a test holds the two together. `gateway/config.py` reads them.
"""

import re
from decimal import Decimal
from email.utils import parseaddr
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StrictBool,
    field_validator,
    model_validator,
)

from gateway.domain.emails import is_email
from gateway.domain.limits import RINGS
from gateway.domain.network import parse_blocks
from gateway.domain.outbound import is_literal, is_never_called
from gateway.domain.rejection import BrokenRule
from gateway.domain.rules import Rule

_REFILL_MINUTES = 24 * 60
_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):(\d{1,5})")

Seconds = Annotated[float, Field(gt=0)]
Usd = Annotated[Decimal, Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _listen(value: str) -> str:
    if not (match := _LISTEN.fullmatch(value)) or int(match[2]) > 65535:  # noqa: PLR2004
        raise ValueError('must be "host:port", such as "127.0.0.1:8080" or "[::]:8080"')
    return value


class GatewaySettings(_Section):
    """[gateway]: the data plane."""

    listen: str = "127.0.0.1:8080"
    public_url: str = ""
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    trusted_proxies: tuple[str, ...] = ()
    client_header: Literal["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"] = (
        "x-forwarded-for"
    )
    max_body_bytes: Annotated[int, Field(ge=1024)] = 33_554_432
    max_upload_bytes: Annotated[int, Field(ge=1024)] = 2_147_483_648
    cors: bool = True
    drain_s: Seconds = 120
    lame_duck_s: Annotated[float, Field(ge=0)] = 0
    keepalive_timeout_s: Seconds = 75
    heartbeat_s: Annotated[float, Field(ge=0)] = 15

    _check_listen = field_validator("listen")(_listen)
    _check_proxies = field_validator("trusted_proxies")(parse_blocks)


class AdminSettings(_Section):
    """[admin]: the admin API."""

    listen: str = "127.0.0.1:8081"
    public_url: str = ""
    registration: Literal["open", "invite", "closed"] = "closed"
    registration_grant_usd: Annotated[Decimal, Field(ge=0, le=1_000_000)] = Decimal(0)
    require_verified_email: bool = False
    trusted_proxies: tuple[str, ...] = ()
    max_tokens_per_user: Annotated[int, Field(ge=1)] = 1000

    _check_listen = field_validator("listen")(_listen)
    _check_proxies = field_validator("trusted_proxies")(parse_blocks)


class MailSettings(_Section):
    """[mail]: the server that e-mail is handed to; no host = none is sent."""

    host: str = ""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str = ""
    username: str = ""
    password_env: str = ""
    sender: str = ""
    timeout_s: Seconds = 20

    @model_validator(mode="after")
    def _check_sender(self) -> Self:
        if self.host and not is_email(parseaddr(self.sender)[1]):
            raise ValueError(
                'sender must be an address, such as "Tollhouse <no-reply@example.com>", where host is set'
            )
        if self.username and not self.password_env:
            raise ValueError("username needs password_env: the variable that holds the password")
        return self


class WebhookSettings(_Section):
    """[webhooks]: calls that tell others of what happened."""

    allow_cidrs: tuple[str, ...] = ()
    timeout_s: Seconds = 10

    _check_cidrs = field_validator("allow_cidrs")(parse_blocks)


class OidcSettings(_Section):
    """[oidc]: an OpenID provider with which people sign in; no issuer = none."""

    issuer: str = ""
    name: str = "Single sign-on"
    client_id: str = ""
    client_secret_env: str = ""
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    allowed_domains: tuple[str, ...] = ()
    create_users: Literal["registration", "always", "never"] = "registration"
    allow_cidrs: tuple[str, ...] = ()

    _check_cidrs = field_validator("allow_cidrs")(parse_blocks)

    @field_validator("issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        host = parts.hostname or ""
        is_near = parts.scheme == "http" and is_literal(host)
        if value and not (host and (parts.scheme == "https" or is_near)):
            raise ValueError("must be an https:// URL, such as https://accounts.example.com")
        if parts.query or parts.fragment or parts.username:
            raise ValueError("may hold no user, query or fragment")
        return value

    @model_validator(mode="after")
    def _check_client(self) -> Self:
        if self.issuer and not self.client_id:
            raise ValueError("client_id is what the provider calls Tollhouse: set it beside issuer")
        if "openid" not in self.scopes:
            raise ValueError('scopes must hold "openid"')
        return self


class PostgresSettings(_Section):
    """[postgres]: empty DSN = embedded."""

    dsn: SecretStr = SecretStr("")
    bin_dir: str = ""
    pool_size: Annotated[int, Field(ge=2, le=100)] = 6
    statement_timeout_s: Seconds = 10


class RedisSettings(_Section):
    """[redis]: empty URL = embedded."""

    url: SecretStr = SecretStr("")
    bin_dir: str = ""
    operation_timeout_s: Seconds = 0.1

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url and urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return value


class KeySettings(_Section):
    """[keys]: how secrets are kept and looked up."""

    recoverable: bool = False
    cache_s: Seconds = 10
    cache_size: Annotated[int, Field(ge=1)] = 100_000


class QuotaSettings(_Section):
    """[quota]: accounting."""

    units_per_usd: Annotated[int, Field(ge=1, le=1_000_000_000)] = 500_000
    reserve: Literal["strict", "estimate"] = "strict"
    reserve_step_tokens: Annotated[int, Field(ge=256)] = 4096
    estimate_output_tokens: Annotated[int, Field(ge=0)] = 1024
    hold_wait_s: Annotated[float, Field(ge=0, le=60)] = 5
    on_store_loss: Literal["deny", "allow"] = "deny"
    allow_bounded_nusd: Annotated[int, Field(ge=0)] = 0
    exhausted_status: Literal[429, 402] = 429
    lease_s: Seconds = 60
    pause_s: Seconds = 3
    sweep_s: Seconds = 10
    post_interval_s: Seconds = 0.1
    post_buffer_bytes: Annotated[int, Field(ge=65_536)] = 67_108_864
    outbox_hours: Annotated[float, Field(ge=0)] = 0
    audit_interval_s: Annotated[float, Field(ge=0)] = 60

    @field_validator("units_per_usd")
    @classmethod
    def _check_units(cls, value: int) -> int:
        if 1_000_000_000 % value:
            raise ValueError("must divide 1,000,000,000, so that a unit is whole nano-dollars")
        return value

    @model_validator(mode="after")
    def _check_allowance(self) -> Self:
        if self.on_store_loss == "allow" and not self.allow_bounded_nusd:
            raise ValueError(
                'on_store_loss = "allow" needs allow_bounded_nusd above 0: without a bound, no cap would hold '
                "while the store is away"
            )
        return self


class LogSettings(_Section):
    """[log]: where lines go. `-` is standard output."""

    access: str = "-"


class MetricsSettings(_Section):
    """[metrics]: figures for a monitoring system; empty = none are served."""

    listen: str = ""

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        return _listen(value) if value else value


class WarningSettings(_Section):
    """[warnings]: what people are told before it stops. Sent by the admin app."""

    interval_s: Annotated[float, Field(ge=0)] = 10
    percent: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (80, 100)
    days: tuple[Annotated[int, Field(ge=1, le=365)], ...] = (7, 1)
    upstream_out_s: Annotated[float, Field(ge=0)] = 60
    mail: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = ()
    webhook_url: str = ""
    webhook_secret_env: str = ""

    @field_validator("percent")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(value)))

    @field_validator("days")
    @classmethod
    def _falling(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(value), reverse=True))

    @model_validator(mode="after")
    def _check_webhook(self) -> Self:
        if bool(self.webhook_url) != bool(self.webhook_secret_env):
            raise ValueError("webhook_url and webhook_secret_env belong together: calls are signed")
        if self.webhook_url and urlsplit(self.webhook_url).scheme not in {"http", "https"}:
            raise ValueError("webhook_url: must be an http:// or https:// URL")
        return self


class LimitSettings(_Section):
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


class TokenDefaultSettings(_Section):
    """[groups.NAME.token_defaults]: what applies where a token leaves the field null."""

    models: tuple[str, ...] | None = None
    allow_ips: tuple[str, ...] = ()
    deny_ips: tuple[str, ...] = ()
    limits: tuple[LimitSettings, ...] = ()
    max_concurrency: Annotated[int, Field(ge=1)] | None = None

    _check_blocks = field_validator("allow_ips", "deny_ips")(parse_blocks)


class GroupSettings(_Section):
    """[groups.NAME]."""

    description: str = ""
    models: tuple[str, ...] = ("*",)
    upstreams: tuple[str, ...] = ("*",)
    ratio: Annotated[Decimal, Field(ge=0, le=1000)] = Decimal(1)
    limits: tuple[LimitSettings, ...] = ()
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    token_defaults: TokenDefaultSettings = TokenDefaultSettings()
    groups: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        own = sorted(self.model_fields_set & {"models", "upstreams", "ratio"})
        if self.groups and own:
            raise ValueError(f"what stands for other groups has no {', '.join(own)} of its own")
        return self


class PriceSettings(_Section):
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


class RouteSettings(_Section):
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


class UpstreamSettings(_Section):
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
    ] = {}
    api_key_env: str = ""
    api_key_envs: tuple[str, ...] = ()
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

    @field_validator("base_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(
                'must be an http:// or https:// URL, such as "https://api.openai.com/v1"'
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


class Config(_Section):
    """The whole configuration."""

    gateway: GatewaySettings = GatewaySettings()
    admin: AdminSettings = AdminSettings()
    mail: MailSettings = MailSettings()
    oidc: OidcSettings = OidcSettings()
    webhooks: WebhookSettings = WebhookSettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    keys: KeySettings = KeySettings()
    quota: QuotaSettings = QuotaSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    warnings: WarningSettings = WarningSettings()
    groups: dict[str, GroupSettings] = {}
    models: tuple[ModelSettings, ...] = ()
    routes: tuple[RouteSettings, ...] = ()
    upstreams: tuple[UpstreamSettings, ...] = ()

    @model_validator(mode="after")
    def _check_mail(self) -> Self:
        if self.admin.require_verified_email and not self.mail.host:
            raise ValueError("admin.require_verified_email needs mail.host: nobody could verify")
        return self

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for kind, names in (
            ("models", [model.name for model in self.models]),
            ("upstreams", [upstream.name for upstream in self.upstreams]),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{kind}: {', '.join(twice)} named twice")
        groups = {model.name for model in self.models if model.members}
        for model in self.models:
            if nested := sorted(groups.intersection(model.members)):
                raise ValueError(f"models: {model.name} stands for {nested[0]}, a group itself")
        known = {upstream.name for upstream in self.upstreams}
        plain = {"default"} | {name for name, group in self.groups.items() if not group.groups}
        for name, group in self.groups.items():
            if strange := sorted(set(group.groups) - plain):
                raise ValueError(
                    f"groups.{name}.groups: {strange[0]} is no group, or stands for others itself"
                )
            if unknown := set(group.upstreams) - known - {"*"}:
                raise ValueError(
                    f"groups.{name}.upstreams: no upstream is named {', '.join(sorted(unknown))}"
                )
        return self
