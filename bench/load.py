"""Load: one request over and over, by the generator in C (bench/native/load.c), or without a compiler by wrk or Python.

Knows nothing of the servers that it loads. Only the one in C compares answers, counts exactly what was answered, and
reads streams.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bench.native import program

CONNECTIONS = 64
_ROOT = Path(__file__).parents[1]
_MARK = "RESULT "
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of a generator saw. `errors` counts answers other than the right ones and broken calls.

    `requests` are those in `seconds`; `answered` are all, with those before and after, where the generator knows.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    answered: int = 0
    p999_ms: float = 0
    max_ms: float = 0
    events: int = 0
    event_p50_ms: float = 0
    event_p99_ms: float = 0
    first_p50_ms: float = 0
    first_p99_ms: float = 0
    complaint: str = ""  # what was wrong with the first wrong answers


class LoadError(RuntimeError):
    """A generator did not end as it should."""


def generator() -> str:
    """Which generator is used: "native", "wrk" or "python"."""
    if program("load"):
        return "native"
    return "wrk" if shutil.which("wrk") else "python"


def run_load(
    url: str, key: str, body: Path, seconds: float, connections: int = CONNECTIONS
) -> Load:
    """Call `url` with the body in the file `body` for `seconds`, each time when the last was answered."""
    if generator() == "native":
        return native_load(url, key, body, seconds=seconds, connections=connections)[0]
    if generator() == "wrk":
        script = str(Path(__file__).with_name("post.lua"))
        whole = f"{max(1, round(seconds))}s"
        options = ["-t1", f"-c{connections}", f"-d{whole}", "--timeout", "10s", "-s", script]
        command = ["wrk", *options, url]
    else:
        command = [sys.executable, "-m", "bench.closed", url, str(seconds), str(connections)]
    return run_generator(command, key, body)


def run_generator(command: list[str], key: str, body: Path) -> Load:
    """Run a command that ends with the line of `told`, and answer what it saw."""
    environment = os.environ | {"BENCH_KEY": key, "BENCH_BODY": str(body)}
    done = subprocess.run(
        command, env=environment, cwd=_ROOT, capture_output=True, text=True, check=False
    )
    results = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not results:
        raise LoadError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return Load(**json.loads(results[-1].removeprefix(_MARK)))


def told(load: Load) -> str:
    """The line with which a generator ends."""
    return _MARK + json.dumps({each.name: getattr(load, each.name) for each in fields(Load)})


def native_load(
    url: str,
    keys: str | Path,
    body: Path,
    watch: Callable[[], T] = lambda: None,  # type: ignore[assignment, return-value]
    hear: Callable[[dict[str, Any]], None] = lambda _: None,
    **options: Any,
) -> tuple[Load, T, T]:
    """What the generator in C saw, and what `watch` said when it began to count and when it ended.

    `keys` is one key, or a file of many. `options` are those of bench/native/load.c; `hear` is told what each
    interval saw. Raises `LoadError`, with what was wrong, where the generator ends by itself.
    """
    with native(url, keys, body, **options) as child:
        before = after = watch()
        for line in _lines(child):
            if line == "BEGIN":
                before = watch()
            elif line == "END":
                after = watch()
            elif line.startswith("EVERY "):
                hear(json.loads(line.removeprefix("EVERY ")))
            elif line.startswith(_MARK):
                return _result(line, child), before, after
    raise LoadError("the generator ended early")


@contextlib.contextmanager
def native(
    url: str, keys: str | Path, body: Path, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """The generator in C at work."""
    parts = urlsplit(url)
    with tempfile.NamedTemporaryFile("w", prefix="tollhouse-bench-", suffix=".keys") as one:
        if isinstance(keys, str):
            one.write(keys + "\n")
            one.flush()
        words = {"port": parts.port, "path": parts.path, "body": body} | options
        words["keys"] = one.name if isinstance(keys, str) else keys
        command = [program("load"), *(f"{name}={value}" for name, value in words.items())]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                yield child
            finally:
                child.kill()


def held(child: subprocess.Popen[str]) -> Load:
    """End the streams that `native` with `hold` holds open; what was seen of them."""
    assert child.stdin
    child.stdin.close()
    for line in _lines(child):
        if line.startswith(_MARK):
            return _result(line, child)
    raise LoadError("the generator ended early")


def wait_for(child: subprocess.Popen[str], mark: str) -> None:
    """Wait until the generator has written this line."""
    for line in _lines(child):
        if line == mark:
            return
    raise LoadError("the generator ended early")


def _result(line: str, child: subprocess.Popen[str]) -> Load:
    assert child.stderr
    return Load(**json.loads(line.removeprefix(_MARK)), complaint=child.stderr.read().strip())


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    assert child.stdout
    while line := child.stdout.readline():
        yield line.rstrip("\n")
