"""nginx and HAProxy before the gateway, as lenient as they can be set: each call that they pass on has their stamp.

The stamp is the header `traceparent`, which the gateway passes on. What reaches an upstream without one is a request
that no proxy has seen. Connections to the gateway are kept, and shared by everybody who calls.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from bench.servers import accepts, free_port, process, wait_until

_NGINX = """\
worker_processes 1; daemon off; pid nginx.pid; error_log error.log crit; {user}
events {{ worker_connections 64; }}
http {{
  access_log off; underscores_in_headers on; ignore_invalid_headers off;
  client_header_timeout 1s; client_body_timeout 1s; proxy_read_timeout 5s;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  upstream gateway {{ server {gateway}; keepalive 1; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://gateway; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_request_buffering off; proxy_next_upstream off;
      proxy_set_header traceparent "00-$request_id-0000000000000001-01";
    }}
  }}
}}
"""
_HAPROXY = """\
defaults
  mode http
  timeout connect 2s
  timeout client 1s
  timeout server 5s
  timeout http-request 1s
  option accept-invalid-http-request
frontend callers
  bind 127.0.0.1:{port}
  http-request set-header traceparent %[uuid()]
  default_backend gateway
backend gateway
  http-reuse always
  server gateway {gateway}
"""


def _nginx(directory: Path) -> list[str]:
    return ["-p", f"{directory}/", "-c", "configuration"]


def _haproxy(directory: Path) -> list[str]:
    return ["-db", "-q", "-f", str(directory / "configuration")]


_KINDS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "nginx": (_NGINX, _nginx),
    "haproxy": (_HAPROXY, _haproxy),
}
PROXIES = tuple(_KINDS)


def binary_of(name: str) -> str:
    """Where a proxy is, also where an ordinary user's PATH leaves out sbin; "" where it is not."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return shutil.which(name, path=path) or ""


@contextlib.contextmanager
def proxy(name: str, gateway_url: str, directory: Path) -> Iterator[str]:
    """The proxy of that name before a gateway; its URL."""
    template, arguments = _KINDS[name]
    port = free_port()
    user = "user root root;" if os.geteuid() == 0 else ""
    gateway = urlsplit(gateway_url).netloc
    text = template.format(port=port, gateway=gateway, user=user)
    (directory / "configuration").write_text(text)
    log = directory / "log"
    with process([binary_of(name), *arguments(directory)], log) as child:
        wait_until(lambda: accepts(port), child, log, name)
        yield f"http://127.0.0.1:{port}"
