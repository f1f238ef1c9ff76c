"""`python -m bench.quota`: what a call costs Valkey, by its own count.

Four scopes, three windows and a concurrency limit, sixty-four calls at a time as a busy worker sends them.
"""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from gateway.domain.limits import Limit, Metric
from gateway.embedded.state import StateDirectory
from gateway.embedded.valkey import EmbeddedValkey
from gateway.store.books import Book
from gateway.store.contents import WindowSums
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import Prepared
from gateway.store.quota import QuotaStore
from tests.quota_rig import token

_ROUNDS = 15
_CALLS = 640
_AT_ONCE = 64
_DETAIL = b"7\t1\t3\t2\tgpt-5.4\topenai\tchat_completions\t1"
_EVENT = b"x" * 300  # about as long as a ledger's line
_LIMITS = (
    (0, Limit(Metric.REQUESTS, "1m", 10**9)),
    (1, Limit(Metric.TOKENS, "5h", 10**12)),
    (2, Limit(Metric.USD, "30d", 10**14)),
)
Send = Callable[[bytes, Callable[[object], None]], None]


def main() -> int:
    """Run it."""
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as directory:
        Path(directory).chmod(0o711)  # started by root, Valkey runs as a user who walks here
        with StateDirectory.open(Path(directory) / "state") as state:
            server = EmbeddedValkey(state)
            try:
                asyncio.run(_measure(server.start()))
            finally:
                server.stop()
    return 0


async def _measure(url: str) -> None:
    found: dict[str, list[float]] = {}
    async with Pipeline(url) as pipeline:
        quota = QuotaStore(pipeline)
        await quota.start(0)
        of = token(limits=_LIMITS, concurrency=(10**6, 0, 0, 0))
        books = [Book(scope_id, 10**14, 1, 0, 1) for scope_id in of.scope_ids]
        prepared = quota.prepare(of, "m", 0)
        await quota.load(of.account_id, books, await _windows(quota, prepared, of.scope_ids))
        for number in range(_ROUNDS):
            ids = [b"%016x%016x" % (number + 1, n) for n in range(_CALLS)]
            for name, send in _operations(pipeline, quota, prepared).items():
                took_us = await _round(pipeline, ids, send)
                found.setdefault(name, []).append(took_us)
            quota.confirm(of.account_id, books, ids)
            await pipeline.call(of.shard, "PING")
    for name, values in found.items():
        print(f"{name:8}{statistics.median(values):7.1f} µs   (least {min(values):.1f})")
    both = statistics.median(found["reserve"]) + statistics.median(found["settle"])
    print(f"reserve and settle: {both:.1f} µs")


async def _windows(quota: QuotaStore, prepared: Prepared, scope_ids: Sequence[str]) -> WindowSums:
    survey = await quota.survey(prepared.account_id, scope_ids, prepared.windows)
    return WindowSums(scope_ids, survey.missing, [{} for _ in survey.missing])


def _operations(pipeline: Pipeline, quota: QuotaStore, prepared: Prepared) -> dict[str, Send]:
    def settle(request_id: bytes, done: Callable[[object], None]) -> None:
        command = prepared.settle(request_id, 60_000, 90, _EVENT, keep_request=True)
        pipeline.send(
            prepared.shard, command, done
        )  # as `QuotaStore.settle`, whose reply nobody gets

    return {
        "reserve": lambda i, done: quota.reserve(prepared, i, 100_000, 200, _DETAIL, done),
        "extend": lambda i, done: quota.extend(prepared, i, 200_000, 400, done),
        "settle": settle,
    }


async def _round(pipeline: Pipeline, ids: list[bytes], send: Send) -> float:
    """Microseconds of Valkey's time for each call."""
    await pipeline.call(0, "CONFIG", "RESETSTAT")
    for start in range(0, len(ids), _AT_ONCE):
        await asyncio.gather(*(_sent(send, each) for each in ids[start : start + _AT_ONCE]))
    info = await pipeline.call(0, "INFO", "commandstats")
    assert isinstance(info, bytes)
    line = next(each for each in info.splitlines() if each.startswith(b"cmdstat_evalsha"))
    return float(line.partition(b"usec_per_call=")[2].partition(b",")[0])


def _sent(send: Send, request_id: bytes) -> Awaitable[object]:
    reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    send(request_id, reply.set_result)
    return reply


if __name__ == "__main__":
    sys.exit(main())
