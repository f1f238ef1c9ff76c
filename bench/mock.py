"""The upstream that costs next to nothing: the one in C, or nginx where no C compiler is, which has no streams."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from bench.native import program
from bench.nginx import nginx_mock
from bench.servers import (
    PATH,
    Server,
    StartError,
    accepts,
    answer_body,
    free_port,
    process,
    request_body,
    wait_until,
)


@contextlib.contextmanager
def mock_upstream(directory: Path) -> Iterator[Server]:
    """Reads each request whole, and answers it with `answer_body`, or with a stream where it asks for one."""
    with (_native if program("mock") else nginx_mock)(directory) as server:
        _require_body_read(server.port)
        yield server


@contextlib.contextmanager
def _native(directory: Path) -> Iterator[Server]:
    directory.mkdir()
    answer, log, port = directory / "answer.json", directory / "stderr.log", free_port()
    answer.write_bytes(answer_body())
    with process([program("mock"), str(port), str(answer)], log) as child:
        wait_until(lambda: accepts(port), child, log, "the mock")
        yield Server(f"http://127.0.0.1:{port}", child.pid)


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
