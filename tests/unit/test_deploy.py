"""The files of deploy/: what they say of Tollhouse is so, and the README says of each what became of it."""

import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from gateway.catalog_settings import UpstreamSettings
from gateway.config import read_secret
from gateway.domain.errors import Reason, Refusal
from gateway.domain.routes import find_route
from gateway.settings import GatewaySettings
from gateway.store.roles import ADMIN, GATEWAY, READER
from gateway.store.valkey import RIGHTS
from tests.documents import ROOT
from tests.e2e.deployed import READERS
from tools.deploy_check import CHECKS, Check, own_checks, run

DEPLOY = ROOT / "deploy"
FRONTS = {
    name: (DEPLOY / name).read_text()
    for name in ("fronts/haproxy.cfg", "fronts/nginx.conf", "fronts/Caddyfile", "compose/Caddyfile")
}
every_front = pytest.mark.parametrize("text", FRONTS.values(), ids=FRONTS)
CALLS = (
    "/v1/chat/completions", "/v1/models", "/v1/messages", "/v1/files", "/v1beta/models", "/v1alpha/models",
    "/v1beta/models/gem:generateContent", "/dashboard/billing/usage", "/api/usage/token", "/api/usage/token/",
)  # fmt: skip


def test_every_path_of_the_gateway_is_among_those_that_fronts_send_there():
    for path in CALLS:
        for method in ("GET", "POST"):
            found = find_route(method, path, lambda: "", ())
            if not isinstance(found, Refusal) or found.reason is not Reason.UNKNOWN_URL:
                break
        else:
            pytest.fail(f"the gateway has no {path}")
    prefixes = {"v1", "v1beta", "v1alpha", "dashboard", "api"}
    assert {path.split("/")[1] for path in CALLS} == prefixes


@every_front
def test_a_front_sends_calls_to_the_gateways(text: str):
    for prefix in ("v1", "v1beta", "v1alpha", "/dashboard/billing/", "/api/usage/token"):
        assert prefix in text


@every_front
def test_a_front_waits_longer_than_any_answer_takes_and_keeps_connections_for_less(text: str):
    longest = UpstreamSettings.model_fields["total_timeout_s"].default
    kept = GatewaySettings.model_fields["keepalive_timeout_s"].default
    assert max(map(int, re.findall(r"\b(\d+)s\b", text))) > longest
    (told,) = re.findall(r"keep-?alive(?:_timeout)? +(\d+)s", text)
    assert int(told) < kept


def test_processes_are_given_longer_to_end_than_they_take():
    settings = {"drain_s": 120, "lame_duck_s": 10}
    assert GatewaySettings.model_fields["drain_s"].default == settings["drain_s"]
    for name, pattern in (
        ("systemd/tollhouse-gateway@.service", r"^TimeoutStopSec=(\d+)"),
        ("compose/compose.yaml", r"stop_grace_period: (\d+)s      #"),
        ("kubernetes/40-gateway.yaml", r"terminationGracePeriodSeconds: (\d+)"),
    ):
        found = re.search(pattern, (DEPLOY / name).read_text(), re.MULTILINE)
        assert found, name
        assert int(found[1]) > sum(settings.values()) + 10


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploy/secrets.sh makes unless it is told otherwise."""
    place = tmp_path_factory.mktemp("deploy")
    subprocess.run([DEPLOY / "secrets.sh"], cwd=place, check=True)
    return place / "secrets"


def test_secrets_are_made_once_each_another_and_for_nobody_else_to_walk_to(
    secrets: Path, tmp_path: Path
):
    assert secrets.stat().st_mode & 0o777 == 0o700
    known = {file.name: file.read_text() for file in secrets.iterdir()}
    again = subprocess.run(
        [DEPLOY / "secrets.sh", secrets], capture_output=True, text=True, check=False
    )
    assert (again.returncode, "nothing was changed" in again.stderr) == (1, True)
    assert {file.name: file.read_text() for file in secrets.iterdir()} == known
    subprocess.run([DEPLOY / "secrets.sh", tmp_path / "others"], check=True)
    every = re.findall(r"[0-9a-f]{64}", "".join(known.values()))
    others = [file.read_text() for file in (tmp_path / "others").iterdir()]
    assert len(set(every)) == 8
    assert not set(every) & set(re.findall(r"[0-9a-f]{64}", "".join(others)))
    for name in ("PEPPER", "KEK"):
        assert read_secret({f"TOLLHOUSE_{name}_FILE": str(secrets / name.lower())}, name)


def test_secrets_are_for_the_servers_of_compose_and_of_users_with_the_rights_of_processes(
    secrets: Path,
):
    services = (DEPLOY / "compose/compose.yaml").read_text()
    for file, scheme in (("gateway_dsn", "postgresql"), ("valkey_url", "redis")):
        parts = urlsplit((secrets / file).read_text().strip())
        assert parts.scheme == scheme
        assert f"\n  {parts.hostname}:\n    image: " in services
    (users,) = re.findall(
        r"^user tollhouse on >\w+ (.*)$", (secrets / "users.acl").read_text(), re.MULTILINE
    )
    assert users == RIGHTS
    roles = (secrets / "roles.sql").read_text()
    for role, file in ((GATEWAY, "gateway_dsn"), (ADMIN, "admin_dsn"), (READER, "reader_dsn")):
        parts = urlsplit((secrets / file).read_text().strip())
        assert f"CREATE ROLE {role} LOGIN PASSWORD '{parts.password}';" in roles
        assert parts.username == role


@pytest.mark.parametrize("way", READERS)
def test_a_process_is_given_its_own_secrets_and_no_other(way: str, secrets: Path):
    common = {"valkey_url", "pepper", "kek"}
    for name, part in READERS[way](secrets).items():
        given = {
            source.name
            for source in part.files.values()
            if isinstance(source, Path) and source.parent == secrets
        }
        assert given == {
            "migrate": {"owner_dsn"},
            "admin": {"admin_dsn", *common},
            "audit": {"reader_dsn", "valkey_url"},
        }.get(name, {"gateway_dsn", *common})
        assert not [each for each in part.environment.values() if re.search("[0-9a-f]{64}", each)]
        assert all((secrets / each).exists() for each in given)


def test_everything_of_kubernetes_is_applied():
    place = DEPLOY / "kubernetes"
    applied = yaml.safe_load((place / "kustomization.yaml").read_text())["resources"]
    assert sorted(applied) == sorted(file.name for file in place.glob("[0-9]*.yaml"))


def test_the_readme_names_every_file():
    text = (DEPLOY / "README.md").read_text()
    for file in DEPLOY.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            name = str(file.relative_to(DEPLOY))
            assert name in text or f"{name.partition('/')[0]}/*`" in text or name == "README.md", (
                name
            )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.tool)
def test_every_file_passes_the_tool_that_it_is_for(check: Check):
    if check.lacks:
        pytest.skip(f"{check.tool}: {check.lacks}")
    assert not run(check)


def test_configurations_are_taken_and_figures_are_there():
    found = dict(own_checks())
    assert "kubernetes/20-config.yaml" in found
    assert not [*filter(None, found.values())]


class _Answers(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("setting", ["TOLLHOUSE_GATEWAY__LISTEN", "TOLLHOUSE_ADMIN__LISTEN"])
def test_the_health_check_finds_the_port_that_answers(port: int, setting: str):
    environment = {
        "TOLLHOUSE_GATEWAY__LISTEN": "0.0.0.0:1",
        "TOLLHOUSE_ADMIN__LISTEN": "0.0.0.0:1",
    }

    def status(**changed: str) -> int:
        command = [sys.executable, DEPLOY / "health.py"]
        return subprocess.run(command, env=environment | changed, check=False).returncode

    assert status() == 1
    assert status(**{setting: f"0.0.0.0:{port}"}) == 0
