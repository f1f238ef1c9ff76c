"""The typed configuration of every process: one frozen object, refused whole.

A file (TOML) and the environment are read once, all problems are reported together. No other module reads either.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from gateway.domain.limits import RINGS
from gateway.domain.network import BlockError, parse_blocks

_ENVIRONMENT_SETTING = re.compile(r"TOLLHOUSE_([A-Z]+)__([A-Z0-9_]+)")
_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):(\d{1,5})")

_SECRET_BYTES = 32
_SECRET_VARIETY = 8

Seconds = Annotated[float, Field(gt=0)]
Usd = Annotated[Decimal, Field(ge=0)]


class ConfigError(Exception):
    """Every problem of a configuration, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _listen(value: str) -> str:
    if not (match := _LISTEN.fullmatch(value)) or int(match[2]) > 65535:  # noqa: PLR2004
        raise ValueError('must be "host:port", such as "127.0.0.1:8080" or "[::]:8080"')
    return value


def _blocks(value: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return parse_blocks(value)
    except BlockError as error:
        raise ValueError(str(error)) from None


class GatewaySettings(_Section):
    """[gateway]: the data plane."""

    listen: str = "127.0.0.1:8080"
    public_url: str = ""
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    trusted_proxies: tuple[str, ...] = ()
    max_body_bytes: Annotated[int, Field(ge=1024)] = 33_554_432
    drain_s: Seconds = 120
    lame_duck_s: Annotated[float, Field(ge=0)] = 0
    head_timeout_s: Seconds = 10
    keepalive_timeout_s: Seconds = 75

    _check_listen = field_validator("listen")(_listen)
    _check_proxies = field_validator("trusted_proxies")(_blocks)


class AdminSettings(_Section):
    """[admin]: the admin API."""

    listen: str = "127.0.0.1:8081"
    public_url: str = ""
    registration: Literal["open", "invite", "closed"] = "closed"
    trusted_proxies: tuple[str, ...] = ()
    max_tokens_per_user: Annotated[int, Field(ge=1)] = 1000

    _check_listen = field_validator("listen")(_listen)
    _check_proxies = field_validator("trusted_proxies")(_blocks)


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
    operation_timeout_s: Seconds = 1.0

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
    on_store_loss: Literal["deny", "allow"] = "deny"
    exhausted_status: Literal[429, 402] = 429
    lease_s: Seconds = 60
    pause_s: Seconds = 3
    sweep_s: Seconds = 10
    post_interval_s: Seconds = 0.1

    @field_validator("units_per_usd")
    @classmethod
    def _check_units(cls, value: int) -> int:
        if 1_000_000_000 % value:
            raise ValueError("must divide 1,000,000,000, so that a unit is whole nano-dollars")
        return value


class LogSettings(_Section):
    """[log]: where lines go. `-` is standard output."""

    access: str = "-"


class LimitSettings(_Section):
    """One limit of a group or token."""

    metric: Literal["requests", "tokens", "usd"]
    window: Literal["1m", "5h", "1d", "7d", "30d", "month"]
    limit: Usd
    mode: Literal["sliding", "calendar"] = "sliding"
    models: tuple[str, ...] | None = None
    time_zone: str = "UTC"

    @field_validator("time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value!r} is no IANA time zone, such as Europe/Berlin") from None
        return value

    @model_validator(mode="after")
    def _check_mode(self) -> Self:
        if self.mode == "sliding" and self.window not in RINGS:
            raise ValueError(f'window = "{self.window}" needs mode = "calendar"')
        if self.mode == "calendar" and self.window not in {"1d", "month"}:
            raise ValueError('mode = "calendar" knows the windows "1d" and "month"')
        if self.metric != "usd" and self.limit != int(self.limit):
            raise ValueError(f"a limit of {self.metric} is a whole number")
        return self


class TokenDefaultSettings(_Section):
    """[groups.NAME.token_defaults]: what applies where a token leaves the field null."""

    models: tuple[str, ...] | None = None
    allow_ips: tuple[str, ...] = ()
    deny_ips: tuple[str, ...] = ()
    limits: tuple[LimitSettings, ...] = ()
    max_concurrency: Annotated[int, Field(ge=1)] | None = None

    _check_blocks = field_validator("allow_ips", "deny_ips")(_blocks)


class GroupSettings(_Section):
    """[groups.NAME]."""

    description: str = ""
    models: tuple[str, ...] = ("*",)
    upstreams: tuple[str, ...] = ("*",)
    ratio: Annotated[Decimal, Field(ge=0, le=1000)] = Decimal(1)
    limits: tuple[LimitSettings, ...] = ()
    max_concurrency: Annotated[int, Field(ge=1)] | None = None
    token_defaults: TokenDefaultSettings = TokenDefaultSettings()


class ModelSettings(_Section):
    """[[models]]: a model's price and bounds. A price is given whole (input and output) or not at all."""

    name: Annotated[str, Field(min_length=1)]
    input_usd_per_mtok: Usd | None = None
    output_usd_per_mtok: Usd | None = None
    cached_input_usd_per_mtok: Usd | None = None
    cache_write_usd_per_mtok: Usd | None = None
    request_usd: Usd = Decimal(0)
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    default_output_tokens: Annotated[int, Field(ge=1)] = 16_384
    max_input_tokens: Annotated[int, Field(ge=1)] | None = None
    max_output_field: Literal["max_tokens", "max_completion_tokens", "max_output_tokens"] | None = (
        None
    )
    bytes_per_token: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _check_price(self) -> Self:
        if (self.input_usd_per_mtok is None) != (self.output_usd_per_mtok is None):
            raise ValueError("input_usd_per_mtok and output_usd_per_mtok belong together")
        return self


class UpstreamSettings(_Section):
    """[[upstreams]]: a provider."""

    name: Annotated[str, Field(min_length=1)]
    dialect: Literal["openai", "anthropic", "gemini"] = "openai"
    base_url: str
    api_key_env: str = ""
    models: tuple[str, ...] | dict[str, str] = ("*",)
    weight: Annotated[int, Field(ge=1)] = 1
    priority: int = 0
    ca_file: str = ""
    connect_timeout_s: Seconds = 5
    first_byte_timeout_s: Seconds = 60
    idle_timeout_s: Seconds = 120
    total_timeout_s: Seconds = 900
    on_disconnect: Literal["abort", "drain"] = "abort"

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
        return value.rstrip("/")


class Config(_Section):
    """The whole configuration."""

    gateway: GatewaySettings = GatewaySettings()
    admin: AdminSettings = AdminSettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    keys: KeySettings = KeySettings()
    quota: QuotaSettings = QuotaSettings()
    log: LogSettings = LogSettings()
    groups: dict[str, GroupSettings] = {}
    models: tuple[ModelSettings, ...] = ()
    upstreams: tuple[UpstreamSettings, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for kind, names in (
            ("models", [model.name for model in self.models]),
            ("upstreams", [upstream.name for upstream in self.upstreams]),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{kind}: {', '.join(twice)} named twice")
        known = {upstream.name for upstream in self.upstreams}
        for name, group in self.groups.items():
            if unknown := set(group.upstreams) - known - {"*"}:
                raise ValueError(
                    f"groups.{name}.upstreams: no upstream is named {', '.join(sorted(unknown))}"
                )
        return self


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with what only the environment knows. `notices` are for the person who starts us."""

    config: Config
    path: Path | None
    upstream_keys: Mapping[str, str]
    notices: tuple[str, ...]


# Providers' keys that become upstreams by themselves, through each provider's OpenAI-compatible endpoint:
# https://docs.anthropic.com/en/api/openai-sdk and https://ai.google.dev/gemini-api/docs/openai
_PROVIDERS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "openai",
        "OPENAI_API_KEY",
        "https://api.openai.com/v1",
        ("gpt-*", "chatgpt-*", "codex-*", "o1*", "o3*", "o4*", "text-*", "ft:*"),
    ),
    ("anthropic", "ANTHROPIC_API_KEY", "https://api.anthropic.com/v1", ("claude-*",)),
    (
        "gemini",
        "GEMINI_API_KEY",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("gemini-*", "gemma-*"),
    ),
)


def config_path(environment: Mapping[str, str], given: str | None = None) -> Path | None:
    """The file to read: the one given, else TOLLHOUSE_CONFIG, else ./config.toml where there is one."""
    named = given or environment.get("TOLLHOUSE_CONFIG")
    if named:
        return Path(named)
    default = Path("config.toml")
    return default if default.is_file() else None


def load(environment: Mapping[str, str] = os.environ, path: str | None = None) -> Loaded:
    """Read file and environment. Raises `ConfigError` with every problem found."""
    file = config_path(environment, path)
    problems: list[str] = []
    data = _read(file, problems) if file else {}
    _override(data, environment, problems)
    notices: list[str] = []
    if not data.get("upstreams"):
        data["upstreams"] = _upstreams_of(environment)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems += [_problem(detail) for detail in error.errors()]
        raise ConfigError(problems) from None
    if problems:
        raise ConfigError(problems)
    keys, kept = {}, []
    for upstream in config.upstreams:
        key = environment.get(upstream.api_key_env, "") if upstream.api_key_env else ""
        if upstream.api_key_env and not key:
            notices.append(
                f"Upstream {upstream.name!r} is left out: {upstream.api_key_env} is empty or not set."
            )
            continue
        keys[upstream.name] = key
        kept.append(upstream)
    return Loaded(config.model_copy(update={"upstreams": tuple(kept)}), file, keys, tuple(notices))


def read_secret(environment: Mapping[str, str], name: str) -> bytes:
    """A 32-byte secret (PEPPER, KEK) from TOLLHOUSE_<name> or the file that TOLLHOUSE_<name>_FILE names.

    64 hexadecimal digits. Raises `ConfigError` saying what is wrong, never what was given.
    """
    variable = f"TOLLHOUSE_{name}"
    text = environment.get(variable)
    source = variable
    if not text and (file := environment.get(f"{variable}_FILE")):
        source = f"{variable}_FILE ({file})"
        try:
            text = Path(file).read_text().strip()
        except OSError as error:
            raise ConfigError([f"{source}: cannot be read: {error.strerror}"]) from None
    if not text:
        raise ConfigError([f"{variable} or {variable}_FILE must be given: 64 hexadecimal digits"])
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != _SECRET_BYTES or len(set(secret)) < _SECRET_VARIETY:
        raise ConfigError(
            [f"{source}: must be 64 hexadecimal digits, made at random (`openssl rand -hex 32`)"]
        )
    return secret


def _read(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(), parse_float=Decimal)
    except OSError as error:
        problems.append(f"{file}: cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{file}: is not TOML: {error}")
    return {}


def _override(data: dict[str, Any], environment: Mapping[str, str], problems: list[str]) -> None:
    for name, text in environment.items():
        if not (match := _ENVIRONMENT_SETTING.fullmatch(name)):
            continue
        section, setting = match[1].lower(), match[2].lower()
        field = Config.model_fields.get(section)
        known = getattr(field.annotation, "model_fields", None) if field else None
        if known is None or setting not in known:
            problems.append(f"{name}: there is no setting [{section}] {setting}")
            continue
        value: Any = text
        if str(known[setting].annotation).startswith("tuple"):
            value = [part.strip() for part in text.split(",") if part.strip()]
        data.setdefault(section, {})[setting] = value


def _upstreams_of(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    if demo := environment.get("TOLLHOUSE_DEMO_URL"):
        return [{"name": "demo", "base_url": demo, "models": ["demo", "demo-embedding"]}]
    return [
        {"name": name, "base_url": url, "api_key_env": variable, "models": models}
        for name, variable, url, models in _PROVIDERS
        if environment.get(variable)
    ]


def _problem(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "configuration"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "there is no such setting"
    return f"{place}: {message}"
