"""config.example.toml is usable, complete and true."""

import re
import tomllib
import typing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

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
    LimitSettings,
    ModelSettings,
    RouteSettings,
    SubscriptionSettings,
    TierSettings,
    TokenDefaultSettings,
    UpstreamSettings,
)
from gateway.config import load
from gateway.settings import (
    Config,
    GatewaySettings,
    KeySettings,
    LedgerSettings,
    LogSettings,
    MetricsSettings,
    PostgresSettings,
    QuotaSettings,
    RedisSettings,
    TraceSettings,
)

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
SECTIONS: dict[type[BaseModel], tuple[str | int, ...]] = {
    GatewaySettings: ("gateway",),
    AdminSettings: ("admin",),
    ConsoleSettings: ("console",),
    MailSettings: ("mail",),
    OidcSettings: ("oidc",),
    WebhookSettings: ("webhooks",),
    PostgresSettings: ("postgres",),
    RedisSettings: ("redis",),
    KeySettings: ("keys",),
    QuotaSettings: ("quota",),
    LedgerSettings: ("ledger",),
    LogSettings: ("log",),
    MetricsSettings: ("metrics",),
    TraceSettings: ("traces",),
    WarningSettings: ("warnings",),
    GroupSettings: ("groups", "default"),
    LimitSettings: ("groups", "default", "limits", 0),
    SubscriptionSettings: ("groups", "default", "subscription"),
    TokenDefaultSettings: ("groups", "default", "token_defaults"),
    ModelSettings: ("models", 0),
    TierSettings: ("models", 0, "tiers", 0),
    RouteSettings: ("routes", 0),
    UpstreamSettings: ("upstreams", 0),
}


def everything() -> Any:
    """The file with every commented setting and table switched on."""
    text = re.sub(r"^#(?=\[|[a-z0-9_]+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    return tomllib.loads(text, parse_float=Decimal)


def section(path: tuple[str | int, ...]) -> Any:
    found = everything()
    for step in path:
        found = found[step]
    return found


def test_as_it_stands_it_says_nothing_but_defaults() -> None:
    loaded = load({}, str(EXAMPLE))
    assert loaded.config == Config(groups={"default": GroupSettings()})
    assert loaded.notices == ()


def test_with_every_comment_switched_on_it_is_a_valid_configuration() -> None:
    config = Config.model_validate(everything())
    assert config.upstreams[0].name == "openai"
    assert config.groups["default"].limits[0].limit == Decimal(1_000_000)


@pytest.mark.parametrize("settings", SECTIONS, ids=lambda settings: settings.__name__)
def test_it_names_every_setting_of_a_section(settings: type[BaseModel]) -> None:
    assert set(section(SECTIONS[settings])) == set(settings.model_fields)


@pytest.mark.parametrize("settings", SECTIONS, ids=lambda settings: settings.__name__)
def test_the_defaults_in_it_are_those_of_the_code(settings: type[BaseModel]) -> None:
    written = settings.model_validate(section(SECTIONS[settings]))
    for name, field in settings.model_fields.items():
        optional = field.is_required() or field.default is None
        if not (optional or holds_tables(field.annotation)):
            assert getattr(written, name) == field.default, name


@pytest.mark.parametrize("settings", SECTIONS, ids=lambda settings: settings.__name__)
def test_what_has_no_default_is_commented_out(settings: type[BaseModel]) -> None:
    active: Any = tomllib.loads(EXAMPLE.read_text(), parse_float=Decimal)
    for step in SECTIONS[settings]:
        if isinstance(step, int) or step not in active:
            return
        active = active[step]
    without_default = {
        name
        for name, field in settings.model_fields.items()
        if field.is_required() or field.default is None
    }
    assert not without_default & set(active)


def test_every_class_of_settings_is_covered() -> None:
    found = {Config}
    todo: list[type[BaseModel]] = [Config]
    while todo:
        for field in todo.pop().model_fields.values():
            new = set(models_in(field.annotation)) - found
            found |= new
            todo += new
    assert found - {Config} == set(SECTIONS)


def test_no_secret_stands_in_it() -> None:
    for path in (("postgres", "dsn"), ("redis", "url")):
        assert SecretStr(section(path)) == SecretStr("")


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def holds_tables(annotation: Any) -> bool:
    return bool(models_in(annotation))
