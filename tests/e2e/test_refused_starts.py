"""`tollhouse` where it cannot or must not do what it is asked: it says all that is wrong, and how to go on."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import __version__
from gateway.embedded.state import StateDirectory
from tests.chaos.processes import free_port
from tests.e2e.product import folder, tollhouse

DEAD_DSN = "postgresql://u:hunter2@127.0.0.1:1/x"
DEAD_URL = "redis://:hunter2@127.0.0.1:1"


@pytest.fixture
def place() -> Iterator[Path]:
    with folder() as made:
        yield made


def secrets() -> dict[str, str]:
    return {f"TOLLHOUSE_{name}": os.urandom(32).hex() for name in ("PEPPER", "KEK")}


def servers_in(place: Path) -> list[str]:
    return [name for name in ("pg", "vk") if (place / "state" / name).exists()]


@pytest.mark.parametrize("section", ["gateway", "admin"])
def test_a_taken_port_is_named_with_the_setting_to_change(place: Path, section: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = tollhouse(place, "run", **{f"TOLLHOUSE_{section.upper()}__LISTEN": listen})
    assert ended.returncode == 2
    assert f"{listen} cannot be listened on: Address already in use" in ended.stderr
    assert f"{section}.listen" in ended.stderr
    assert f"TOLLHOUSE_{section.upper()}__LISTEN=127.0.0.1:" in ended.stderr
    assert servers_in(place) == []


@pytest.mark.parametrize("second", ["admin", "metrics"])
def test_one_port_for_two_is_refused_though_nobody_has_it(place: Path, second: str):
    listen = f"127.0.0.1:{free_port()}"
    settings = {f"TOLLHOUSE_{name.upper()}__LISTEN": listen for name in ("gateway", second)}
    ended = tollhouse(place, "run", **settings)
    assert ended.returncode == 2
    assert f"{listen} cannot be listened on: Address already in use" in ended.stderr
    assert f"the setting {second}.listen, for example" in ended.stderr
    assert servers_in(place) == []


@pytest.mark.parametrize("command", ["run", "check-config"])
def test_a_bad_configuration_is_told_whole(place: Path, command: str):
    (place / "config.toml").write_text(
        '[gateway]\nlisten = "nonsense"\ncolour = "red"\n[quota]\nlease_s = -1\n'
    )
    ended = tollhouse(
        place,
        command,
        TOLLHOUSE_GATEWAY__LISTEN="also nonsense",
        TOLLHOUSE_ADMIN__COLOUR="blue",
    )
    assert ended.returncode == 2
    for said in (
        'tollhouse: gateway.listen: must be "host:port"',
        "tollhouse: gateway.colour: there is no such setting",
        "tollhouse: quota.lease_s: ",
        "tollhouse: TOLLHOUSE_ADMIN__COLOUR: there is no setting [admin] colour",
    ):
        assert said in ended.stderr
    assert "Traceback" not in ended.stderr
    assert servers_in(place) == []


@pytest.mark.parametrize(
    ("setting", "address"), [("postgres.dsn", DEAD_DSN), ("redis.url", DEAD_URL)]
)
def test_a_named_store_that_does_not_answer_is_never_replaced_by_an_embedded_one(
    place: Path, setting: str, address: str
):
    variable = "TOLLHOUSE_" + setting.upper().replace(".", "__")
    ended = tollhouse(place, "run", **secrets(), **{variable: address})
    assert ended.returncode == 2
    assert f"the server of {setting} cannot be used" in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr
    assert servers_in(place) == []


def test_an_address_that_is_none_is_told_as_configuration(place: Path):
    ended = tollhouse(place, "run", **secrets(), TOLLHOUSE_POSTGRES__DSN="mysql://u:hunter2@h/x")
    assert ended.returncode == 2
    assert "tollhouse: postgres.dsn: " in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_with_a_database_of_ones_own_missing_secrets_are_named(place: Path):
    ended = tollhouse(place, "run", TOLLHOUSE_POSTGRES__DSN=DEAD_DSN)
    assert ended.returncode == 2
    for name in ("PEPPER", "KEK"):
        assert f"TOLLHOUSE_{name} or TOLLHOUSE_{name}_FILE must be given" in ended.stderr
    assert not (place / "state" / "secrets").exists()


def test_a_secret_that_is_none_is_told_without_showing_it(place: Path):
    ended = tollhouse(place, "run", TOLLHOUSE_PEPPER="hunter2" * 9)
    assert ended.returncode == 2
    assert "TOLLHOUSE_PEPPER: must be 64 hexadecimal digits" in ended.stderr
    assert "hunter2" not in ended.stderr


def test_a_state_directory_that_cannot_be_made_is_told_with_its_variable(place: Path):
    (place / "file").write_text("")
    ended = tollhouse(place, "run", TOLLHOUSE_STATE=str(place / "file" / "state"))
    assert ended.returncode == 2
    assert "TOLLHOUSE_STATE" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_password_cannot_be_made_while_nothing_runs(place: Path):
    ended = tollhouse(place, "user", "password", "admin")
    assert ended.returncode == 2
    assert "no `tollhouse run` is up" in ended.stderr


def test_a_good_configuration_is_called_good_and_its_upstreams_named(place: Path):
    (place / "config.toml").write_text(
        '[[upstreams]]\nname = "here"\nbase_url = "http://127.0.0.1:1/v1"\n'
        '[[upstreams]]\nname = "there"\nbase_url = "http://127.0.0.1:1/v1"\napi_key_env = "NOT_SET"\n'
    )
    ended = tollhouse(place, "check-config")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "config.toml: good. Upstreams: here." in ended.stdout
    assert "'there' is left out: NOT_SET is empty or not set" in ended.stdout


def test_the_version_is_that_of_the_package(place: Path):
    assert tollhouse(place, "--version").stdout == f"tollhouse {__version__}\n"


@pytest.fixture
def left(place: Path) -> Path:
    """A state directory that nobody uses, with something in it."""
    with StateDirectory.open(place / "state") as state:
        state.secret("pepper")
    return place / "state"


@pytest.mark.parametrize("typed", ["", "yes\n"])
def test_reset_asks_and_takes_anything_but_its_name_for_a_no(place: Path, left: Path, typed: str):
    ended = tollhouse(place, "reset", typed=typed)
    assert ended.returncode == 1
    assert "all keys, accounts and the ledger" in ended.stdout
    assert "Nothing was deleted." in ended.stdout
    assert (left / "secrets" / "pepper").exists()


def test_reset_deletes_the_state_once_its_name_is_typed(place: Path, left: Path):
    ended = tollhouse(place, "reset", typed="reset\n")
    assert (ended.returncode, ended.stderr) == (0, "Type 'reset' to go on:\n")
    assert not left.exists()


def test_reset_deletes_nothing_that_is_no_state_directory(place: Path):
    precious = place / "state" / "precious"
    precious.parent.mkdir()
    precious.write_text("")
    ended = tollhouse(place, "reset", "--yes")
    assert ended.returncode == 1
    assert "is no state directory" in ended.stderr
    assert precious.exists()
