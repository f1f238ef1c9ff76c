"""Tollhouse as its user starts it: `tollhouse run`, ready.json, a key made over the admin API.

Knows nothing of load or of processor time.
"""

import contextlib
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.checkout import HERE, Checkout
from bench.servers import MODELS, Server, StartError, free_port, process, wait_until
from gateway.domain.pepper import Pepper

# 20 input tokens at $50 and 10 output tokens at $100 a million: $0.002, 1,000 quota units a call.
UNITS_PER_CALL = 1000
_GRANT_UNITS = 500_000_000_000  # $1,000,000
_POSTED_S = 0.5
AdminCall = Callable[[str, str, dict[str, Any] | None], dict[str, Any]]

_CONFIG = """\
[gateway]
listen = "127.0.0.1:%(gateway)d"
workers = %(workers)d
%(crowd)s
[admin]
listen = "127.0.0.1:%(admin)d"
max_tokens_per_user = 10000000
[metrics]
listen = "127.0.0.1:%(metrics)d"
%(models)s
[[upstreams]]
name = "mock"
dialect = "openai"
base_url = "http://127.0.0.1:%(mock)d/v1"
api_key_env = "BENCH_UPSTREAM_KEY"
"""
_MODEL = """\
[[models]]
name = "%s"
input_usd_per_mtok = 50
output_usd_per_mtok = 100
max_output_tokens = 4096
"""


@dataclass(frozen=True, slots=True)
class Tollhouse:
    """Tollhouse as `tollhouse run` started it, with a capped key for the load."""

    server: Server
    key: str
    pids: dict[str, Any]
    admin: AdminCall
    token_id: int
    metrics_url: str
    admin_url: str
    access_token: str
    database_url: str
    pepper: Pepper
    start_s: float  # from the start until /readyz answered 200

    def used_units(self) -> int:
        """What the ledger has booked on the key."""
        return int(self.admin("GET", f"/api/token/{self.token_id}", None)["used_quota"])

    def new_keys(self, count: int) -> list[str]:
        """So many new keys, 100 at most, each with a grant."""
        made = self.admin("POST", "/api/token/", token_fields() | {"count": count})
        return [each["key"] for each in made["items"]]

    def settled_units(self) -> int:
        """As `used_units`, when nothing more comes: no call may be under way."""
        seen, now = -1, self.used_units()
        while seen != now:
            time.sleep(_POSTED_S)
            seen, now = now, self.used_units()
        return now

    def lag_s(self, share: float) -> str:
        """Within how many seconds of its end this share of all calls had its row: a bucket's bound."""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            text = answer.read().decode()
        buckets = re.findall(
            r'^tollhouse_(?:settle|ledger)_lag_seconds_bucket{le="(.+)"} (\d+)', text, re.MULTILINE
        )
        everything = int(buckets[-1][1])
        return next(bound for bound, count in buckets if int(count) >= share * everything)


@contextlib.contextmanager
def tollhouse(
    directory: Path,
    mock: Server,
    workers: int = 1,
    checkout: Checkout = HERE,
    settings: str = "",
) -> Iterator[Tollhouse]:
    """`tollhouse run` on the state directory in `directory`, the mock as its upstream; `settings` are more TOML."""
    state = directory / "state"
    ports = {name: free_port() for name in ("gateway", "admin", "metrics")} | {"mock": mock.port}
    config = directory / "config.toml"
    models = "".join(_MODEL % model for model in MODELS)
    # All load comes from one address; an older version does not count its connections.
    knows = "max_connections_per_address" in (checkout.root / "gateway" / "settings.py").read_text()
    crowd = "max_connections_per_address = 0" if knows else ""
    values = ports | {"models": models, "workers": workers, "crowd": crowd}
    config.write_text(_CONFIG % values + settings)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TOLLHOUSE_")}
    environment |= checkout.environment | {
        "TOLLHOUSE_STATE": str(state),
        "TOLLHOUSE_CONFIG": str(config),
        "BENCH_UPSTREAM_KEY": "sk-bench-upstream",
    }
    log = directory / "tollhouse.log"
    checkout.require_own_files(environment)
    command = [checkout.python, "-m", "gateway.cli", "run"]
    begun = time.perf_counter()
    with process(command, log, cwd=checkout.root, env=environment) as child:
        readyz = f"http://127.0.0.1:{ports['gateway']}/readyz"
        wait_until(lambda: _answers(readyz), child, log, "tollhouse run")
        start_s = time.perf_counter() - begun
        ready_file = state / "ready.json"
        wait_until(ready_file.exists, child, log, "tollhouse run")
        ready = json.loads(ready_file.read_text())
        admin = _admin_calls(ready)
        token = admin(
            "POST",
            "/api/token/",
            token_fields(),
        )
        server = Server(ready["gateway_url"], child.pid)
        metrics_url = f"http://127.0.0.1:{ports['metrics']}/metrics"
        pepper = Pepper(bytes.fromhex((state / "secrets" / "pepper").read_text()))
        yield Tollhouse(
            server,
            token["key"],
            ready["pids"],
            admin,
            token["id"],
            metrics_url,
            ready["admin_url"],
            ready["access_token"],
            ready["database_url"],
            pepper,
            start_s,
        )


def token_fields() -> dict[str, Any]:
    """A token with everything on that one can have: a grant, an allowed network, a list of models."""
    return {
        "name": "bench",
        "unlimited_quota": False,
        "remain_quota": _GRANT_UNITS,
        "allow_ips": "127.0.0.0/8",
        "model_limits_enabled": True,
        "model_limits": json.dumps(MODELS),
    }


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
        return True
    return False


def _admin_calls(ready: dict[str, Any]) -> AdminCall:
    def call(method: str, path: str, fields: dict[str, Any] | None) -> dict[str, Any]:
        headers = {
            "Authorization": f"Bearer {ready['access_token']}",
            "New-Api-User": str(ready["user_id"]),
            "Content-Type": "application/json",
        }
        body = None if fields is None else json.dumps(fields).encode()
        url = ready["admin_url"] + path
        request = urllib.request.Request(url, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                data: dict[str, Any] = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            text = f"{method} {url} answered {error.code}: {error.read().decode()}"
            raise StartError(text) from error
        return data

    return call
