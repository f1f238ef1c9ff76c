"""Upstreams, models, prices and groups that are made over the API: what gateways make of them, and how soon."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from admin_api.notifier import StoreNotifier
from gateway.config import ConfigError
from gateway.store.catalog import raise_generation
from gateway.store.people import write_access_token
from gateway.store.postgres import transaction
from gateway.store.valkey import open_valkey
from tests.admin import PEPPER, SYSTEM, Admin, running_admin
from tests.integration.rig import PRICED, USD, Rig, chat, running, until
from tests.integration.test_calls import refused
from tests.upstream import Echo, Gate, ScriptedUpstream

LOOPBACK = ["127.0.0.0/8"]
KEY = "sk-provider-0123456789abcdef-wxyz"
SOON_S = 2
PRICE = {"input_usd_per_mtok": 3, "output_usd_per_mtok": 30, "max_output_tokens": 1000}


@dataclass
class Both:
    """Two gateways and the admin app on the same stores, and a provider that the file does not know."""

    rigs: list[Rig]
    admin: Admin
    provider: ScriptedUpstream
    access: str

    async def call(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = await self.admin.call(method, path, body, token=self.access)
        assert answer.status == status, answer.body
        return answer.data

    async def add_provider(self, **fields: Any) -> Any:
        upstream = {
            "name": "added",
            "base_url": self.provider.base_url,
            "allow_cidrs": LOOPBACK,
            "api_key": KEY,
            "models": ["new"],
            "priority": -1,
            **fields,
        }
        made = await self.call("POST", "/api/upstream", upstream)
        for rig in self.rigs:  # what is not there yet is refused before the quota store is asked
            await seen(rig, await generation_of(self))
        return made


@contextlib.asynccontextmanager
async def both(
    postgres_dsn: str, valkey_url: str, aiohttp_client: Any, *, tells: bool = True
) -> AsyncIterator[Both]:
    async with contextlib.AsyncExitStack() as stack:
        of_file, provider = [await stack.enter_async_context(ScriptedUpstream()) for _ in "12"]

        def configure(members: dict[str, Any]) -> None:
            members["upstreams"][0]["models"] = ["m", "unpriced"]

        rigs = [
            await stack.enter_async_context(running(postgres_dsn, valkey_url, of_file, configure))
            for _ in "12"
        ]
        quota = rigs[0].gateway.quota
        valkey = await stack.enter_async_context(open_valkey(valkey_url))
        settings = {
            "upstreams": [{"name": "scripted", "base_url": of_file.base_url, "models": ["m"]}],
            "models": [{"name": "m", **PRICED}],
        }
        notifier = StoreNotifier(quota, valkey, timeout_s=5) if tells else None
        admin = await stack.enter_async_context(
            running_admin(aiohttp_client, postgres_dsn, settings, quota, notifier)
        )
        async with transaction(admin.pool) as connection:
            access = await write_access_token(connection, SYSTEM, 1, "t", PEPPER)
        yield Both(rigs, admin, provider, access)


@pytest.fixture
async def here(postgres_dsn, valkey_url, aiohttp_client) -> AsyncIterator[Both]:
    async with both(postgres_dsn, valkey_url, aiohttp_client) as made:
        yield made


@pytest.fixture
async def untold(postgres_dsn, valkey_url, aiohttp_client) -> AsyncIterator[Both]:
    """Nobody is told of an edit: notices are lost, and the quota store does not hear of it."""
    async with both(postgres_dsn, valkey_url, aiohttp_client, tells=False) as made:
        yield made


async def served(rig: Rig, key: str, model: str = "new") -> None:
    async with rig.post(key, chat(model, max_tokens=5)) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()


async def seen(rig: Rig, generation: int) -> None:
    async with asyncio.timeout(SOON_S):
        await until(lambda: rig.gateway.catalog.generation >= generation)


async def generation_of(here: Both) -> int:
    return await here.admin.pool.fetchval("SELECT generation FROM catalog")


async def test_a_provider_with_a_sealed_key_and_a_price_is_called_on_every_worker_at_once(here):
    token = await here.rigs[0].token(USD)
    for rig in here.rigs:
        await refused(rig.post(token.key, chat("new", max_tokens=5)), 404, "model_not_found")
    await here.call("POST", "/api/model", {"name": "new", **PRICE})
    added = await here.add_provider()
    assert added["api_key"] == "…wxyz"
    async with asyncio.timeout(SOON_S):
        for rig in here.rigs:
            await seen(rig, await generation_of(here))
            await served(rig, token.key)
    assert [sent.header("authorization") for sent in here.provider.requests] == [
        f"Bearer {KEY}"
    ] * 2
    rows = [row for rig in here.rigs for row in await rig.ledger()][-2:]
    shown = await here.call("GET", "/api/model/new")
    assert {row["price_version"] for row in rows} == {shown["effective"]["price_version"]}
    assert rows[0]["price_version"] >= 1_000_000_000
    assert rows[0]["amount"] == rows[0]["input_tokens"] * 3000 + rows[0]["output_tokens"] * 30_000
    sealed = await here.admin.pool.fetchval("SELECT sealed_keys FROM upstream")
    assert KEY.encode() not in sealed


async def test_an_edit_of_a_group_or_an_upstream_binds_the_next_call_on_every_worker(here):
    await here.call("POST", "/api/model", {"name": "new", **PRICE})
    await here.add_provider()
    await here.call("POST", "/api/group", {"name": "g", "models": ["new"]})
    token = await here.rigs[0].token(USD, group="g")

    async def on_every_worker(check: Any) -> None:
        for rig in here.rigs:
            await seen(rig, await generation_of(here))
            await check(rig)

    await on_every_worker(lambda rig: served(rig, token.key))
    await here.call("PATCH", "/api/group/g", {"models": ["m"]})
    await on_every_worker(
        lambda rig: refused(rig.post(token.key, chat("new")), 403, "model_not_allowed")
    )
    await here.call("PATCH", "/api/group/g", {"models": ["*"]})
    async with ScriptedUpstream() as moved:
        await here.call(
            "PATCH", "/api/upstream/added", {"base_url": moved.base_url, "api_key": KEY}
        )
        await on_every_worker(lambda rig: served(rig, token.key))
        assert (len(here.provider.requests), len(moved.requests)) == (2, 2)


async def test_the_next_call_obeys_an_edit_whose_notice_was_lost(here):
    token = await here.rigs[0].token(USD)
    await served(here.rigs[0], token.key, "m")
    group = {"name": "g", "ratio": 2, "models": ["m"]}
    await here.call("POST", "/api/group", group)
    dear = await here.rigs[0].token(USD, group="g")
    # The quota store knows the generation; no gateway has been told.
    await served(here.rigs[1], dear.key, "m")
    await here.admin.pool.execute(
        """UPDATE "group" SET spec = '{"ratio": "3", "models": ["m"]}' WHERE name = 'g'"""
    )
    generation = await raise_generation(here.admin.pool)
    await here.rigs[0].gateway.quota.start(generation=generation)
    await served(here.rigs[1], dear.key, "m")
    twice, thrice = (await here.rigs[1].ledger())[-2:]
    assert (twice["amount"] * 3, twice["group_id"]) == (thrice["amount"] * 2, thrice["group_id"])


async def test_a_new_key_is_never_read_by_an_older_catalog(untold):
    rig = untold.rigs[1]
    for number in range(3):  # workers look for themselves every second: once might be luck
        name = f"new-{number}"
        await untold.call("POST", "/api/group", {"name": name, "models": ["m"]})
        token = await untold.rigs[0].token(USD, group=name)
        await served(rig, token.key, "m")
    await untold.add_provider()
    await untold.call("POST", "/api/model", {"name": "new", **PRICE})
    token = await untold.rigs[0].token(USD)
    await served(rig, token.key)


async def test_workers_look_for_themselves_where_nobody_tells_them(untold):
    token = await untold.rigs[0].token(USD)
    await untold.add_provider()
    await untold.call("POST", "/api/model", {"name": "new", **PRICE})
    for rig in untold.rigs:
        await seen(rig, await generation_of(untold))
        await served(rig, token.key)


async def test_running_calls_end_by_the_price_that_they_began_with(here):
    rig = here.rigs[0]
    token = await rig.token(USD)
    await here.add_provider()
    await here.call("POST", "/api/model", {"name": "new", **PRICE})
    await seen(rig, await generation_of(here))
    gate = Gate()
    here.provider.answer("new", Echo().first(gate))
    task = asyncio.create_task(served(rig, token.key))
    await gate.waiting(1)
    before = await here.call("GET", "/api/model/new")
    dearer = {"input_usd_per_mtok": 9, "output_usd_per_mtok": 90}
    after = await here.call("PATCH", "/api/model/new", dearer)
    assert after["effective"]["price_version"] > before["effective"]["price_version"]
    assert [each["version"] for each in after["prices"]] == [
        after["effective"]["price_version"],
        before["effective"]["price_version"],
    ]
    await seen(rig, await generation_of(here))
    gate.release()
    await task
    here.provider.answer("new", Echo())
    await served(rig, token.key)
    first, second = await rig.ledger()
    assert first["price_version"] == before["effective"]["price_version"]
    assert second["price_version"] == after["effective"]["price_version"]
    assert second["amount"] == first["amount"] * 3


async def test_bounds_of_a_model_may_change_and_its_price_keeps_its_number(here):
    made = await here.call("POST", "/api/model", {"name": "new", **PRICE})
    kept = await here.call("PATCH", "/api/model/new", {"max_output_tokens": 50})
    assert kept["effective"]["price_version"] == made["effective"]["price_version"]
    assert kept["version"] == made["version"] + 1
    assert await here.call("PATCH", "/api/model/new", {"max_output_tokens": 50}) == kept


async def test_what_is_known_of_an_unchanged_upstream_is_kept_and_a_removed_ones_connections_close(
    here,
):
    rig = here.rigs[0]
    token = await rig.token()
    await here.add_provider()
    await served(rig, token.key, "m")
    await served(rig, token.key)
    states = {state.upstream.name: state for state in rig.gateway._terms.upstreams}
    assert here.provider.open_connections == 1
    await here.call("DELETE", "/api/upstream/added")
    await seen(rig, await generation_of(here))
    await until(lambda: here.provider.open_connections == 0)
    await served(rig, token.key, "m")
    assert [*rig.gateway._terms.upstreams] == [states["scripted"]]
    await refused(rig.post(token.key, chat("new")), 404, "model_not_found")


async def test_a_call_that_runs_while_its_upstream_is_removed_ends_well_and_leaves_no_connection(
    here,
):
    rig = here.rigs[0]
    token = await rig.token()
    await here.add_provider()
    gate = Gate()
    here.provider.answer("new", Echo().first(gate))
    task = asyncio.create_task(served(rig, token.key))
    await gate.waiting(1)
    await here.call("DELETE", "/api/upstream/added")
    await seen(rig, await generation_of(here))
    gate.release()
    await task
    await until(lambda: here.provider.open_connections == 0)


async def test_many_calls_that_meet_a_newer_catalog_read_it_once(here):
    rig = here.rigs[0]
    tokens = [await rig.token(USD) for _ in range(20)]
    for token in tokens:
        await served(rig, token.key, "m")
    reader = rig.gateway.catalogs._reader
    build, builds = reader._build, []

    async def counted() -> None:
        builds.append(1)
        await build()

    reader._build = counted
    generation = await raise_generation(here.admin.pool)
    await rig.gateway.quota.start(generation=generation)
    await asyncio.gather(*(served(rig, token.key, "m") for token in tokens))
    assert len(builds) == 1


async def test_a_store_that_knows_a_generation_that_postgres_lost_keeps_nobody_out(here):
    token = await here.rigs[0].token(USD)
    await served(here.rigs[0], token.key, "m")
    await here.rigs[0].gateway.quota.start(generation=50)
    await served(here.rigs[0], token.key, "m")
    assert await generation_of(here) == 50


@pytest.mark.parametrize(
    ("table", "columns", "told"),
    [
        ("upstream", ("added", {"base_url": "ftp://x"}), "http"),
        ("upstream", ("added", {"base_url": "https://1.1.1.1", "nonsense": 1}), "nonsense"),
        ("upstream", ("scripted", {"base_url": "https://example.com"}), "configuration file"),
        ("model", ("new", {"input_usd_per_mtok": "many"}), "input_usd_per_mtok"),
        ("model", ("new", {"members": "all"}), "members"),
        ("model", ("new", ["nonsense"]), "spec"),
        (
            "model",
            ("new", {"input_usd_per_mtok": "1E+999999", "output_usd_per_mtok": "1"}),
            "input_usd_per_mtok",
        ),
        ("group", ("g", {"groups": ["nobody"]}), "nobody"),
        ("group", ("g", {"ratio": -1}), "ratio"),
    ],
)
async def test_a_row_that_cannot_be_read_is_left_out_and_told_and_takes_nobody_down(
    here, table, columns, told, caplog
):
    rig = here.rigs[0]
    token = await rig.token(USD)
    source = (
        "(name, spec, source) VALUES ($1, $2, 'api')"
        if table == "group"
        else ("(name, spec) VALUES ($1, $2)")
    )
    await here.admin.pool.execute(f'INSERT INTO "{table}" {source}', *columns)
    await seen(rig, await raise_generation(here.admin.pool))
    await served(rig, token.key, "m")
    assert any(told in message for message in caplog.messages)
    page = await here.call("GET", f"/api/{table}?size=100&keyword={columns[0]}")
    (broken,) = [each for each in page["items"] if each["broken"]]
    assert told in broken["broken"]
    await here.call(
        "DELETE", f"/api/{table}/{columns[0]}", status=(409 if columns[0] == "scripted" else 200)
    )


async def test_keys_that_no_longer_open_leave_their_upstream_out(here):
    await here.add_provider()
    await here.admin.pool.execute("UPDATE upstream SET sealed_keys = 'nonsense'")
    await seen(here.rigs[0], await raise_generation(here.admin.pool))
    names = [each.name for each in here.rigs[0].gateway.catalog.upstreams]
    assert names == ["scripted"]
    shown = await here.call("GET", "/api/upstream/added")
    assert "do not open" in shown["broken"]
    await here.call("PATCH", "/api/upstream/added", {"api_key": KEY})
    assert (await here.call("GET", "/api/upstream/added"))["broken"] is None


@pytest.mark.parametrize(
    ("path", "body", "section"),
    [
        ("/api/upstream", {"name": "one", "base_url": "https://1.1.1.1/v1"}, "upstreams"),
        ("/api/model", {"name": "one"}, "models"),
        ("/api/group", {"name": "one"}, "groups"),
    ],
)
async def test_a_file_that_has_gained_a_name_of_the_api_does_not_start(
    here, postgres_dsn, valkey_url, path, body, section
):
    await here.call("POST", path, body)

    def configure(members: dict[str, Any]) -> None:
        entry = {"name": "one"}
        if section == "upstreams":
            members[section].append({**entry, "base_url": "http://127.0.0.1:9"})
        elif section == "models":
            members[section].append(entry)
        else:
            members["groups.one"] = {}

    with pytest.raises(ConfigError, match=rf"{section}\.one: the admin API made one"):
        async with running(postgres_dsn, valkey_url, here.provider, configure):
            pass
