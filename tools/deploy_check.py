"""`make deploy-check`: has each file of deploy/ read by the tool that it is for.

A tool that is not installed here is told, and its files are left unread. Exit status 1 where anything is wrong.
"""

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config import ConfigError, load
from gateway.domain.families import FAMILIES, Kind

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
_PATH = os.pathsep.join((str(ROOT / ".venv/bin"), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_TOLLHOUSE = "/opt/tollhouse/.venv/bin/tollhouse"


class Check(NamedTuple):
    """What reads some of the files: the tool, the Debian package that has it ("" = it is in .venv), how it is asked."""

    tool: str
    package: str
    files: tuple[str, ...]
    commands: Callable[[Path], Iterator[list[str]]]

    @property
    def lacks(self) -> str:
        """Why it cannot be run here; empty where it can."""
        if shutil.which(self.tool, path=_PATH) is not None:
            return ""
        how = f"apt-get install {self.package}" if self.package else "make .venv/deploy-ok"
        return f"not installed ({how})"


def haproxy(room: Path) -> Iterator[list[str]]:
    """HAProxy's own check, with a certificate that is there."""
    text = (DEPLOY / "fronts/haproxy.cfg").read_text()
    (room / "haproxy.cfg").write_text(
        text.replace("/etc/haproxy/llm.example.com.pem", str(_certificate(room)))
    )
    yield ["haproxy", "-c", "-f", str(room / "haproxy.cfg")]


def nginx(room: Path) -> Iterator[list[str]]:
    """Likewise nginx's; its process id goes where anybody may write."""
    text = (DEPLOY / "fronts/nginx.conf").read_text()
    for name in ("pem", "key"):
        text = text.replace(f"/etc/nginx/llm.example.com.{name}", str(_certificate(room)))
    (room / "nginx.conf").write_text(f"pid nginx.pid;\n{text}")
    yield ["nginx", "-t", "-e", "stderr", "-p", f"{room}/", "-c", "nginx.conf"]


def caddy(room: Path) -> Iterator[list[str]]:  # noqa: ARG001 -- it needs none
    """Both files of Caddy."""
    for place in ("fronts", "compose"):
        yield [
            "caddy",
            "validate",
            "--adapter",
            "caddyfile",
            "--config",
            str(DEPLOY / place / "Caddyfile"),
        ]


def systemd(room: Path) -> Iterator[list[str]]:
    """The units, as if Tollhouse were where they say."""
    for file in sorted((DEPLOY / "systemd").iterdir()):
        text = file.read_text().replace(_TOLLHOUSE, str(ROOT / ".venv/bin/tollhouse"))
        (room / file.name).write_text(text.replace("User=tollhouse", "User=nobody"))
    names = [file.name.replace("@.", "@8080.") for file in sorted(room.iterdir())]
    yield ["systemd-analyze", "verify", "--man=no", *(str(room / name) for name in names)]


def compose(room: Path) -> Iterator[list[str]]:
    """What compose makes of its file, with the example's variables, and secrets."""
    place = _with_secrets("compose", room)
    (place / "example.env").rename(place / ".env")
    file, environment = str(place / "compose.yaml"), str(place / ".env")
    yield ["docker-compose", "--env-file", environment, "--file", file, "config", "--quiet"]


def kubernetes(room: Path) -> Iterator[list[str]]:  # noqa: ARG001 -- it needs none
    """The manifests against the API's own schema, unknown fields refused."""
    files = sorted((DEPLOY / "kubernetes").glob("[0-9]*.yaml"))
    yield ["kubernetes-validate", "--strict", *map(str, files)]


def kustomize(room: Path) -> Iterator[list[str]]:
    """What is applied of them, with secrets."""
    yield ["kubectl", "kustomize", str(_with_secrets("kubernetes", room))]


def shellcheck(room: Path) -> Iterator[list[str]]:  # noqa: ARG001 -- it needs none
    """The script."""
    yield ["shellcheck", str(DEPLOY / "secrets.sh")]


def hadolint(room: Path) -> Iterator[list[str]]:  # noqa: ARG001 -- it needs none
    """The Dockerfile."""
    yield ["hadolint", str(DEPLOY / "Dockerfile")]


def promtool(room: Path) -> Iterator[list[str]]:
    """The alerts, and the dashboard's expressions as if they were rules."""
    panels = json.loads((DEPLOY / "grafana/dashboard.json").read_text())["panels"]
    expressions = [each["expr"] for panel in panels for each in panel.get("targets", ())]
    rules = [
        {"record": f"panel:{number}", "expr": text.replace("$__rate_interval", "5m")}
        for number, text in enumerate(expressions)
    ]
    dashboard = room / "dashboard.yaml"
    dashboard.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    for file in (DEPLOY / "prometheus/alerts.yaml", dashboard):
        yield ["promtool", "check", "rules", str(file)]


CHECKS = (
    Check("haproxy", "haproxy", ("fronts/haproxy.cfg",), haproxy),
    Check("nginx", "nginx-light", ("fronts/nginx.conf",), nginx),
    Check("caddy", "caddy", ("fronts/Caddyfile", "compose/Caddyfile"), caddy),
    Check("systemd-analyze", "systemd", ("systemd",), systemd),
    Check(
        "docker-compose", "docker-compose", ("compose/compose.yaml", "compose/example.env"), compose
    ),
    Check("kubernetes-validate", "", ("kubernetes",), kubernetes),
    Check("kubectl", "kubernetes-client", ("kubernetes/kustomization.yaml",), kustomize),
    Check("shellcheck", "shellcheck", ("secrets.sh",), shellcheck),
    Check("hadolint", "", ("Dockerfile",), hadolint),
    Check(
        "promtool",
        "prometheus",
        ("prometheus/alerts.yaml", "grafana/dashboard.json"),
        promtool,
    ),
)


def main() -> int:
    """Run all checks that can be run, and print what came of each."""
    found = 0
    for check in CHECKS:
        if lacking := check.lacks:
            print(f"SKIPPED  {check.tool:20} {', '.join(check.files)}: {lacking}")
            continue
        problem = run(check)
        found += bool(problem)
        print(
            f"{'WRONG' if problem else 'good':8} {check.tool:20} {', '.join(check.files)}\n{problem}".strip()
        )
    for name, problem in own_checks():
        found += bool(problem)
        print(f"{'WRONG' if problem else 'good':8} {'tollhouse':20} {name}\n{problem}".strip())
    return 1 if found else 0


def own_checks() -> Iterator[tuple[str, str]]:
    """What needs no other tool: of each file what is wrong with it, empty where nothing is."""
    yield from _configurations()
    yield from _figures()


def run(check: Check) -> str:
    """What the tool has to say against the files; empty where it has nothing."""
    with tempfile.TemporaryDirectory(prefix="tollhouse-deploy-") as name:
        for command in check.commands(Path(name)):
            done = subprocess.run(
                command,
                env={**os.environ, "PATH": _PATH, "HOST_NAME": "llm.example.com"},
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            if done.returncode:
                return done.stdout + done.stderr
    return ""


def _configurations() -> Iterator[tuple[str, str]]:
    """The configuration files in deploy/, and what is wrong with each."""
    (manifest,) = yaml.safe_load_all((DEPLOY / "kubernetes/20-config.yaml").read_text())
    for name, text in (
        ("compose/config.toml", (DEPLOY / "compose/config.toml").read_text()),
        ("kubernetes/20-config.yaml", manifest["data"]["config.toml"]),
    ):
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(text)
            file.flush()
            try:
                load({}, file.name)
            except ConfigError as error:
                yield name, str(error)
            else:
                yield name, ""


def _figures() -> Iterator[tuple[str, str]]:
    """What alerts and dashboard ask for that `/metrics` does not tell, as far as can be said without asking it."""
    known = {
        f"{name}{suffix}": (family.kind is Kind.HISTOGRAM) == bool(suffix)
        for name, family in FAMILIES.items()
        for suffix in ("", "_bucket", "_count", "_sum")
    }
    for name in ("prometheus/alerts.yaml", "grafana/dashboard.json"):
        text = (DEPLOY / name).read_text()
        yaml.safe_load(text)  # of which JSON is a part
        used = re.findall(r"\btollhouse_[a-z0-9_]+|\bgen_ai_[a-z0-9_]+(?=\{|\[)", text)
        unknown = sorted({each for each in used if not known.get(each)})
        yield name, f"no figure is called {', '.join(unknown)}" if unknown else ""


def _with_secrets(name: str, room: Path) -> Path:
    """A copy of a directory of deploy/, with the secrets that somebody makes there first."""
    place = Path(
        shutil.copytree(
            DEPLOY / name, room / name, ignore=shutil.ignore_patterns("secrets", ".env")
        )
    )
    subprocess.run(
        [DEPLOY / "secrets.sh", place / "secrets"], check=True, stdout=subprocess.DEVNULL
    )
    return place


def _certificate(room: Path) -> Path:
    """A key and a certificate that it has signed itself, in one file."""
    file = room / "certificate.pem"
    if not file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "llm.example.com")])
        now = dt.datetime.now(dt.UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + dt.timedelta(days=1))
            .sign(key, SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return file


if __name__ == "__main__":
    sys.exit(main())
