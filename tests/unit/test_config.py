"""The configuration: one object, refused whole with every problem."""

from decimal import Decimal
from pathlib import Path

import pytest

from gateway.config import (
    ConfigError,
    config_path,
    load,
    read_secret,
    read_service_secrets,
    read_trace_headers,
)
from gateway.settings import Config

UPSTREAM = '[[upstreams]]\nname = "a"\nbase_url = "https://x"\n'


@pytest.fixture
def write(tmp_path):
    def write_file(text):
        path = tmp_path / "tollhouse.toml"
        path.write_text(text)
        return str(path)

    return write_file


def problems_of(environment, path=None):
    with pytest.raises(ConfigError) as caught:
        load(environment, path)
    return caught.value.problems


def test_nothing_at_all_is_a_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load({})
    assert loaded.config == Config()
    assert loaded.path is None
    assert loaded.config.gateway.listen == "127.0.0.1:8080"


def test_a_file_given_by_name_beats_the_environment_and_the_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_path({}) is None
    (tmp_path / "config.toml").write_text("")
    assert config_path({}) == Path("config.toml")
    assert config_path({"TOLLHOUSE_CONFIG": "b.toml"}) == Path("b.toml")
    assert config_path({"TOLLHOUSE_CONFIG": "b.toml"}, "c.toml") == Path("c.toml")


def test_no_float_touches_money(write):
    loaded = load(
        {},
        write('[[models]]\nname = "m"\ninput_usd_per_mtok = 0.1\noutput_usd_per_mtok = 0.3\n'),
    )
    assert loaded.config.models[0].input_usd_per_mtok == Decimal("0.1")


def test_the_environment_overrides_the_file(write):
    environment = {
        "TOLLHOUSE_ADMIN__LISTEN": "[::1]:9000",
        "TOLLHOUSE_GATEWAY__TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
        "TOLLHOUSE_QUOTA__UNITS_PER_USD": "1000000",
    }
    config = load(environment, write('[admin]\nlisten = "127.0.0.1:1"\n')).config
    assert config.admin.listen == "[::1]:9000"
    assert config.gateway.trusted_proxies == ("10.0.0.0/8", "192.0.2.1")
    assert config.quota.units_per_usd == 1_000_000


def test_all_problems_are_told_at_once(write):
    problems = problems_of(
        {"TOLLHOUSE_GATEWAY__COLOUR": "red", "TOLLHOUSE_NOWHERE__X": "1"},
        write(
            "typo = 1\n"
            '[gateway]\nlisten = "nonsense"\nworkers = -1\n'
            "[quota]\nunits_per_usd = 7\n"
            "[groups.default]\nmodells = []\n"
        ),
    )
    text = "\n".join(problems)
    for said in (
        "TOLLHOUSE_GATEWAY__COLOUR: there is no setting [gateway] colour",
        "TOLLHOUSE_NOWHERE__X: there is no setting [nowhere] x",
        "typo: there is no such setting",
        'gateway.listen: must be "host:port"',
        "gateway.workers: ",
        "quota.units_per_usd: must divide 1,000,000,000",
        "groups.default.modells: there is no such setting",
    ):
        assert said in text
    assert len(problems) == 7


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[gateway]\nlisten = "127.0.0.1:70000"', "gateway.listen"),
        ('[admin]\ntrusted_proxies = ["10.0.0.5/8"]', "the block is 10.0.0.0/8"),
        ('[redis]\nurl = "http://x"', "redis.url: must begin with redis://"),
        ('[redis]\nurl = "redis+sentinel://h"', "redis.url: must end with the name"),
        ("[postgres]\npool_size = 1", "postgres.pool_size"),
        ('[quota]\non_store_loss = "allow"', "needs allow_bounded_nusd above 0"),
        ("[ledger]\nretention_months = 1", "must be 0 (for ever), or 2 and more"),
        (
            "[ledger]\nretention_months = 2\n[quota]\noutbox_hours = 1344",
            "quota.outbox_hours reaches further back",
        ),
        ('[[upstreams]]\nname = "a"\nbase_url = "ftp://x"', "http:// or https:// URL"),
        ('[[upstreams]]\nname = "a"\nbase_url = "https://u:p@x"', "may hold no user"),
        ('[[upstreams]]\nname = "a"\nbase_url = "https://x/a b"', "holds spaces"),
        (UPSTREAM + 'api_key = "sk-1"', "api_key_env names the environment variable that holds"),
        (UPSTREAM + "leave_out = 'seed'", "upstreams.0.leave_out: must be a list"),
        (UPSTREAM + "leave_out = ['se ed']", "upstreams.0.leave_out: must be names of members"),
        (UPSTREAM + "azure_api_version = 2024", "upstreams.0.azure_api_version: must be text"),
        (UPSTREAM + "azure_api_version = 'v1'", "upstreams.0.azure_api_version: must be a date"),
        (UPSTREAM + "dialect = 'gemini'\nform = 'responses'", 'needs dialect = "openai"'),
        ("x = " + "[" * 5000, "is nested too deeply"),
        ("x = " + "9" * 5000, "is not TOML"),
        ("x = 1e99999999999999999999", "is not TOML"),
        (
            '[[models]]\nname = "m"\ninput_usd_per_mtok = 1',
            "input_usd_per_mtok and output_usd_per_mtok belong together",
        ),
        ('[[models]]\nname = "m"\n[[models]]\nname = "m"', "models: m named twice"),
        ('[groups.a]\nupstreams = ["x"]', "no upstream is named x"),
        ('[groups.a]\nmodels = ["gpt-*"]', "'gpt-*' is a pattern, but a list of models has whole"),
        (
            '[groups.a]\nlimits = [{metric = "usd", window = "month", limit = 1}]',
            'needs mode = "calendar"',
        ),
        (
            '[groups.a]\nlimits = [{metric = "requests", window = "1m", limit = 1.5}]',
            "whole number",
        ),
        (
            (
                "[[groups.a.limits]]\nmetric = 'usd'\nwindow = '1d'\nlimit = 1\n"
                "mode = 'calendar'\ntime_zone = 'X'"
            ),
            "no IANA time zone",
        ),
        (
            "[groups.a]\nlimits = [{metric = 'usd', window = '5h', limit = 1, burst = 1}]",
            'burst needs window = "1m" and mode = "sliding"',
        ),
        (
            "[groups.a]\nlimits = [{metric = 'usd', window = '1m', limit = 0, burst = 1}]",
            "must be above 0",
        ),
        (
            "[groups.a]\nlimits = [{metric = 'tokens', window = '1m', limit = 1, burst = 1.5}]",
            "a burst of tokens is a whole number",
        ),
        (
            "[groups.a]\nlimits = [{metric = 'tokens', window = '1m', limit = 1, burst = 1441}]",
            "refilled within a day",
        ),
        ('[admin]\ngateway_url = "gateway:8080"', "admin.gateway_url: must be an http://"),
        ('[admin]\ngateway_url = "http://g/v1"', "admin.gateway_url: is an origin"),
        ('[console]\nname = " "', "console.name: must not be blank"),
        ('[console]\nname = "a\\u0007b"', "console.name: must be one line"),
        (f'[console]\nname = "{"x" * 41}"', "console.name: "),
        ('[console]\nnotice = "a\\nb"', "console.notice: must be one line"),
        ('[console]\nlanguage = "fr"', "console.language: "),
        ('[console]\ncurrency = "yuan"', "console.currency: "),
        ('[console]\ncurrency = "CNY"', "currency needs currency_per_usd"),
        ("[console]\ncurrency_per_usd = 7.1", "currency_per_usd of USD is 1"),
        ("[console]\ncurrency_per_usd = 0", "console.currency_per_usd: "),
        ("[gateway", "is not TOML"),
    ],
)
def test_a_bad_setting_is_named_with_its_rule(write, text, said):
    assert said in "\n".join(problems_of({}, write(text)))


def test_a_file_that_is_not_there_is_named(tmp_path):
    missing = str(tmp_path / "missing.toml")
    assert problems_of({}, missing) == [f"{missing}: cannot be read: No such file or directory"]


def test_secrets_are_hidden_when_a_configuration_is_printed(write):
    text = '[postgres]\ndsn = "postgresql://u:hunter2@h/d"\n[redis]\nurl = "redis://:hunter2@h"\n'
    assert "hunter2" not in repr(load({}, write(text)).config)


def test_a_providers_key_in_the_environment_is_an_upstream_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = load({"OPENAI_API_KEY": "sk-provider"})
    assert [upstream.name for upstream in loaded.config.upstreams] == ["openai"]
    assert loaded.upstream_keys == {"openai": ("sk-provider",)}


def test_an_upstream_without_its_key_is_named_and_left_out(write):
    loaded = load(
        {"B_KEY": "b"},
        write(
            '[[upstreams]]\nname = "a"\nbase_url = "https://a/v1"\napi_key_env = "A_KEY"\n'
            '[[upstreams]]\nname = "b"\nbase_url = "https://b/v1/"\napi_key_env = "B_KEY"\n'
        ),
    )
    assert [upstream.name for upstream in loaded.config.upstreams] == ["b"]
    assert loaded.config.upstreams[0].base_url == "https://b/v1"
    assert "A_KEY" in loaded.notices[0]


@pytest.mark.parametrize(
    "table",
    [
        UPSTREAM + "api_key_env = 'sk-secret'",
        UPSTREAM + "api_key_envs = ['A', 'sk-secret']",
        "[mail]\npassword_env = 'sk-secret'",
        "[traces]\nheaders_env = 'sk-secret'",
    ],
)
def test_a_secret_in_the_place_of_its_variable_is_refused_and_not_told(write, table):
    (problem,) = problems_of({}, write(table))
    assert "must be the name of an environment variable" in problem
    assert "sk-secret" not in problem


def test_an_upstream_may_have_several_keys_and_lacks_those_that_are_not_set(write):
    table = (
        '[[upstreams]]\nname = "a"\nbase_url = "https://a/v1"\napi_key_envs = ["A1", "A2", "A3"]\n'
    )
    loaded = load({"A1": "one", "A2": "", "A3": "three"}, write(table))
    assert loaded.upstream_keys == {"a": ("one", "three")}
    assert loaded.notices == ("Upstream 'a' has fewer keys: A2 is empty or not set.",)
    none = load({}, write(table))
    assert not none.config.upstreams
    assert none.notices == ("Upstream 'a' is left out: A1, A2, A3 are empty or not set.",)


def test_an_upstream_names_its_keys_in_one_way(write):
    text = '[[upstreams]]\nname = "a"\nbase_url = "https://a/v1"\napi_key_env = "A"\napi_key_envs = ["B"]\n'
    assert "not both" in "\n".join(problems_of({}, write(text)))


def test_a_secret_is_read_from_the_environment_or_a_file(tmp_path):
    secret = bytes(range(32))
    file = tmp_path / "pepper"
    file.write_text(secret.hex() + "\n")
    assert read_secret({"TOLLHOUSE_PEPPER": secret.hex()}, "PEPPER") == secret
    assert read_secret({"TOLLHOUSE_PEPPER_FILE": str(file)}, "PEPPER") == secret


def test_whatever_is_secret_may_stand_in_a_file_and_the_variable_itself_wins(write, tmp_path):
    texts = {
        "TOLLHOUSE_POSTGRES__DSN": "postgresql://u:p@db/x",
        "TOLLHOUSE_REDIS__URL": "redis://u:p@store:6379/0",
        "A1": "one",
        "A2": "two",
        "MAIL": "mail",
        "OTEL": "a=b",
    }
    environment = {}
    for name, text in texts.items():
        (tmp_path / name).write_text(f"{text}\n")
        environment[f"{name}_FILE"] = str(tmp_path / name)
    loaded = load(
        environment | {"A2": "", "A3": "three", "A3_FILE": "/nowhere"},
        write(
            '[mail]\npassword_env = "MAIL"\n[traces]\nheaders_env = "OTEL"\n[[upstreams]]\nname = "a"\n'
            'base_url = "https://a/v1"\napi_key_envs = ["A1", "A2", "A3"]\n'
        ),
    )
    config = loaded.config
    assert config.postgres.dsn.get_secret_value() == texts["TOLLHOUSE_POSTGRES__DSN"]
    assert config.redis.url.get_secret_value() == texts["TOLLHOUSE_REDIS__URL"]
    assert loaded.upstream_keys == {"a": ("one", "two", "three")}
    assert read_service_secrets(environment, config).mail_password == "mail"
    assert read_trace_headers(environment, config) == {"a": "b"}
    (named,) = load(
        {"GEMINI_API_KEY_FILE": str(tmp_path / "A1")}, write("")
    ).upstream_keys.keys() - {"gemini-openai"}
    assert named == "gemini"


def test_a_file_that_holds_no_secret_is_named(write, tmp_path):
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff")
    told = problems_of(
        {
            "TOLLHOUSE_POSTGRES__DSN_FILE": "/nowhere/dsn",
            "TOLLHOUSE_REDIS__URL_FILE": str(tmp_path / "empty"),
            "OPENAI_API_KEY_FILE": str(tmp_path / "bytes"),
            "TOLLHOUSE_GATEWAY__LISTEN_FILE": "/nowhere/listen",
        },
        write(""),
    )
    assert told == [
        "TOLLHOUSE_POSTGRES__DSN_FILE (/nowhere/dsn): cannot be read: No such file or directory",
        f"TOLLHOUSE_REDIS__URL_FILE ({tmp_path}/empty): is empty",
        "TOLLHOUSE_GATEWAY__LISTEN_FILE: there is no setting [gateway] listen_file",
        f"OPENAI_API_KEY_FILE ({tmp_path}/bytes): holds bytes that are no UTF-8",
    ]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TOLLHOUSE_PEPPER": ""},
        {"TOLLHOUSE_PEPPER": "hunter2"},
        {"TOLLHOUSE_PEPPER": "00" * 32},
        {"TOLLHOUSE_PEPPER": "0123" * 20},
        {"TOLLHOUSE_PEPPER_FILE": "/nowhere/pepper"},
    ],
)
def test_a_missing_or_weak_secret_is_refused_without_being_shown(environment):
    with pytest.raises(ConfigError) as caught:
        read_secret(environment, "PEPPER")
    (problem,) = caught.value.problems
    assert "TOLLHOUSE_PEPPER" in problem
    assert "hunter2" not in problem


def test_a_setting_with_one_underscore_is_told_how_it_is_written() -> None:
    with pytest.raises(ConfigError, match="TOLLHOUSE_GATEWAY__LISTEN"):
        load({"TOLLHOUSE_GATEWAY_LISTEN": "127.0.0.1:1"})


@pytest.mark.parametrize("name", ["", "a b", 'a"', "a\\n", "a\\t"])
def test_an_upstreams_name_can_stand_in_a_log_line(tmp_path: Path, name: str) -> None:
    file = tmp_path / "config.toml"
    quoted = name.replace('"', '\\"')
    file.write_text(f'[[upstreams]]\nname = "{quoted}"\nbase_url = "http://127.0.0.1/v1"\n')
    with pytest.raises(ConfigError, match=r"upstreams\.0\.name"):
        load({}, str(file))
