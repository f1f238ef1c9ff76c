"""What holds a secret does not print it: neither by itself nor in a message about it."""

import dataclasses
import importlib
import pkgutil
import re
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

import admin_api
import gateway
from admin_api.bodies import Body
from admin_api.catalog.bodies import CreateUpstreamBody
from admin_api.people.bodies import LoginBody
from admin_api.people.link_bodies import ResetBody
from gateway.catalog_settings import UpstreamSettings
from gateway.config import Loaded
from gateway.domain.catalog import Upstream
from gateway.settings import Config
from gateway.store.seal import Seal

CANARY = "canary-0123456789"
NAMED = re.compile(
    r"(?:^|_)(?:secret|password|password_hash|pepper|api_keys|upstream_keys|access_token|session|verifier|nonce|sealed)$"
)
# Names that say "secret" of what is none.
PLAIN = {"Candidate.secret"}  # a digest and a mask


def classes():
    for package in (gateway, admin_api):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if found.name.endswith(
                ("__main__", "answers")
            ):  # types that describe, and are never made
                continue
            module = importlib.import_module(found.name)
            for each in vars(module).values():
                if isinstance(each, type) and each.__module__ == found.name:
                    yield each


def test_no_field_that_is_named_as_a_secret_is_printed():
    printed = set()
    for each in classes():
        if dataclasses.is_dataclass(each):
            fields = {field.name for field in dataclasses.fields(each) if field.repr}
        elif hasattr(each, "_fields"):
            fields = set(each._fields)
        elif issubclass(each, BaseModel) and not issubclass(each, Body):
            fields = {
                name
                for name, field in each.model_fields.items()
                if field.repr and field.annotation is not SecretStr
            }
        else:
            continue
        printed |= {f"{each.__name__}.{name}" for name in fields if NAMED.search(name)}
    assert not printed - PLAIN


@pytest.mark.parametrize(
    "made",
    [
        LoginBody(username="ada", password=CANARY),
        ResetBody(token=CANARY + "-" * 20, password=CANARY + "x" * 20),
        CreateUpstreamBody(name="u", base_url="https://u.example/v1", api_key=CANARY),
    ],
)
def test_a_body_prints_the_names_of_what_was_sent_alone(made):
    for text in (repr(made), str(made), f"{made}"):
        assert CANARY not in text
        assert "=***" in text


def test_settings_print_no_secret():
    upstream = UpstreamSettings(
        name="u",
        base_url="http://u/v1",
        headers={"X-Team": CANARY},
        proxy=f"http://user:{CANARY}@proxy:3128",
    )
    config = Config.model_validate(
        {
            "postgres": {"dsn": f"postgres://u:{CANARY}@db/x"},
            "redis": {"url": f"redis://:{CANARY}@cache"},
            "upstreams": [upstream],
        }
    )
    loaded = Loaded(config, None, {"u": (CANARY,)}, ())
    entry = Upstream(
        "u", "openai", urlsplit("http://u/v1"), (CANARY,), {}, headers=((CANARY, CANARY),)
    )
    seal = Seal(CANARY.encode().ljust(32, b"."))
    for made in (upstream, config, loaded, entry, seal):
        assert CANARY not in f"{made!r} {made}"


@pytest.mark.parametrize(
    ("type_", "given"),
    [
        (LoginBody, {"username": "ada", "password": [CANARY]}),
        (UpstreamSettings, {"name": "u", "base_url": f"ftp://{CANARY}@x"}),
        (Config, {"postgres": {"dsn": {"password": CANARY}}}),
        (Config, {"redis": {"url": f"http://:{CANARY}@x"}}),
    ],
)
def test_what_is_refused_is_not_repeated(type_, given):
    with pytest.raises(ValidationError) as refused:
        type_.model_validate(given)
    assert CANARY not in str(refused.value)
