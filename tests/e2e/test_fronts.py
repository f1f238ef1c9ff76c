"""The shipped fronts before three gateways: nothing is lost while they are restarted, and one hostname serves all."""

import aiohttp
import pytest

from tests.e2e.product import folder
from tests.rolling.fronts import EVERY, Front, binary, serving
from tests.rolling.replicas import readiness, replicas, until
from tests.rolling.roll import roll
from tests.upstream import Echo, Gate, ScriptedUpstream

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=EVERY)
def front(request: pytest.FixtureRequest) -> Front:
    if not binary(request.param):
        pytest.skip(f"there is no {request.param} here: apt-get install {request.param}")
    return EVERY[request.param]


async def test_gateways_are_restarted_one_after_the_other_and_no_call_fails(
    front: Front, postgres_dsn: str, valkey_url: str
):
    with folder() as place:
        rolled = await roll(front, place, postgres_dsn, valkey_url, plain=2, streams=2)
    assert rolled.wrong == []
    assert rolled.restarts == 3
    assert rolled.calls > 100


async def test_one_hostname_serves_calls_console_and_admin_api_and_nothing_is_held_back(
    front: Front, postgres_dsn: str, valkey_url: str
):
    gate = Gate()
    forged = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    with folder() as place:
        async with (
            ScriptedUpstream() as upstream,
            replicas(place, postgres_dsn, valkey_url, upstream.base_url, lame_duck_s=0) as three,
            aiohttp.ClientSession() as session,
        ):
            with serving(front, place / "front", three.ports, three.admin_port) as url:
                port = int(url.rpartition(":")[2])
                await until(lambda: readiness(port))
                async with session.get(url + "/") as answer:
                    assert answer.content_type == "text/html"
                async with session.get(url + "/api/status") as answer:
                    assert (await answer.json())["success"]
                session.headers["Authorization"] = f"Bearer {three.token.key}"
                for path in ("/v1/models", "/v1beta/models", "/api/usage/token/"):
                    async with session.get(url + path) as answer:
                        assert answer.status == 200, path
                upstream.answer("m", Echo().after(2, gate))
                body = {
                    "model": "m",
                    "messages": [{"role": "user", "content": "x"}],
                    "stream": True,
                }
                async with session.post(
                    url + "/v1/chat/completions", json=body, headers=forged
                ) as answer:
                    assert b"role" in await answer.content.readline()  # while the rest is held
                    gate.release()
                    await answer.read()
                await until(lambda: any(replica.calls() for replica in three.all))
            for replica in three.all:
                replica.terminate()
                await replica.ended()
        (row,) = await three.ledger()
        assert str(row["address"]) == "127.0.0.1", "not what the caller wrote"
