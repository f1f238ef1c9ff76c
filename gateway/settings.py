"""The shape of the configuration: every setting with its type, bounds and default. Pure.

`config.example.toml` describes them for people; a test holds the two together. `gateway/config.py` reads them. What
stands in the catalog is `gateway/catalog_settings.py`'s.
"""

import re
from decimal import Decimal
from email.utils import parseaddr
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.catalog_settings import (
    GroupSettings,
    LimitSettings,
    ModelSettings,
    RouteSettings,
    UpstreamSettings,
)
from gateway.domain.emails import is_email
from gateway.domain.network import parse_blocks
from gateway.domain.outbound import is_literal
from gateway.domain.store_url import read_store_url
from gateway.setting_types import Seconds
from gateway.setting_types import Section as _Section

__all__ = ["LimitSettings"]  # those that others know from here

# What is invisible, breaks lines or turns the direction of what follows.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):(\d{1,5})")


def _listen(value: str) -> str:
    if not (match := _LISTEN.fullmatch(value)) or int(match[2]) > 65535:  # noqa: PLR2004
        raise ValueError('must be "host:port", such as "127.0.0.1:8080" or "[::]:8080"')
    return value


_ClientHeader = Literal["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"]


class _Listener(_Section):
    """What the sections of both ports have in common."""

    proxy_protocol: bool = False
    trusted_proxies: tuple[str, ...] = ()
    client_header: _ClientHeader = "x-forwarded-for"

    _check_proxies = field_validator("trusted_proxies")(parse_blocks)

    @model_validator(mode="after")
    def _check_proxy_protocol(self) -> Self:
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError(
                "proxy_protocol = true needs trusted_proxies: the header is read from these alone"
            )
        return self


class GatewaySettings(_Listener):
    """[gateway]: the data plane."""

    listen: str = "127.0.0.1:8080"
    public_url: str = ""
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    max_body_bytes: Annotated[int, Field(ge=1024)] = 33_554_432
    max_upload_bytes: Annotated[int, Field(ge=1024)] = 2_147_483_648
    cors: bool = True
    drain_s: Seconds = 120
    lame_duck_s: Annotated[float, Field(ge=0)] = 0
    keepalive_timeout_s: Seconds = 75
    heartbeat_s: Annotated[float, Field(ge=0)] = 15
    max_connections_per_address: Annotated[int, Field(ge=0)] = 1000
    slow_reader_s: Seconds = 60
    shed_delay_s: Annotated[float, Field(ge=0)] = 0.5
    shed_descriptors_percent: Annotated[int, Field(ge=10, le=100)] = 90

    _check_listen = field_validator("listen")(_listen)


class AdminSettings(_Listener):
    """[admin]: the admin API."""

    listen: str = "127.0.0.1:8081"
    public_url: str = ""
    gateway_url: str = ""
    registration: Literal["open", "invite", "closed"] = "closed"
    registration_grant_usd: Annotated[Decimal, Field(ge=0, le=1_000_000)] = Decimal(0)
    require_verified_email: bool = False
    insecure_http: bool = False
    max_connections_per_address: Annotated[int, Field(ge=0)] = 1000
    max_tokens_per_user: Annotated[int, Field(ge=1)] = 1000
    upstream_cidrs: tuple[str, ...] = (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
        *("127.0.0.0/8", "::1"),
    )

    @field_validator("gateway_url")
    @classmethod
    def _check_gateway_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme in {"http", "https"} and parts.hostname):
            raise ValueError("must be an http:// or https:// URL, such as http://gateway:8080")
        if parts.query or parts.fragment or parts.username or parts.path not in {"", "/"}:
            raise ValueError("is an origin: it may hold no user, path, query or fragment")
        return value

    _check_listen = field_validator("listen")(_listen)
    _check_cidrs = field_validator("upstream_cidrs")(parse_blocks)


class ConsoleSettings(_Section):
    """[console]: what people see of this installation."""

    name: Annotated[str, Field(min_length=1, max_length=40)] = "Tollhouse"
    logo: str = ""
    notice: Annotated[str, Field(max_length=1000)] = ""
    language: Literal["en", "zh"] = "en"
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    currency_per_usd: Annotated[Decimal, Field(gt=0, le=1_000_000)] = Decimal(1)

    @field_validator("name", "notice")
    @classmethod
    def _check_text(cls, value: str) -> str:
        if _CONTROL.search(value):
            raise ValueError("must be one line without control characters")
        return value.strip()

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if not value:
            raise ValueError("must not be blank")
        return value

    @model_validator(mode="after")
    def _check_rate(self) -> Self:
        if self.currency == "USD" and self.currency_per_usd != 1:
            raise ValueError("currency_per_usd of USD is 1; say of which currency it is else")
        if self.currency != "USD" and "currency_per_usd" not in self.model_fields_set:
            raise ValueError("currency needs currency_per_usd: how much of it a US dollar is")
        return self


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
        if url := value.get_secret_value():
            read_store_url(url)
        return value


class KeySettings(_Section):
    """[keys]: how secrets are kept and looked up."""

    recoverable: bool = False
    cache_s: Seconds = 10
    cache_bytes: Annotated[int, Field(ge=65_536)] = 268_435_456


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


class Config(_Section):
    """The whole configuration."""

    gateway: GatewaySettings = GatewaySettings()
    admin: AdminSettings = AdminSettings()
    console: ConsoleSettings = ConsoleSettings()
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
    groups: dict[str, GroupSettings] = Field(default={})
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
