"""The settings that only the admin app reads: its port, the console, how people sign in and are written to. Pure."""

import re
from decimal import Decimal
from email.utils import parseaddr
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gateway.domain.emails import is_email
from gateway.domain.network import parse_blocks
from gateway.domain.outbound import is_literal
from gateway.setting_types import Listener, Seconds, Section, Variable, check_listen

# What is invisible, breaks lines or turns the direction of what follows.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class AdminSettings(Listener):
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

    _check_listen = field_validator("listen")(check_listen)
    _check_cidrs = field_validator("upstream_cidrs")(parse_blocks)


class ConsoleSettings(Section):
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


class MailSettings(Section):
    """[mail]: the server that e-mail is handed to; no host = none is sent."""

    host: str = ""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str = ""
    username: str = ""
    password_env: Variable = ""
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


class WebhookSettings(Section):
    """[webhooks]: calls that tell others of what happened."""

    allow_cidrs: tuple[str, ...] = ()
    timeout_s: Seconds = 10

    _check_cidrs = field_validator("allow_cidrs")(parse_blocks)


class OidcSettings(Section):
    """[oidc]: an OpenID provider with which people sign in; no issuer = none."""

    issuer: str = ""
    name: str = "Single sign-on"
    client_id: str = ""
    client_secret_env: Variable = ""
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


class WarningSettings(Section):
    """[warnings]: what people are told before it stops. Sent by the admin app."""

    interval_s: Annotated[float, Field(ge=0)] = 10
    percent: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (80, 100)
    days: tuple[Annotated[int, Field(ge=1, le=365)], ...] = (7, 1)
    upstream_out_s: Annotated[float, Field(ge=0)] = 60
    mail: tuple[Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = ()
    webhook_url: str = ""
    webhook_secret_env: Variable = ""

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
