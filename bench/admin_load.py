"""What administrators do: `python -m bench.admin_load URL TOKEN [CALLS_A_SECOND]` until SIGTERM, else without a pause.

Some clients at once, each of which makes a token, reads it, renames it, and lists a page of 100, over and over. At the
end it prints how many calls were answered. They are elsewhere in real life, so here they yield to everybody.
"""

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

import aiohttp
import uvloop

_CLIENTS = 4
_NICE = 19


async def _load(url: str, access_token: str, rate: float) -> int:
    pause_s = _CLIENTS / rate if rate else 0
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    headers = {"Authorization": f"Bearer {access_token}"}
    async with aiohttp.ClientSession(url, headers=headers) as session:
        clients = [
            asyncio.create_task(_client(session, stopping, pause_s)) for _ in range(_CLIENTS)
        ]
        return sum(await asyncio.gather(*clients))


async def _client(session: aiohttp.ClientSession, stopping: asyncio.Event, pause_s: float) -> int:
    answered = 0
    for number in itertools.count():
        body = {"name": f"made {number}", "remain_quota": 500_000}
        token_id = (await _call(session, "POST", "/api/token/", body))["id"]
        await asyncio.sleep(pause_s)
        await _call(session, "GET", f"/api/token/{token_id}")
        await asyncio.sleep(pause_s)
        await _call(session, "PATCH", f"/api/token/{token_id}", {"name": f"renamed {number}"})
        await asyncio.sleep(pause_s)
        await _call(session, "GET", "/api/token/?size=100")
        await asyncio.sleep(pause_s)
        answered += 4
        if stopping.is_set():
            break
    return answered


async def _call(
    session: aiohttp.ClientSession, method: str, path: str, body: object = None
) -> dict[str, int]:
    async with session.request(method, path, json=body) as answer:
        answer.raise_for_status()
        data: dict[str, int] = (await answer.json())["data"]
        return data


def _yield_to_others() -> None:
    os.nice(_NICE)
    group = Path(
        "/proc/self/autogroup"
    )  # where there are any, a session's counts, and not a process'
    if group.exists():
        group.write_text(str(_NICE))


if __name__ == "__main__":
    _yield_to_others()
    print(uvloop.run(_load(sys.argv[1], sys.argv[2], float((*sys.argv[3:], 0)[0]))))
