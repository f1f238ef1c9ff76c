"""A worker that takes a changed file over: calls that run keep what they began with, the next go by the new."""

import asyncio
from typing import Any

import orjson
import pytest

from gateway.config import ConfigError, Loaded
from gateway.reload import take_over
from gateway.store.roles import GATEWAY
from tests.databases import as_role
from tests.integration.rig import PRICED, USD, Rig, chat, configuration, running, until
from tests.integration.test_calls import refused
from tests.upstream import Echo, Gate, ScriptedUpstream
from tests.wire import request, wire


def reader(postgres_dsn: str, valkey_url: str, upstream: ScriptedUpstream, change: Any) -> Any:
    own = as_role(postgres_dsn, GATEWAY)
    return lambda: configuration(own, valkey_url, upstream.base_url, change)


async def taken_over(rig: Rig, read: Any) -> Loaded:
    """Have the rig's gateway go by what `read` gives."""
    return await take_over(rig.gateway.catalogs._reader.loaded, read, rig.gateway.adopt)


async def test_models_prices_upstreams_and_groups_are_those_of_the_new_file(
    postgres_dsn: str, valkey_url: str
):
    async with (
        ScriptedUpstream() as before,
        ScriptedUpstream() as after,
        running(postgres_dsn, valkey_url, before) as rig,
    ):
        token = await rig.token(USD)
        gate = Gate()
        before.answer("m", Echo().after(2, gate))
        async with rig.post(token.key, chat(stream=True)) as running_call:
            await gate.waiting()

            def change(members: dict[str, Any]) -> None:
                members["upstreams"] = [
                    {"name": "scripted", "base_url": after.base_url, "models": ["m", "new"]}
                ]
                members["models"] = [
                    {"name": "m", **PRICED, "output_usd_per_mtok": 20},
                    {"name": "new", **PRICED},
                ]
                members["groups.default"] = {"ratio": 2}

            await taken_over(rig, reader(postgres_dsn, valkey_url, before, change))
            for model in ("m", "new"):
                async with rig.post(token.key, chat(model)) as answer:
                    assert answer.status == 200
            gate.release()
            assert (await running_call.text()).endswith("data: [DONE]\n\n")
        assert (len(before.requests), len(after.requests)) == (1, 2)
        rows = await rig.ledger()
        price = {"before": (1, 10), "m": (2, 40), "new": (2, 20)}
        counts = [(row["input_tokens"], row["output_tokens"]) for row in rows]
        for row, (nusd_in, nusd_out), (read, made) in zip(
            rows, price.values(), counts, strict=True
        ):
            assert row["amount"] == 1000 * (read * nusd_in + made * nusd_out)


async def test_settings_of_the_data_plane_bind_the_next_call_on_a_kept_connection(
    postgres_dsn: str, valkey_url: str
):
    address = "192.0.2.7"
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream) as rig,
        wire(rig.url) as caller,
    ):
        token = await rig.token(USD, allow_ips=(address,))
        sent = request(token.key, chat(), headers=(("x-real-ip", address),))
        assert (await caller.ask(sent)).status == 403

        def change(members: dict[str, Any]) -> None:
            members["gateway"] |= {
                "trusted_proxies": ["127.0.0.1"],
                "client_header": "x-real-ip",
                "max_body_bytes": 1024,
                "cors": False,
            }

        await taken_over(rig, reader(postgres_dsn, valkey_url, upstream, change))
        assert (await caller.ask(sent)).status == 200
        origin = (("x-real-ip", address), ("origin", "https://example.com"))
        answer = await caller.ask(request(token.key, chat(), headers=origin))
        assert answer.header("access-control-allow-origin") is None
        large = request(token.key, chat(text="x" * 2000), headers=(("x-real-ip", address),))
        assert (await caller.ask(large)).status == 413


async def test_a_bound_of_connections_binds_the_next_and_those_that_are_open_count(
    postgres_dsn: str, valkey_url: str
):
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream) as rig,
        wire(rig.url) as first,
    ):

        def bounded(members: dict[str, Any]) -> None:
            members["gateway"]["max_connections_per_address"] = 1

        def trusted(members: dict[str, Any]) -> None:
            bounded(members)
            members["gateway"]["trusted_proxies"] = ["127.0.0.1"]

        health = request(None, method="GET", path="/healthz")
        assert (await first.ask(health)).status == 200
        await taken_over(rig, reader(postgres_dsn, valkey_url, upstream, bounded))
        async with wire(rig.url) as second:
            assert (await second.ask(health)).status == 429
        await taken_over(rig, reader(postgres_dsn, valkey_url, upstream, trusted))
        async with wire(rig.url) as third:
            assert (await third.ask(health)).status == 200
        await taken_over(rig, reader(postgres_dsn, valkey_url, upstream, None))
        first.leave()
        await until(lambda: not rig.gateway.crowd.open)
        assert not rig.gateway.crowd._counts


async def test_the_operators_routes_are_those_of_the_new_file(postgres_dsn: str, valkey_url: str):
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream) as rig,
    ):
        token = await rig.token(USD)
        call = {"path": "/v1/odd", "headers": {}}
        await refused(rig.post(token.key, {}, **call), 403, "route_not_metered")

        def change(members: dict[str, Any]) -> None:
            members["routes"] = [{"path": "/v1/odd", "metering": "free"}]

        await taken_over(rig, reader(postgres_dsn, valkey_url, upstream, change))
        async with rig.post(token.key, {}, **call) as answer:
            assert answer.status != 403


async def test_a_name_that_the_admin_api_has_taken_changes_nothing(
    postgres_dsn: str, valkey_url: str
):
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream) as rig,
    ):
        token = await rig.token(USD)
        await rig.database.execute(
            "INSERT INTO model (name, spec) VALUES ($1, $2)",
            "taken",
            orjson.loads(orjson.dumps({})),
        )
        catalog = rig.gateway.catalog

        def change(members: dict[str, Any]) -> None:
            members["models"].append({"name": "taken", **PRICED})

        read = reader(postgres_dsn, valkey_url, upstream, change)
        with pytest.raises(ConfigError, match="taken"):
            await rig.gateway.adopt(read())
        assert rig.gateway.catalog is catalog
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 200


async def test_a_file_taken_over_under_load_breaks_no_call(postgres_dsn: str, valkey_url: str):
    async with (
        ScriptedUpstream(remember=False) as upstream,
        running(postgres_dsn, valkey_url, upstream) as rig,
    ):
        token = await rig.token(USD)
        stop = asyncio.Event()
        statuses: list[int] = []

        async def call() -> None:
            while not stop.is_set():
                async with rig.post(token.key, chat(max_tokens=5)) as answer:
                    await answer.read()
                    statuses.append(answer.status)

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(call())
            for number in range(5):

                def change(members: dict[str, Any], weight: int = number + 1) -> None:
                    members["upstreams"][0]["weight"] = weight

                await taken_over(rig, reader(postgres_dsn, valkey_url, upstream, change))
            stop.set()
        assert set(statuses) == {200}
        assert len(await rig.ledger()) == len(statuses)
