"""The circuit breaker: nobody waits long for a store that is slow, silent or gone, and nobody is told twice."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.domain.breaker import BreakerState
from gateway.domain.errors import StoreNotAsked, StoreUnavailable
from gateway.store.connection import encode
from gateway.store.pipeline import Pipeline
from tests.integration.test_pipeline import until
from tests.severable import Wire

TIMEOUT_S = 0.5
ECHO = encode("ECHO", "late")


@pytest.fixture
async def pipeline(wire: Wire) -> AsyncIterator[Pipeline]:
    async with Pipeline(wire.url, operation_timeout_s=TIMEOUT_S) as pipeline:
        yield pipeline


async def test_a_caller_is_told_in_time_and_the_connection_stays(wire: Wire, pipeline: Pipeline):
    wire.hold_replies()
    replies: list[object] = []
    pipeline.send(0, ECHO, replies.append)
    await until(lambda: len(replies) == 1)
    assert type(replies[0]) is StoreUnavailable
    assert "no reply in time" in str(replies[0])
    wire.resume()
    assert await pipeline.call(0, "ECHO", "next") == b"next"
    assert len(replies) == 1, "the late reply goes nowhere"
    assert pipeline.connections == 1
    assert pipeline.breaker.state is BreakerState.CLOSED
    assert pipeline.breaker.openings == 0


@pytest.mark.parametrize("sent", [5, pytest.param(1000, id="most of them not with the store yet")])
async def test_five_failures_in_a_row_open_the_breaker_and_callers_are_told_at_once(
    wire: Wire, pipeline: Pipeline, sent: int
):
    wire.hold_replies()
    replies: list[object] = []
    for _ in range(sent):
        pipeline.send(0, ECHO, replies.append)
    await until(lambda: len(replies) == sent)
    assert {type(reply) for reply in replies} == {StoreUnavailable}
    assert not pipeline.connected
    assert pipeline.breaker.state is not BreakerState.CLOSED
    pipeline.send(0, ECHO, replies.append)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert type(replies[sent]) is StoreNotAsked
    assert pipeline.breaker.openings == 1


async def test_replies_in_time_in_between_keep_it_closed(wire: Wire, pipeline: Pipeline):
    for _ in range(2):
        wire.hold_replies()
        replies: list[object] = []
        for _ in range(4):
            pipeline.send(0, ECHO, replies.append)
        await until(lambda: len(replies) == 4)  # noqa: B023
        wire.resume()
        assert await pipeline.call(0, "ECHO", "in time") == b"in time"
    assert pipeline.connections == 1


async def test_late_replies_do_not_count_as_signs_of_life(wire: Wire, pipeline: Pipeline):
    """A store that answers all of them, but each too late, is as bad as one that answers none."""
    for n in range(5):
        wire.hold_replies()
        held = wire.held
        replies: list[object] = []
        pipeline.send(0, ECHO, replies.append)
        await until(lambda: len(replies) == 1 and wire.held > held)  # noqa: B023
        assert pipeline.connected == (n < 4)
        wire.resume()
    assert pipeline.breaker.openings == 1


async def test_a_second_of_silence_opens_it_whatever_else_is_sent(wire: Wire, pipeline: Pipeline):
    wire.stall()
    with pytest.raises(StoreUnavailable, match="no reply in time"):
        await pipeline.call(0, "PING")
    assert pipeline.connected
    await until(lambda: not pipeline.connected)
    assert pipeline.breaker.openings == 1


async def test_it_does_not_flap_while_every_answer_is_late(wire: Wire, pipeline: Pipeline):
    wire.hold_replies()
    replies: list[object] = []
    for _ in range(5):
        pipeline.send(0, ECHO, replies.append)
    await until(lambda: not pipeline.connected)
    states = set()

    def probed_twice() -> bool:
        states.add(pipeline.breaker.state)
        return wire.accepted >= 3 and pipeline.breaker.state is BreakerState.OPEN

    await until(probed_twice)
    assert states == {BreakerState.OPEN, BreakerState.HALF_OPEN}
    assert (pipeline.connections, pipeline.breaker.openings) == (1, 1)
    wire.resume()
    await until(lambda: pipeline.connected)
    assert pipeline.breaker.state is BreakerState.CLOSED
    assert await pipeline.call(0, "ECHO", "again") == b"again"


async def test_a_store_that_pauses_is_left_alone_until_it_answers(own_valkey_url: str):
    async with Pipeline(own_valkey_url, operation_timeout_s=TIMEOUT_S) as pipeline:
        await pipeline.call(0, "CLIENT", "PAUSE", 2500, "ALL")
        with pytest.raises(StoreUnavailable):
            await pipeline.call(0, "PING")
        await until(lambda: not pipeline.connected)
        await until(lambda: pipeline.connected)
        assert await pipeline.call(0, "PING") == b"PONG"
        assert pipeline.breaker.openings == 1


async def test_what_was_given_up_is_not_done_after_all_when_its_script_was_forgotten(
    wire: Wire, pipeline: Pipeline
):
    script = pipeline.scripts["epoch"].sha
    await pipeline.call(0, "SCRIPT", "FLUSH")
    wire.hold_replies()
    replies: list[object] = []
    pipeline.send(0, encode("EVALSHA", script, 1, "given-up", "r" * 40, 0, 0), replies.append)
    await until(lambda: len(replies) == 1)
    wire.resume()
    assert await pipeline.call(0, "EXISTS", "given-up") == 0
    assert await pipeline.call(0, "EXISTS", "given-up") == 0
