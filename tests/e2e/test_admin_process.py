"""`python -m admin_api` where it cannot start: it says all that is wrong, and ends with 2."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def start(**environment):
    return subprocess.run(
        [sys.executable, "-m", "admin_api"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_bad_configuration_is_told_whole():
    ended = start(TOLLHOUSE_ADMIN__LISTEN="nonsense", TOLLHOUSE_ADMIN__COLOUR="red")
    assert ended.returncode == 2
    for said in (
        'admin.listen: must be "host:port"',
        "TOLLHOUSE_ADMIN__COLOUR: there is no setting [admin] colour",
        "TOLLHOUSE_PEPPER or TOLLHOUSE_PEPPER_FILE must be given",
    ):
        assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_missing_stores_are_named():
    ended = start(TOLLHOUSE_PEPPER=os.urandom(32).hex())
    assert ended.returncode == 2
    assert "postgres.dsn must be given" in ended.stderr
    assert "redis.url must be given" in ended.stderr


def stores():
    return {
        "TOLLHOUSE_PEPPER": os.urandom(32).hex(),
        "TOLLHOUSE_KEK": os.urandom(32).hex(),
        "TOLLHOUSE_POSTGRES__DSN": "postgresql://u:hunter2@127.0.0.1:1/x",
        "TOLLHOUSE_REDIS__URL": "redis://127.0.0.1:1",
    }


def test_a_taken_port_is_named_with_the_setting_to_change():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = start(TOLLHOUSE_ADMIN__LISTEN=listen, **stores())
    assert ended.returncode == 2
    assert listen in ended.stderr
    assert "admin.listen" in ended.stderr
    assert "TOLLHOUSE_ADMIN__LISTEN" in ended.stderr


def test_a_database_that_does_not_answer_is_told_without_its_password():
    ended = start(TOLLHOUSE_ADMIN__LISTEN="127.0.0.1:0", **stores())
    assert ended.returncode == 2
    assert "Postgres" in ended.stderr
    assert "hunter2" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_sessions_over_plain_http_are_warned_of_at_the_start():
    ended = start(
        TOLLHOUSE_ADMIN__LISTEN="127.0.0.1:0", TOLLHOUSE_ADMIN__INSECURE_HTTP="true", **stores()
    )
    assert "admin.insecure_http is on" in ended.stderr
