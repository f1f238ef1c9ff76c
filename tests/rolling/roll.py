"""The run: three gateways behind a front are restarted one after the other under load, and nothing may be lost."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.rolling.fronts import Front, serving
from tests.rolling.load import Load
from tests.rolling.replicas import Replica, Replicas, readiness, replicas, until
from tests.upstream import Echo, Gate, ScriptedUpstream

_LONG_STREAMS = 6


@dataclass(frozen=True, slots=True)
class Rolled:
    """What came of it. `wrong` has a line for each kind of thing that must not be."""

    restarts: int
    calls: int
    long_streams: int
    wrong: list[str]


async def roll(
    front: Front,
    directory: Path,
    dsn: str,
    valkey_url: str,
    *,
    rounds: int = 1,
    plain: int = 8,
    streams: int = 8,
    lame_duck_s: float = 2.0,
) -> Rolled:
    """Restart each gateway `rounds` times while calls go on, each time with long streams on their way."""
    async with (
        ScriptedUpstream(remember=False) as upstream,
        replicas(directory, dsn, valkey_url, upstream.base_url, lame_duck_s=lame_duck_s) as three,
    ):
        with serving(front, directory / "front", three.ports, three.admin_port) as url:
            load = Load(url, three.token.key)
            await until(lambda: _passes(load))
            stop = asyncio.Event()
            loading = asyncio.create_task(load.run(stop, plain=plain, streams=streams))
            wrong: list[str] = []
            for replica in three.all * rounds:
                wrong += await _restart(replica, upstream, load)
            stop.set()
            await loading
        for replica in three.all:
            replica.terminate()
        for replica in three.all:
            await replica.ended()
        wrong += [f"{count} times: {what}" for what, count in load.wrong.items()]
        wrong += await _differences(three, load)
        restarts = len(three.all) * rounds
        return Rolled(restarts, load.answered, restarts * _LONG_STREAMS, wrong)


async def _passes(load: Load) -> bool:
    """Whether the front lets calls through already."""
    return await readiness(int(load.url.rpartition(":")[2])) == 200


async def _restart(replica: Replica, upstream: ScriptedUpstream, load: Load) -> list[str]:
    """Stop one while streams run that are longer than its stop, and start it again; what was wrong."""
    gate = Gate()
    upstream.answer("long", Echo().after(2, gate))
    async with asyncio.TaskGroup() as group:
        for _ in range(_LONG_STREAMS):
            group.create_task(load.one_stream("long"))
        await gate.waiting(_LONG_STREAMS)
        replica.terminate()
        await until(lambda: replica.says(503))
        answered = load.answered
        await until(lambda: _has_closed(replica))
        gate.release()
    status = await replica.ended()
    seen = replica.calls()
    await replica.start()
    await until(lambda: replica.calls() > seen)  # the front has found it again
    wrong = [] if status == 0 else [f"{replica.process.name} ended with status {status}"]
    if load.answered == answered:
        wrong.append(f"nothing was answered while {replica.process.name} was stopped")
    return wrong


async def _has_closed(replica: Replica) -> bool:
    return not await replica.listens()


async def _differences(three: Replicas, load: Load) -> list[str]:
    """Where the ledger and what callers were told are not the same."""
    rows = {str(row["request_id"]): row["amount"] for row in await three.ledger()}
    wrong = []
    if missing := load.charges.keys() - rows.keys():
        wrong.append(f"{len(missing)} calls were answered that the ledger does not have")
    if more := rows.keys() - load.charges.keys():
        wrong.append(f"{len(more)} rows of the ledger are of no answered call")
    if other := [id_ for id_, charge in load.charges.items() if rows.get(id_, charge) != charge]:
        wrong.append(f"{len(other)} calls were charged otherwise than told")
    if (used := await three.used_nusd()) != sum(load.charges.values()):
        wrong.append(f"the token has spent {used} nano-dollars, not {sum(load.charges.values())}")
    return wrong
