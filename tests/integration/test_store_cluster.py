"""The quota store as a cluster: a real one, of three primaries with a replica each."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from gateway.domain.errors import StoreNotAsked, StoreUnavailable
from gateway.domain.token import Token
from gateway.store import cluster as cluster_module
from gateway.store.books import Book
from gateway.store.cluster import SLOTS
from gateway.store.connection import encode
from gateway.store.conservation import open_auditor
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import key as store_key
from gateway.store.quota import QuotaStore
from gateway.store.replies import Again, Obstacle, Reserved
from gateway.store.roles import READER
from gateway.store.underway import read_underway, read_valkey_state
from gateway.store.valkey import open_valkey
from tests.databases import as_role
from tests.integration.rig import USD, chat, running, until
from tests.integration.spending import assert_exact, spend
from tests.quota_rig import ACCOUNT, SHARD, Rig, token
from tests.upstream import ScriptedUpstream
from tests.valkeys import Cluster
from tests.valkeys import running as servers_running

ACCOUNT_OF_CALLS = 1


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    with servers_running(Cluster) as made:
        yield made


@pytest.fixture
def cluster(nodes: Cluster) -> Cluster:
    """An empty one."""
    nodes.flush()
    return nodes


async def load(rig: Rig, of: Token) -> None:
    """Books with no use yet. As the application: tests that hold the time need more rights."""
    pairs = zip(of.scope_ids, of.versions, strict=True)
    await rig.load_rows([Book(scope_id, 10**12, 1, 0, version) for scope_id, version in pairs])


async def know_both(pipeline: Pipeline, cluster: Cluster) -> None:
    """Let the pipeline have a connection to a primary and to the replica that will take its place."""
    for _ in range(2):
        run_id = pipeline.run_ids[SHARD]
        await asyncio.to_thread(cluster.hand_over, SLOTS[SHARD])
        await asked(pipeline, "GET", store_key(SHARD, "e"))
        assert pipeline.run_ids[SHARD] != run_id


async def asked(pipeline: Pipeline, *command: str | bytes) -> object:
    """The answer of whoever has the shard, once it is known who that is."""
    while True:
        try:
            return await pipeline.call(SHARD, *command)
        except StoreUnavailable:
            await asyncio.sleep(0.01)


async def test_calls_notices_and_the_audit_work_as_the_user_of_the_documents(
    cluster: Cluster, postgres_dsn: str
):
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, cluster.url, upstream) as rig,
        open_valkey(cluster.url) as valkey,
    ):
        key = await rig.token(USD, max_concurrency=5)
        for ask in (chat(), chat(stream=True)):
            async with rig.post(key.key, ask) as answer:
                assert answer.status == 200
                await answer.read()
        assert len(await rig.ledger()) == 2
        await valkey.publish_token_change(key.row.id)
        await until(lambda: rig.gateway.tokens.get(key.key) is None)
        pipeline = rig.gateway.quota.pipeline
        assert len(pipeline.parts()) == 3
        assert (await read_underway(pipeline)).running == []
        state = await read_valkey_state(pipeline)
        assert state.gateways == 1
        async with open_auditor(
            as_role(rig.dsn, READER), cluster.url, sweep_s=60, strict=True
        ) as auditor:
            report = await auditor.audit()
            assert not report.wrong


async def test_what_finds_its_shard_gone_is_sent_on_and_done_once(cluster: Cluster):
    slot = SLOTS[SHARD]
    async with Pipeline(cluster.url, operation_timeout_s=5) as pipeline:
        rig = Rig(pipeline)
        await rig.store.start(0)
        t = token()
        await load(rig, t)
        prepared, before = rig.store.prepare(t, "m", 0), pipeline.run_ids[SHARD]
        ids = [rig.new_id() for _ in range(20)]
        await asyncio.gather(*(rig.reserve(prepared, each) for each in ids))
        here, there = cluster.primary_of(slot), cluster.primary_of((slot + 8192) % 16384)
        cluster.move(slot, there)
        told = await asyncio.gather(*(rig.settle(prepared, each, 60) for each in ids))
        assert told == [b"OK"] * len(ids)
        assert pipeline.run_ids[SHARD] != before
        assert await rig.store.live(ACCOUNT) == []
        assert sorted(each[0].encode() for each in await rig.settlements()) == ids
        cluster.move(slot, here)


async def test_a_reservation_for_one_primary_is_never_taken_by_the_next(cluster: Cluster):
    """It may know less, and has the epoch of the one before until somebody opens it."""
    slot = SLOTS[SHARD]
    async with Pipeline(cluster.url, operation_timeout_s=5) as pipeline:
        rig = Rig(pipeline)
        await rig.store.start(0)
        t = token()
        await load(rig, t)
        await know_both(pipeline, cluster)
        await rig.store.look_round()  # which finds all shards
        await rig.store.start(0)
        await load(rig, t)
        prepared = rig.store.prepare(t, "m", 0)
        assert isinstance(await rig.reserve(prepared, rig.new_id()), Reserved)
        await asyncio.to_thread(cluster.hand_over, slot)
        told = await asyncio.gather(*(rig.reserve(prepared, rig.new_id()) for _ in range(20)))
        assert {each.obstacle for each in told} <= {Obstacle.DOWN, Obstacle.EPOCH}
        await until(lambda: pipeline.run_ids[SHARD] != prepared.run_id)
        assert await rig.reserve(prepared, rig.new_id()) == Again(Obstacle.EPOCH)
        await rig.store.reopen(SHARD)
        fresh = rig.store.prepare(t, "m", 0)
        assert (await rig.reserve(fresh, rig.new_id())).obstacle is Obstacle.PAUSE
        assert len(await rig.store.live(ACCOUNT)) == 1, "the one that was taken before"


async def test_a_shard_that_is_on_its_way_is_asked_where_its_keys_are(cluster: Cluster):
    slot = SLOTS[SHARD]
    async with Pipeline(cluster.url, operation_timeout_s=5) as pipeline:
        names = [store_key(SHARD, "b", f"t{number}") for number in range(1000, 1020)]
        for name in names:
            await pipeline.call(SHARD, "SET", name, name)
        here, there = cluster.primary_of(slot), cluster.primary_of((slot + 8192) % 16384)
        seen: list[object] = []

        async def look() -> None:
            found = await asyncio.gather(*(pipeline.call(SHARD, "GET", name) for name in names))
            seen.append(found)
            both = await pipeline.ask(SHARD, "MGET", *names)
            assert isinstance(both, StoreNotAsked), "it was not done"
            assert "TRYAGAIN" in str(both)

        loop = asyncio.get_running_loop()

        def meanwhile() -> None:
            asyncio.run_coroutine_threadsafe(look(), loop).result(20)

        await asyncio.to_thread(cluster.move, slot, there, meanwhile)
        assert seen == [names]
        assert await pipeline.call(SHARD, "MGET", *names) == names
        await pipeline.call(SHARD, "DEL", *names)
        await asyncio.to_thread(cluster.move, slot, here)


async def test_a_shard_that_moves_under_load_costs_nobody_anything(
    cluster: Cluster, postgres_dsn: str
):
    slot = SLOTS[ACCOUNT_OF_CALLS]
    here, there = cluster.primary_of(slot), cluster.primary_of((slot + 8192) % 16384)
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, cluster.url, upstream) as rig,
    ):

        async def move() -> None:
            await asyncio.to_thread(cluster.move, slot, there)

        spent = await spend(rig, move)
        await assert_exact(rig, spent, cluster.url)
    cluster.move(slot, here)


async def test_the_cap_holds_when_a_primary_is_lost(cluster: Cluster, postgres_dsn: str):
    slot, killed = SLOTS[ACCOUNT_OF_CALLS], []

    async def lose() -> None:
        killed.append(await asyncio.to_thread(cluster.fail_over, slot))

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, cluster.url, upstream) as rig,
    ):
        run_id = rig.gateway.quota.pipeline.run_ids[ACCOUNT_OF_CALLS]
        spent = await spend(rig, lose)
        assert rig.gateway.quota.pipeline.run_ids[ACCOUNT_OF_CALLS] != run_id
        assert rig.gateway.quota.double_faults == 0
        await assert_exact(rig, spent, cluster.url)
    cluster.revive(*killed)


async def test_what_was_given_up_is_not_done_by_the_next_primary(cluster: Cluster):
    slot = SLOTS[SHARD]
    async with Pipeline(cluster.url, operation_timeout_s=0.3) as pipeline:
        rig = Rig(pipeline)
        await rig.store.start(0)
        t = token()
        await load(rig, t)
        prepared = rig.store.prepare(t, "m", 0)
        primary = cluster.primary_of(slot)
        os.kill(primary.pid, signal.SIGSTOP)
        try:
            reply = await rig.reserve(prepared, rig.new_id())
            assert isinstance(reply, Again)
            assert reply.obstacle is Obstacle.UNKNOWN
            await until(lambda: pipeline.run_ids[SHARD] != prepared.run_id)
        finally:
            os.kill(primary.pid, signal.SIGCONT)
        await rig.store.start(0)
        assert await rig.store.live(ACCOUNT) == []
        await load(rig, t)
        prepared = rig.store.prepare(t, "m", 0)
        assert isinstance(await rig.reserve(prepared, rig.new_id()), Reserved)
    cluster.wait_until_whole()


async def test_what_was_given_up_is_not_sent_on(cluster: Cluster):
    slot, name = SLOTS[SHARD], store_key(SHARD, "b", "t1000")
    primary, replica = cluster.primary_of(slot), cluster.replica_of(slot)
    async with Pipeline(cluster.url, operation_timeout_s=0.2) as pipeline:
        await know_both(pipeline, cluster)
        run_id, connections = pipeline.run_ids[SHARD], pipeline.connections
        primary.ask("CLIENT", "PAUSE", 700)  # ms: not so long that the connection is dropped
        given_up = asyncio.ensure_future(pipeline.call(SHARD, "SET", name, "x"))
        await asyncio.to_thread(replica.ask, "CLUSTER", "FAILOVER", "TAKEOVER")
        with pytest.raises(StoreUnavailable, match="in time"):
            await given_up
        await until(lambda: pipeline.run_ids[SHARD] != run_id)  # told so by the late reply
        assert pipeline.connections == connections, "none was lost"
        assert await asked(pipeline, "GET", name) is None
    cluster.wait_until_whole()


async def test_nodes_that_have_no_shard_any_more_are_let_go(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cluster_module, "_KEPT_S", 0)
    slot = SLOTS[SHARD]
    async with Pipeline(cluster.url, operation_timeout_s=5) as pipeline:
        before = {node.address.port for node in pipeline._nodes}
        await asyncio.to_thread(cluster.hand_over, slot)
        await QuotaStore(pipeline).look_round()  # as each beat of a worker does
        now = cluster.primary_of(slot).port
        await until(lambda: len(pipeline._nodes) == 3)
        assert now in {node.address.port for node in pipeline._nodes} != before


async def test_the_others_go_on_while_a_node_is_away(cluster: Cluster):
    async with Pipeline(cluster.url, operation_timeout_s=1) as pipeline:
        rig = Rig(pipeline)
        await rig.store.start(0)
        primary = cluster.primary_of(SLOTS[SHARD])
        away = pipeline.beside(SHARD)
        primary.kill()
        await until(lambda: pipeline._connections[SHARD] is None)
        openings = await rig.store.look_round()
        assert set(openings) == set(range(256)) - set(away)
        assert None not in openings.values()
        assert await rig.store.reopen(next(iter(openings))) == 0
        with pytest.raises(StoreUnavailable):
            await rig.store.start()
        told: list[object] = []
        pipeline.send(SHARD, encode("PING"), told.append)
        await until(lambda: bool(told))
        assert isinstance(told[0], StoreNotAsked)
    cluster.revive(primary)


async def test_nodes_that_do_not_answer_fail_the_start(unused_tcp_port: int):
    pipeline = Pipeline(f"redis+cluster://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(StoreUnavailable, match="not connected: ConnectionRefused"):
        await pipeline.start(wait_s=0.3)
