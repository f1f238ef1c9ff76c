"""The fronts of `deploy/fronts`, as they are shipped: only addresses and the certificate are others."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.chaos.processes import ROOT, Process, free_port, plain_environment

FRONTS = ROOT / "deploy/fronts"


class Addresses(NamedTuple):
    """Ports of this machine that stand for the addresses of an example."""

    front: int
    gateways: Sequence[int]
    admin: int


def binary(name: str) -> str:
    """Where a front's program is, also where an ordinary user's PATH leaves out sbin; "" where it is not."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return shutil.which(name, path=path) or ""


def haproxy(directory: Path, addresses: Addresses) -> list[str]:
    """Write the example of HAProxy for these addresses; the command that runs it."""
    text = _addressed((FRONTS / "haproxy.cfg").read_text(), addresses)
    secured = "bind :443 ssl crt /etc/haproxy/llm.example.com.pem alpn h2,http/1.1"
    text = _replaced(text, secured, f"bind 127.0.0.1:{addresses.front}")
    (directory / "haproxy.cfg").write_text(text)
    return [binary("haproxy"), "-db", "-f", str(directory / "haproxy.cfg")]


def nginx(directory: Path, addresses: Addresses) -> list[str]:
    """Likewise nginx's."""
    text = _addressed((FRONTS / "nginx.conf").read_text(), addresses)
    text = _replaced(text, "listen 443 ssl;", f"listen 127.0.0.1:{addresses.front};")
    for name in ("pem", "key"):
        option = "ssl_certificate_key" if name == "key" else "ssl_certificate"
        text = _replaced(text, f"{option} /etc/nginx/llm.example.com.{name};", "")
    places = "".join(
        f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = _replaced(text, "http {", f"http {{ {places}")
    user = "user root root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(f"daemon off; pid nginx.pid; {user}\n{text}")
    return [binary("nginx"), "-e", "stderr", "-p", f"{directory}/", "-c", "nginx.conf"]


def caddy(directory: Path, addresses: Addresses) -> list[str]:
    """Likewise Caddy's, which then asks for no certificate."""
    text = _addressed((FRONTS / "Caddyfile").read_text(), addresses)
    text = _replaced(text, "llm.example.com {", f"http://127.0.0.1:{addresses.front} {{")
    (directory / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{text}")
    return [
        binary("caddy"),
        "run",
        "--adapter",
        "caddyfile",
        "--config",
        str(directory / "Caddyfile"),
    ]


Front = Callable[[Path, Addresses], list[str]]
EVERY: dict[str, Front] = {"haproxy": haproxy, "nginx": nginx, "caddy": caddy}
"""By the name of the program."""


@contextlib.contextmanager
def serving(front: Front, directory: Path, gateways: Sequence[int], admin: int) -> Iterator[str]:
    """A front that runs before these ports; its URL."""
    directory.mkdir()
    addresses = Addresses(free_port(), gateways, admin)
    command = front(directory, addresses)
    process = Process("front", command, plain_environment(), directory / "front.log")
    process.start()
    try:
        yield f"http://127.0.0.1:{addresses.front}"
    finally:
        process.stop()


def _addressed(text: str, addresses: Addresses) -> str:
    for host, port in zip(("11", "12", "13"), addresses.gateways, strict=True):
        text = _replaced(text, f"10.0.0.{host}:8080", f"127.0.0.1:{port}")
    return _replaced(text, "10.0.0.14:8081", f"127.0.0.1:{addresses.admin}")


def _replaced(text: str, what: str, by: str) -> str:
    assert text.count(what) == 1, f"the example has {what!r} no longer, or more than once"
    return text.replace(what, by)
