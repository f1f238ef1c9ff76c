"""What the measured servers have in common: how one is started and ended, and what it is asked.

Knows no server by name.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODEL = "bench-model"
# Models whose streams the mock sends at a pace of its own (bench/native/mock.c).
BURST, PACED, IDLE = "bench-burst", "bench-paced", "bench-idle"
MODELS = (MODEL, BURST, PACED, IDLE)
EVENTS = 64
PATH = "/v1/chat/completions"
REQUEST_BYTES = 1536
ANSWER_BYTES = 700
_START_TIMEOUT_S = 90
_STOP_TIMEOUT_S = 30


class StartError(Exception):
    """A server did not come up; the message says why, with the end of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its origin without a path, and its main process."""

    origin: str
    pid: int

    @property
    def url(self) -> str:
        """Where the load goes."""
        return self.origin + PATH

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.origin.rpartition(":")[2])


def request_body(model: str = MODEL) -> bytes:
    """The chat request, REQUEST_BYTES long: for a stream, where the model is one of those for streams."""
    stream = {} if model == MODEL else {"stream": True}
    return _padded(
        lambda text: {
            "model": model,
            **stream,
            "max_tokens": 64,
            "messages": [{"role": "user", "content": text}],
        },
        REQUEST_BYTES,
    )


def answer_body() -> bytes:
    """The mock's chat completion, ANSWER_BYTES long."""
    usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
    identity = {"id": "chatcmpl-bench", "object": "chat.completion", "created": 1_700_000_000}

    def answer(text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**identity, "model": MODEL, "choices": [choice], "usage": usage}

    return _padded(answer, ANSWER_BYTES)


def require_answer(server: Server, key: str) -> None:
    """Make one call and compare the whole body with the mock's. Raises StartError."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(server.url, request_body(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        raise StartError(f"{server.url} answered {error.code}: {error.read().decode()}") from error
    if body != answer_body():
        raise StartError(f"{server.url} did not pass on the mock's answer: {body!r}")


@contextlib.contextmanager
def process(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in its own session, ended by SIGTERM; after a time by SIGKILL to the session."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=output, start_new_session=True, **options
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def wait_until(
    condition: Callable[[], bool], child: subprocess.Popen[bytes], log: Path, name: str
) -> None:
    """Wait for `condition`. Raises StartError where the process ends, or after 90 s."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not condition():
        ended = child.poll()
        if ended is not None or time.monotonic() > deadline:
            how = f"ended with {ended}" if ended is not None else "did not become ready"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            raise StartError(f"{name} {how}; the end of its log:\n{tail}")
        time.sleep(0.01)


def _padded(build: Callable[[str], dict[str, Any]], size: int) -> bytes:
    missing = size - len(json.dumps(build(""), separators=(",", ":")))
    text = ("Tell me about toll houses on old roads. " * size)[:missing]
    return json.dumps(build(text), separators=(",", ":")).encode()


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Whether somebody listens at this port of 127.0.0.1."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False
