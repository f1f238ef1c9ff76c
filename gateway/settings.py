"""The shape of the configuration: every setting with its type, bounds and default. Pure.

`config.example.toml` describes them for people; a test holds the two together. `gateway/config.py` reads them. What
stands in the catalog is `gateway/catalog_settings.py`'s, what only the admin app reads `gateway/admin_settings.py`'s.
"""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from gateway.admin_settings import (
    AdminSettings,
    ConsoleSettings,
    MailSettings,
    OidcSettings,
    WarningSettings,
    WebhookSettings,
)
from gateway.catalog_settings import (
    GroupSettings,
    ModelSettings,
    RouteSettings,
    UpstreamSettings,
)
from gateway.domain.store_url import read_store_url
from gateway.setting_types import Listener, Seconds, Section, Variable, check_listen

_SHORTEST_MONTH_H = 28 * 24


class GatewaySettings(Listener):
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

    _check_listen = field_validator("listen")(check_listen)


class PostgresSettings(Section):
    """[postgres]: empty DSN = embedded."""

    dsn: SecretStr = SecretStr("")
    bin_dir: str = ""
    pool_size: Annotated[int, Field(ge=2, le=100)] = 6
    statement_timeout_s: Seconds = 10


class RedisSettings(Section):
    """[redis]: empty URL = embedded."""

    url: SecretStr = SecretStr("")
    bin_dir: str = ""
    operation_timeout_s: Seconds = 0.5

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr) -> SecretStr:
        if url := value.get_secret_value():
            read_store_url(url)
        return value


class KeySettings(Section):
    """[keys]: how secrets are kept and looked up."""

    recoverable: bool = False
    cache_s: Seconds = 10
    cache_bytes: Annotated[int, Field(ge=65_536)] = 268_435_456


class QuotaSettings(Section):
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


class LedgerSettings(Section):
    """[ledger]: how long its rows are kept. `tollhouse run` and `tollhouse migrate` write it into the database."""

    retention_months: Annotated[int, Field(ge=0, le=1200)] = 0

    @field_validator("retention_months")
    @classmethod
    def _check_retention(cls, value: int) -> int:
        if value == 1:
            raise ValueError(
                "must be 0 (for ever), or 2 and more: limits of 30 days are counted from these rows"
            )
        return value


class LogSettings(Section):
    """[log]: where lines go. `-` is standard output."""

    access: str = "-"


class MetricsSettings(Section):
    """[metrics]: figures for a monitoring system; empty = none are served."""

    listen: str = ""

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str) -> str:
        return check_listen(value) if value else value


class TraceSettings(Section):
    """[traces]: spans of calls for an OpenTelemetry collector; no endpoint = none are made."""

    otlp_endpoint: str = ""
    ratio: Annotated[float, Field(ge=0, le=1)] = 0.1
    headers_env: Variable = ""

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and not (parts.scheme in {"http", "https"} and parts.hostname):
            raise ValueError("must be an http:// or https:// URL, such as http://127.0.0.1:4318")
        if parts.query or parts.fragment or parts.username:
            raise ValueError("may hold no user, query or fragment; headers_env is for secrets")
        return value


class Config(Section):
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
    ledger: LedgerSettings = LedgerSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    traces: TraceSettings = TraceSettings()
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
    def _check_retention(self) -> Self:
        months = self.ledger.retention_months
        if months and self.quota.outbox_hours >= months * _SHORTEST_MONTH_H:
            raise ValueError(
                "ledger.retention_months: quota.outbox_hours reaches further back than these months, and what is "
                "posted again from there would count twice"
            )
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
