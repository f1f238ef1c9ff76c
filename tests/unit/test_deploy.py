"""The files of deploy/: what they say of Tollhouse is so, and the README says of each what became of it."""

import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from gateway.catalog_settings import UpstreamSettings
from gateway.domain.errors import Reason, Refusal
from gateway.domain.routes import find_route
from gateway.settings import GatewaySettings
from tests.documents import ROOT

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


def test_the_readme_names_every_file():
    text = (DEPLOY / "README.md").read_text()
    for file in DEPLOY.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            name = str(file.relative_to(DEPLOY))
            assert name in text or f"{name.partition('/')[0]}/*`" in text or name == "README.md", (
                name
            )


def test_every_file_passes_the_tool_that_it_is_for_as_far_as_tools_are_installed():
    done = subprocess.run(
        [sys.executable, ROOT / "tools/deploy_check.py"],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kubernetes/20-config.yaml" in done.stdout


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
