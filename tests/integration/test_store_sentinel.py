"""The quota store behind Sentinels: a real primary with two replicas, and three Sentinels."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.store.pipeline import Pipeline
from gateway.store.underway import read_valkey_state
from gateway.store.valkey import open_valkey
from tests.integration.rig import USD, chat, running, until
from tests.integration.spending import assert_exact, spend
from tests.upstream import ScriptedUpstream
from tests.valkeys import PASSWORD, SERVICE, USER, SentinelTrio
from tests.valkeys import running as servers_running


@pytest.fixture(scope="module")
def servers() -> Iterator[SentinelTrio]:
    with servers_running(SentinelTrio) as made:
        yield made


@pytest.fixture
def trio(servers: SentinelTrio) -> SentinelTrio:
    """An empty one."""
    servers.flush()
    return servers


async def test_calls_and_notices_work_as_the_user_of_the_documents(
    trio: SentinelTrio, postgres_dsn: str
):
    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, trio.url, upstream) as rig,
        open_valkey(trio.url) as valkey,
    ):
        key = await rig.token(USD)
        async with rig.post(key.key, chat()) as answer:
            assert answer.status == 200
            await answer.read()
        assert len(await rig.ledger()) == 1
        await valkey.publish_token_change(key.row.id)
        await until(lambda: rig.gateway.tokens.get(key.key) is None)
        assert (await read_valkey_state(rig.gateway.quota.pipeline)).gateways == 1


async def test_the_cap_holds_when_the_primary_is_lost(trio: SentinelTrio, postgres_dsn: str):
    killed = []

    async def lose() -> None:
        killed.append(await asyncio.to_thread(trio.fail_over))

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, trio.url, upstream) as rig,
    ):
        run_id = rig.gateway.quota.pipeline.run_ids[0]
        spent = await spend(rig, lose)
        assert rig.gateway.quota.pipeline.run_ids[0] != run_id
        assert rig.gateway.quota.double_faults == 0
        await assert_exact(rig, spent, trio.url)
    trio.revive(*killed)


async def test_a_primary_that_is_replaced_while_it_lives_is_left_by_itself(trio: SentinelTrio):
    async with Pipeline(trio.url, operation_timeout_s=5) as pipeline:
        before = pipeline.run_ids[0]
        trio.sentinels[0].ask("SENTINEL", "FAILOVER", SERVICE)
        await until(lambda: pipeline.connected and pipeline.run_ids[0] != before)
        assert await pipeline.call(0, "SET", "q:{s000}:b:t1", "x") == b"OK"
        await pipeline.call(0, "DEL", "q:{s000}:b:t1")


async def test_a_service_that_no_sentinel_knows_is_named(trio: SentinelTrio):
    pipeline = Pipeline(trio.url.replace("/quota?", "/other?"))
    with pytest.raises(StoreUnavailable, match=r"'other'.*No such master"):
        await pipeline.start(wait_s=0.3)


async def test_a_replica_is_not_used_as_if_it_were_the_primary(trio: SentinelTrio):
    replica = next(each for each in trio.servers if not each.is_primary)
    pipeline = Pipeline(f"redis://{USER}:{PASSWORD}@127.0.0.1:{replica.port}")
    with pytest.raises(StoreUnavailable, match="is a replica"):
        await pipeline.start(wait_s=0.3)
