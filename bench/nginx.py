"""nginx: the plain proxy that every ratio is measured against, and the mock upstream where no C compiler is.

Knows nothing of Tollhouse, of load or of processor time.
"""

import contextlib
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.servers import (
    Server,
    accepts,
    answer_body,
    free_port,
    process,
    wait_until,
)

_OTHER_FILES = 64
_NGINX = """\
worker_processes 1; daemon off; pid nginx.pid; error_log error.log warn; %(user)s
events { worker_connections %(connections)d; }
http {
  access_log off; default_type application/json; client_body_buffer_size 64k;
  keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  %(servers)s
}
"""
# `return` alone would answer before the body has come. The mirror module reads the whole body
# first; then stub_status, which takes no POST, hands over to the named location.
_MOCK = """
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / { mirror /drained; stub_status; error_page 405 =200 @answer; }
    location = /drained { internal; return 204; }
    location @answer { add_header x-request-id req-bench; return 200 '%(answer)s'; }
  }
"""
_PROXY = """
  upstream mock {
    server 127.0.0.1:%(mock)d; keepalive 1024; keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / {
      proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering %(buffering)s; client_max_body_size 64m; proxy_read_timeout 120s;
    }
  }
"""


def nginx_binary() -> str:
    """Where nginx is, also where an ordinary user's PATH leaves out sbin; "" where it is not."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return shutil.which("nginx", path=path) or ""


@contextlib.contextmanager
def nginx_mock(directory: Path) -> Iterator[Server]:
    """An upstream that costs next to nothing: reads the request whole, answers at once. It has no streams."""
    port = free_port()
    servers = _MOCK % {"port": port, "answer": answer_body().decode()}
    with _nginx(directory, port, servers) as server:
        yield server


@contextlib.contextmanager
def nginx_proxy(directory: Path, mock: Server, *, streams: bool = False) -> Iterator[Server]:
    """nginx's plain proxy_pass with keep-alive: the unit of every ratio. For streams it buffers nothing."""
    port = free_port()
    buffering = "off" if streams else "on"
    servers = _PROXY % {"port": port, "mock": mock.port, "buffering": buffering}
    with _nginx(directory, port, servers) as server:
        yield server


@contextlib.contextmanager
def _nginx(directory: Path, port: int, servers: str) -> Iterator[Server]:
    directory.mkdir()
    user = "user root root;" if os.geteuid() == 0 else ""
    connections = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _OTHER_FILES
    text = _NGINX % {"user": user, "servers": servers, "connections": connections}
    (directory / "nginx.conf").write_text(text)
    log = directory / "stderr.log"
    command = [nginx_binary(), "-p", f"{directory}/", "-c", "nginx.conf"]
    with process(command, log) as child:
        wait_until(lambda: accepts(port), child, log, "nginx")
        yield Server(f"http://127.0.0.1:{port}", child.pid)
