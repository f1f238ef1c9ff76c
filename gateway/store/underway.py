"""What is under way in the whole installation, and how the quota store is: for people who look, and for nothing else.

Reads only. What is live or settled stands in one sorted set of each shard, however many books there are. The shards
are read one after the other: sums are of nearly the same instant.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.domain.token import SHARDS
from gateway.store.books import Reservation, unpack_reservation, unpack_settlement
from gateway.store.charges import ended_at
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import key
from gateway.store.valkey import channel_of


class Running(NamedTuple):
    """A live call and the account that it is of."""

    account_id: int
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Underway:
    """Every live call, the oldest first; how many charges Postgres does not have, and when the oldest call ended."""

    running: Sequence[Running]
    unposted: int
    oldest_unposted: float | None


@dataclass(frozen=True, slots=True)
class ValkeyState:
    """What the server says of itself, or all nodes of a cluster. `max_bytes` None: it may take what there is."""

    latency_ms: float
    server: str
    version: str
    used_bytes: int
    max_bytes: int | None
    connections: int
    uptime_s: int
    gateways: int
    """Workers that listen for notices."""


async def read_underway(pipeline: Pipeline) -> Underway:
    """What all accounts have under way. Raises `StoreUnavailable`."""
    watched = await asyncio.gather(
        *(
            pipeline.call(shard, "ZRANGE", key(shard, "x"), 0, -1, "WITHSCORES")
            for shard in range(SHARDS)
        )
    )
    due = {member: float(score) for flat in watched for member, score in _pairs(flat)}
    accounts = sorted({int(member.partition(b"|")[0]) for member in due})
    found = await asyncio.gather(*(_live(pipeline, account) for account in accounts))
    counts = await asyncio.gather(
        *(pipeline.call(*_records(account, "HLEN", "p")) for account in accounts)
    )
    running = [each for some in found for each in some]
    running.sort(key=lambda each: (each.reservation.started_ms, each.reservation.request_id))
    live = {b"%d|%b" % (each.account_id, each.reservation.request_id.encode()) for each in running}
    settled = [member for member in due if member not in live]
    oldest = await _ended_at(pipeline, min(settled, key=due.__getitem__)) if settled else None
    return Underway(running, sum(int(str(count)) for count in counts), oldest)


async def read_valkey_state(pipeline: Pipeline) -> ValkeyState:
    """How the server is. Raises `StoreUnavailable`."""
    begun = time.perf_counter()
    await pipeline.call(0, "PING")
    latency_ms = round((time.perf_counter() - begun) * 1000, 2)
    listening, *texts = await asyncio.gather(
        pipeline.call(0, "PUBSUB", "NUMSUB", channel_of(pipeline.database)),
        *(pipeline.call(shards[0], "INFO") for shards in pipeline.parts()),
    )
    servers = [_members(text) for text in texts]
    told = servers[0]

    def total(name: str) -> int:
        return sum(int(each.get(name, 0)) for each in servers)

    return ValkeyState(
        latency_ms=latency_ms,
        server=told.get("server_name", "redis"),
        version=told.get("valkey_version") or told.get("redis_version", ""),
        used_bytes=total("used_memory"),
        max_bytes=total("maxmemory") or None,
        connections=total("connected_clients"),
        uptime_s=min(int(each["uptime_in_seconds"]) for each in servers),
        gateways=int(str(listening[1])) if isinstance(listening, list) else 0,
    )


async def _live(pipeline: Pipeline, account: int) -> list[Running]:
    flat = await pipeline.call(*_records(account, "HGETALL", "r"))
    return [
        Running(account, unpack_reservation(request_id.decode(), data))
        for request_id, data in _pairs(flat)
    ]


async def _ended_at(pipeline: Pipeline, member: bytes) -> float | None:
    """When a settled call ended, Unix seconds; None where Postgres has it by now."""
    account, _, request_id = member.decode().partition("|")
    data = await pipeline.call(*_records(int(account), "HGET", "p"), request_id)
    if not isinstance(data, bytes):
        return None
    return ended_at(unpack_settlement(request_id, data).event)


def _records(account: int, command: str, kind: str) -> tuple[int, str, bytes]:
    shard = account % SHARDS
    return shard, command, key(shard, kind, str(account))


def _pairs(flat: object) -> list[tuple[bytes, bytes]]:
    items = flat if isinstance(flat, list) else []
    return list(zip(items[::2], items[1::2], strict=True))


def _members(text: object) -> Mapping[str, str]:
    lines = text.decode().splitlines() if isinstance(text, bytes) else []
    return {name: value for name, _, value in (line.partition(":") for line in lines)}
