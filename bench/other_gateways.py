"""Other gateways: how each is installed and started, as its own documents say. Knows nothing of load.

What is installed stays in the cache directory; removing it fetches the newest version.
"""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from bench.native import cache_directory
from bench.servers import (
    MODELS,
    Server,
    StartError,
    accepts,
    free_port,
    process,
    wait_until,
)

KEY = f"sk-{secrets.token_hex(32)}"  # of their callers; LiteLLM starts with none but a strong one


@dataclass(frozen=True, slots=True)
class Peer:
    """Another gateway. `set_up` answers its version, `header` is what its callers have to send besides."""

    name: str
    set_up: Callable[[], str]
    running: Callable[[Path, Server], AbstractContextManager[Server]]
    header: Callable[[Server], str]


# https://docs.litellm.ai/docs/proxy/quick_start, https://docs.litellm.ai/docs/proxy/prod
def _set_up_litellm() -> str:
    home = cache_directory() / "litellm"
    python = str(home / "bin/python")
    with _made_once(home) as needed:
        if needed:
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "litellm[proxy]"], check=True)
    command = [python, "-c", "from importlib.metadata import version; print(version('litellm'))"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextlib.contextmanager
def _litellm(directory: Path, mock: Server) -> Iterator[Server]:
    port, config, log = free_port(), directory / "config.yaml", directory / "log"
    models = [
        {
            "model_name": model,
            "litellm_params": {
                "model": f"openai/{model}",
                "api_base": f"{mock.origin}/v1",
                "api_key": "sk-bench",
            },
        }
        for model in MODELS
    ]
    config.write_text(json.dumps({"model_list": models}))  # JSON is YAML
    environment = os.environ | {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MASTER_KEY": KEY,
    }
    program = str(cache_directory() / "litellm/bin/litellm")
    words = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    alive = f"http://127.0.0.1:{port}/health/liveliness"
    with process([program, *words], log, cwd=directory, env=environment) as child:
        wait_until(lambda: _answers(alive), child, log, "litellm")
        yield Server(f"http://127.0.0.1:{port}", child.pid)


# https://github.com/Portkey-AI/gateway: `npx @portkey-ai/gateway`
def _set_up_portkey() -> str:
    home = cache_directory() / "portkey"
    if not shutil.which("npm"):
        raise StartError("Portkey's gateway needs node and npm, which are not installed")
    with _made_once(home) as needed:
        if needed:
            words = ["--no-audit", "--no-fund", "--prefix", str(home), "@portkey-ai/gateway"]
            subprocess.run(["npm", "install", *words], check=True)
    package = home / "node_modules/@portkey-ai/gateway/package.json"
    version: str = json.loads(package.read_text())["version"]
    return version


@contextlib.contextmanager
def _portkey(directory: Path, _: Server) -> Iterator[Server]:
    port, log = free_port(), directory / "log"
    program = cache_directory() / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    environment = os.environ | {"NODE_ENV": "production"}
    command = ["node", str(program), f"--port={port}", "--headless"]
    with process(command, log, cwd=directory, env=environment) as child:
        wait_until(lambda: accepts(port), child, log, "portkey")
        yield Server(f"http://127.0.0.1:{port}", child.pid)


PEERS = {
    "litellm": Peer("litellm", _set_up_litellm, _litellm, lambda _: ""),
    "portkey": Peer(
        "portkey",
        _set_up_portkey,
        _portkey,
        lambda mock: f"x-portkey-provider: openai\r\nx-portkey-custom-host: {mock.origin}/v1",
    ),
}


@contextlib.contextmanager
def _made_once(home: Path) -> Iterator[bool]:
    """Whether it is still to be made; what was broken off is made anew."""
    done = home / "ok"
    needed = not done.exists()
    home.mkdir(parents=True, exist_ok=True)
    yield needed
    done.touch()


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
        return True
    return False
