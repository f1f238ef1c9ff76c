"""Reads the configuration of every process: one frozen object, refused whole.

A file (TOML) and the environment are read once, all problems are reported together. No other module reads either. The
settings themselves are `gateway/settings.py`.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from pydantic import ValidationError

from gateway.catalog_settings import UpstreamSettings
from gateway.domain.pepper import Pepper
from gateway.settings import Config

_ENVIRONMENT_SETTING = re.compile(r"TOLLHOUSE_([A-Z]+)__([A-Z0-9_]+)")
# What pydantic tells in the words of Python, in those of the file.
_IN_TOML = {
    "tuple_type": 'must be a list, such as ["a", "b"]',
    "string_type": "must be text, in quotes",
}
_KEYS_THEMSELVES = {"api_key", "api_keys", "key", "keys"}
_MISSPELT_SETTING = re.compile(
    rf"TOLLHOUSE_({'|'.join(Config.model_fields)})_([A-Z0-9_]+)", re.IGNORECASE
)

# Settings that are secrets, and so may stand in files, too.
_SECRET_SETTINGS = ("TOLLHOUSE_POSTGRES__DSN", "TOLLHOUSE_REDIS__URL")

# No setting: which admin API commands call (gateway/commands/reach.py).
_ADMIN_URL = "TOLLHOUSE_ADMIN_URL"

_HEADER_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_BYTES = 32
_SECRET_VARIETY = 8


class ConfigError(Exception):
    """Every problem of a configuration, one line each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration with what only the environment knows. `notices` are for the person who starts us."""

    config: Config
    path: Path | None
    upstream_keys: Mapping[str, tuple[str, ...]] = field(repr=False)
    notices: tuple[str, ...]
    left_out: tuple[UpstreamSettings, ...] = ()
    """Upstreams of the file that have no key in this process's environment."""


@dataclass(frozen=True, slots=True)
class ServiceSecrets:
    """Secrets of the admin app at services that it uses; empty where it has none."""

    mail_password: str = field(default="", repr=False)
    oidc_client_secret: str = field(default="", repr=False)
    warnings_secret: str = field(default="", repr=False)


class _Provider(NamedTuple):
    name: str
    variable: str
    dialect: str
    base_url: str
    models: tuple[str, ...]


_CLAUDE, _GEMINI = ("claude-*",), ("gemini-*", "gemma-*")
# Providers' keys that become upstreams by themselves: in the provider's own dialect, and in OpenAI's where it has that:
# https://docs.claude.com/en/api/openai-sdk and https://ai.google.dev/gemini-api/docs/openai
_PROVIDERS = (
    _Provider(
        "openai",
        "OPENAI_API_KEY",
        "openai",
        "https://api.openai.com/v1",
        (
            *("gpt-*", "chatgpt-*", "codex-*", "o1*", "o3*", "o4*", "text-*", "ft:*"),
            *("omni-*", "dall-e-*", "sora-*", "whisper-*", "tts-*"),
        ),
    ),
    _Provider(
        "anthropic", "ANTHROPIC_API_KEY", "anthropic", "https://api.anthropic.com/v1", _CLAUDE
    ),
    _Provider(
        "anthropic-openai", "ANTHROPIC_API_KEY", "openai", "https://api.anthropic.com/v1", _CLAUDE
    ),
    _Provider(
        "gemini",
        "GEMINI_API_KEY",
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        _GEMINI,
    ),
    _Provider(
        "gemini-openai",
        "GEMINI_API_KEY",
        "openai",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        _GEMINI,
    ),
)

PROVIDER_NAMES = frozenset({"demo", *(provider.name for provider in _PROVIDERS)})
"""Upstreams that the environment may make, in this process or in another."""


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
    keys, kept, left_out = {}, [], []
    for upstream in config.upstreams:
        names = upstream.key_names
        given = [_told_text(environment, name, problems) for name in names]
        missing = [name for name, text in zip(names, given, strict=True) if not text]
        unset = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} empty or not set."
        if missing and len(missing) == len(names):
            notices.append(f"Upstream {upstream.name!r} is left out: {unset}")
            left_out.append(upstream)
            continue
        if missing:
            notices.append(f"Upstream {upstream.name!r} has fewer keys: {unset}")
        keys[upstream.name] = tuple(text for text in given if text)
        kept.append(upstream)
    if problems:
        raise ConfigError(problems)
    config = config.model_copy(update={"upstreams": tuple(kept)})
    return Loaded(config, file, keys, tuple(notices), tuple(left_out))


def read_secret(environment: Mapping[str, str], name: str) -> bytes:
    """A 32-byte secret (PEPPER, KEK) from TOLLHOUSE_<name> or the file that TOLLHOUSE_<name>_FILE names.

    64 hexadecimal digits. Raises `ConfigError` saying what is wrong, never what was given.
    """
    variable = f"TOLLHOUSE_{name}"
    text = _text(environment, variable)
    if not text:
        raise ConfigError([f"{variable} or {variable}_FILE must be given: 64 hexadecimal digits"])
    source = variable if environment.get(variable) else _file_of(environment, variable)
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != _SECRET_BYTES or len(set(secret)) < _SECRET_VARIETY:
        raise ConfigError(
            [f"{source}: must be 64 hexadecimal digits, made at random (`openssl rand -hex 32`)"]
        )
    return secret


def read_pepper(environment: Mapping[str, str]) -> Pepper:
    """What digests are made with (PEPPER), and whose digests count beside (PEPPER_PREVIOUS), where it is given.

    Raises `ConfigError`.
    """
    secret, other = read_secret(environment, "PEPPER"), _read_previous(environment, "PEPPER")
    if other == secret:
        raise ConfigError(["TOLLHOUSE_PEPPER_PREVIOUS is the same as TOLLHOUSE_PEPPER: drop it"])
    return Pepper(secret, other)


def read_seal_keys(environment: Mapping[str, str]) -> tuple[bytes, bytes | None]:
    """What secrets are sealed with (KEK), and what they were sealed with before (KEK_PREVIOUS), where it is given.

    Raises `ConfigError`.
    """
    return read_secret(environment, "KEK"), _read_previous(environment, "KEK")


def is_given(environment: Mapping[str, str], name: str) -> bool:
    """Whether the environment has a secret of that name, or the name of its file."""
    return any(environment.get(f"TOLLHOUSE_{name}{form}") for form in ("", "_FILE"))


def _read_previous(environment: Mapping[str, str], name: str) -> bytes | None:
    previous = f"{name}_PREVIOUS"
    return read_secret(environment, previous) if is_given(environment, previous) else None


def read_service_secrets(environment: Mapping[str, str], config: Config) -> ServiceSecrets:
    """What other services ask of the admin app. Raises `ConfigError` naming each variable that is empty."""
    found: dict[str, str] = {}
    problems: list[str] = []
    for setting, name, variable in (
        ("mail.password_env", "mail_password", config.mail.password_env),
        ("oidc.client_secret_env", "oidc_client_secret", config.oidc.client_secret_env),
        ("warnings.webhook_secret_env", "warnings_secret", config.warnings.webhook_secret_env),
    ):
        found[name] = _told_text(environment, variable, problems) if variable else ""
        if variable and not found[name]:
            problems.append(f"{setting}: {variable} is empty or not set")
    if problems:
        raise ConfigError(problems)
    return ServiceSecrets(**found)


def read_trace_headers(environment: Mapping[str, str], config: Config) -> dict[str, str]:
    """What is sent to the collector of spans: `name=value` with commas between, values percent-encoded.

    That is the form of OTEL_EXPORTER_OTLP_HEADERS: https://opentelemetry.io/docs/specs/otel/protocol/exporter/. Raises
    `ConfigError` saying what is wrong, never what was given.
    """
    variable = config.traces.headers_env
    if not variable:
        return {}
    text = _text(environment, variable)
    if not text:
        raise ConfigError([f"traces.headers_env: {variable} is empty or not set"])
    headers = {}
    for each in text.split(","):
        name, sign, value = each.partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not sign or not _HEADER_NAME.fullmatch(name) or not value.isprintable():
            raise ConfigError([f"traces.headers_env: {variable} must be name=value,name=value"])
        headers[name] = value
    return headers


def _text(environment: Mapping[str, str], name: str) -> str:
    """A secret: what the variable `name` holds, else the file that `<name>_FILE` names; empty where neither is given.

    Raises `ConfigError` for a file that holds no text.
    """
    file = environment.get(f"{name}_FILE", "")
    if (text := environment.get(name, "")) or not file:
        return text
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
        problem = "" if text else "is empty"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        problem = "holds bytes that are no UTF-8"
    if problem:
        raise ConfigError([f"{_file_of(environment, name)}: {problem}"])
    return text


def _told_text(environment: Mapping[str, str], name: str, problems: list[str]) -> str:
    """The same; what is wrong is added to `problems`, and the answer empty."""
    try:
        return _text(environment, name)
    except ConfigError as error:
        problems += error.problems
        return ""


def _file_of(environment: Mapping[str, str], name: str) -> str:
    return f"{name}_FILE ({environment[f'{name}_FILE']})"


def _read(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(), parse_float=Decimal)
    except OSError as error:
        problems.append(f"{file}: cannot be read: {error.strerror}")
    except (ValueError, ArithmeticError) as error:  # TOML's own, and of numbers that are too large
        problems.append(f"{file}: is not TOML: {str(error) or 'a number is too large'}")
    except RecursionError:
        problems.append(f"{file}: is nested too deeply")
    return {}


def _override(data: dict[str, Any], environment: Mapping[str, str], problems: list[str]) -> None:
    given = dict(environment)
    for name in _SECRET_SETTINGS:
        if given.pop(f"{name}_FILE", ""):
            given[name] = _told_text(environment, name, problems)
    for name, text in given.items():
        if not (match := _ENVIRONMENT_SETTING.fullmatch(name)):
            if name != _ADMIN_URL and (misspelt := _MISSPELT_SETTING.fullmatch(name)):
                meant = f"TOLLHOUSE_{misspelt[1]}__{misspelt[2]}".upper()
                problems.append(f"{name}: settings are written with two underscores: {meant}")
            continue
        section, setting = match[1].lower(), match[2].lower()
        field = Config.model_fields.get(section)
        known = getattr(field.annotation, "model_fields", None) if field else None
        if known is None or setting not in known:
            problems.append(f"{name}: there is no setting [{section}] {setting}")
            continue
        if any("\ud800" <= character <= "\udfff" for character in text):
            problems.append(f"{name}: holds bytes that are no UTF-8")
            continue
        value: Any = text
        if str(known[setting].annotation).startswith("tuple"):
            value = [part.strip() for part in text.split(",") if part.strip()]
        if isinstance(data.setdefault(section, {}), dict):  # or else the file is told
            data[section][setting] = value


def _upstreams_of(environment: Mapping[str, str]) -> list[dict[str, Any]]:
    if demo := environment.get("TOLLHOUSE_DEMO_URL"):
        return [{"name": "demo", "base_url": demo, "models": ["demo", "demo-embedding"]}]
    return [
        {
            "name": provider.name,
            "dialect": provider.dialect,
            "base_url": provider.base_url,
            "api_key_env": provider.variable,
            "models": provider.models,
        }
        for provider in _PROVIDERS
        if environment.get(provider.variable) or environment.get(f"{provider.variable}_FILE")
    ]


def _problem(detail: Any) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "configuration"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "there is no such setting"
        if detail["loc"][0] == "upstreams" and detail["loc"][-1] in _KEYS_THEMSELVES:
            message += "; api_key_env names the environment variable that holds the key"
    return f"{place}: {_IN_TOML.get(detail['type'], message)}"
