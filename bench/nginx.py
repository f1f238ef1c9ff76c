"""nginx twice: as the mock upstream, and as the plain proxy that every ratio is measured against.

Knows nothing of Tollhouse, of load or of processor time.
"""

import contextlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from bench.servers import (
    PATH,
    Server,
    StartError,
    answer_body,
    free_port,
    process,
    request_body,
    wait_until,
)

_NGINX = """\
worker_processes 1; daemon off; pid nginx.pid; error_log error.log warn; %(user)s
worker_rlimit_nofile 16384;
events { worker_connections 8192; }
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
    server 127.0.0.1:%(mock)d; keepalive 256; keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:%(port)d backlog=4096;
    location / {
      proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection "";
    }
  }
"""


def nginx_binary() -> str:
    """Where nginx is, also where an ordinary user's PATH leaves out sbin; "" where it is not."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return shutil.which("nginx", path=path) or ""


@contextlib.contextmanager
def nginx_mock(directory: Path) -> Iterator[Server]:
    """The upstream that costs next to nothing: reads the request whole, answers at once."""
    port = free_port()
    servers = _MOCK % {"port": port, "answer": answer_body().decode()}
    with _nginx(directory, port, servers) as server:
        _require_body_read(port)
        yield server


@contextlib.contextmanager
def nginx_proxy(directory: Path, mock: Server) -> Iterator[Server]:
    """nginx's plain proxy_pass with keep-alive: the unit of every ratio."""
    port = free_port()
    servers = _PROXY % {"port": port, "mock": mock.port}
    with _nginx(directory, port, servers) as server:
        yield server


@contextlib.contextmanager
def _nginx(directory: Path, port: int, servers: str) -> Iterator[Server]:
    directory.mkdir()
    user = "user root root;" if os.geteuid() == 0 else ""
    (directory / "nginx.conf").write_text(_NGINX % {"user": user, "servers": servers})
    log = directory / "stderr.log"
    command = [nginx_binary(), "-p", f"{directory}/", "-c", "nginx.conf"]
    with process(command, log) as child:
        wait_until(lambda: _accepts(port), child, log, "nginx")
        yield Server(f"http://127.0.0.1:{port}", child.pid)


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def _require_body_read(port: int) -> None:
    """An upstream that answers before it has the body would flatter every proxy."""
    body = request_body()
    head = f"POST {PATH} HTTP/1.1\r\nHost: mock\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as call:
        for _ in range(2):  # the second call shows that nothing was left of the first
            call.sendall(head.encode() + body[:-1])
            call.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                raise StartError(f"the mock answered before the body: {call.recv(100)!r}")
            call.settimeout(5)
            call.sendall(body[-1:])
            answer = b""
            while not answer.endswith(answer_body()):
                data = call.recv(4096)
                if not data:
                    raise StartError(f"the mock did not answer: {answer!r}")
                answer += data
