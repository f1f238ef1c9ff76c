"""Which upstream and which of its keys a call goes to, and how those that fail or decline are spared."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from bench.servers import free_port
from gateway.metrics import render
from gateway.relay.upstream_state import UpstreamState
from tests.integration.rig import USD, Rig, chat, running, until
from tests.upstream import CUT, NO_ANSWER, Answer, Echo, Gate, ScriptedUpstream, Turns, refuse
from tests.wire import request, wire

INPUT, OUTPUT = 1_000, 10_000
KEYS = {"KEY_1": "one", "KEY_2": "two", "KEY_3": "three"}
HOUR_S = 3600


class Clock:
    """The forwarder's clock, which stands still between `advance` and `advance`."""

    def __init__(self, rig: Rig) -> None:
        self._now = time.monotonic() + 1000  # no call may have begun later than it is answered
        rig.gateway.forwarder._clock = lambda: self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


@asynccontextmanager
async def upstreams(
    postgres_dsn: str, valkey_url: str, *settings: dict[str, Any], keys: int = 0
) -> AsyncIterator[tuple[Rig, list[ScriptedUpstream]]]:
    """A gateway before as many upstreams as there are settings, named u0, u1, …"""
    async with AsyncExitStack() as stack:
        scripted = [await stack.enter_async_context(ScriptedUpstream()) for _ in settings]

        def configure(members: dict[str, Any]) -> None:
            members["upstreams"] = [
                {
                    "name": f"u{number}",
                    "base_url": each.base_url,
                    "models": ["*"],
                    "api_key_envs": list(KEYS)[:keys],
                    **settings[number],
                }
                for number, each in enumerate(scripted)
            ]

        rig = await stack.enter_async_context(
            running(postgres_dsn, valkey_url, scripted[0], configure, KEYS)
        )
        yield rig, scripted


def state_of(rig: Rig, name: str = "u0") -> UpstreamState:
    return next(state for state in rig.gateway._terms.upstreams if state.upstream.name == name)


async def read(rig: Rig, key: str, **members: Any) -> int:
    async with rig.post(key, chat(**members)) as answer:
        await answer.read()
        return answer.status


def sent_keys(upstream: ScriptedUpstream) -> list[str]:
    return [str(sent.header("authorization")).removeprefix("Bearer ") for sent in upstream.requests]


def told(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [message for message in caplog.messages if text in message]


# Keys


async def test_keys_take_turns_over_the_same_connection(postgres_dsn, valkey_url):
    async with upstreams(postgres_dsn, valkey_url, {}, keys=3) as (rig, (upstream,)):
        token = await rig.token(USD)
        for _ in range(6):
            assert await read(rig, token.key) == 200
        assert sent_keys(upstream) == ["one", "two", "three"] * 2
        assert upstream.accepted == 1


@pytest.mark.parametrize(
    ("decline", "aside_s"),
    [
        (refuse(401), 60),
        (refuse(403), 60),
        (refuse(429, headers=(("Retry-After", "30"),)), 30),
        (refuse(429, headers=(("Retry-After", "86400"),)), 60),
        (refuse(429), 1),
    ],
    ids=["401", "403", "429 for 30 s", "429 for a day", "429"],
)
async def test_a_declined_key_is_followed_by_the_next_and_rests(
    postgres_dsn, valkey_url, caplog, decline, aside_s
):
    async with upstreams(postgres_dsn, valkey_url, {}, keys=2) as (rig, (upstream,)):
        clock, token = Clock(rig), await rig.token(USD)
        upstream.answer("m", Turns((decline, Echo())))
        assert await read(rig, token.key) == 200
        clock.advance(aside_s - 0.5)
        assert [await read(rig, token.key) for _ in range(3)] == [200] * 3
        assert sent_keys(upstream) == ["one", *["two"] * 4]
        clock.advance(1)
        assert [await read(rig, token.key) for _ in range(2)] == [200] * 2
        assert set(sent_keys(upstream)[-2:]) == {"one", "two"}
        assert len(told(caplog, "declined its key 1")) == 1
        assert "KEY" not in caplog.text
        assert not re.search(r"\b(one|two)\b.*declined", caplog.text), "no key is told"
        rows = await rig.ledger()
        assert [row["status"] for row in rows] == [200] * 6


async def test_where_every_key_is_declined_the_last_answer_stands_and_none_is_sent_twice(
    postgres_dsn, valkey_url
):
    async with upstreams(postgres_dsn, valkey_url, {}, keys=3) as (rig, (upstream,)):
        token = await rig.token(USD)
        upstream.answer("m", refuse(401))
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 502, "never shown as the caller's own"
            assert (await answer.json())["error"]["code"] == "upstream_error"
        assert sorted(sent_keys(upstream)) == ["one", "three", "two"]
        upstream.answer("m", Echo())
        assert await read(rig, token.key) == 200, "resting keys are sent for want of others"


async def test_a_refused_key_sends_the_call_to_another_upstream(postgres_dsn, valkey_url):
    async with upstreams(postgres_dsn, valkey_url, {}, {"priority": 1}) as (rig, (first, second)):
        token = await rig.token(USD)
        first.answer("m", refuse(401))
        for _ in range(3):
            assert await read(rig, token.key) == 200
        assert (len(first.requests), len(second.requests)) == (1, 3)


async def test_a_refused_key_sends_the_call_even_to_an_upstream_that_failed(
    postgres_dsn, valkey_url
):
    settings = {"breaker_failures": 1, "breaker_open_s": HOUR_S}
    later = {**settings, "priority": 1}
    async with upstreams(postgres_dsn, valkey_url, settings, later) as (rig, (first, second)):
        Clock(rig)
        token = await rig.token(USD)
        first.answer("m", Turns((refuse(500), refuse(401))))
        second.answer("m", Turns((refuse(500), Echo())))
        assert await read(rig, token.key) == 500
        assert await read(rig, token.key) == 200
        assert (len(first.requests), len(second.requests)) == (2, 2)


async def test_a_fault_of_the_upstream_is_not_tried_with_its_other_key(postgres_dsn, valkey_url):
    async with upstreams(postgres_dsn, valkey_url, {}, keys=2) as (rig, (upstream,)):
        token = await rig.token(USD)
        upstream.answer("m", refuse(500))
        assert await read(rig, token.key) == 500
        assert len(upstream.requests) == 1


# Load


@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 3), (5, 1)])
async def test_each_call_goes_where_the_fewest_are_under_way_for_the_weight(
    postgres_dsn, valkey_url, weights
):
    settings = [{"weight": weight} for weight in weights]
    async with upstreams(postgres_dsn, valkey_url, *settings) as (rig, scripted):
        token = await rig.token(USD)
        gates = [Gate() for _ in scripted]
        for gate, upstream in zip(gates, scripted, strict=True):
            upstream.answer("m", Echo().first(gate))
        under_way = [0] * len(weights)
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            for count in range(1, 2 * sum(weights) + 1):
                shares = [
                    (had + 1) / weight for had, weight in zip(under_way, weights, strict=True)
                ]
                group.create_task(read(rig, token.key))
                await until(lambda n=count: sum(len(each.requests) for each in scripted) == n)
                now = [len(each.requests) for each in scripted]
                (chosen,) = [n for n in range(len(now)) if now[n] > under_way[n]]
                assert shares[chosen] == min(shares)
                under_way = now
            assert under_way == [2 * weight for weight in weights]
            assert [state_of(rig, f"u{n}").outstanding for n in range(len(weights))] == under_way
            # Whoever is done first has room for the next.
            gates[0].release()
            await until(lambda: state_of(rig).outstanding == 0)
            assert await read(rig, token.key) == 200
            assert len(scripted[0].requests) == under_way[0] + 1
            for gate in gates:
                gate.release()
        await rig.quiet()
        assert all(state.outstanding == 0 for state in rig.gateway._terms.upstreams)


async def test_equals_take_turns(postgres_dsn, valkey_url):
    async with upstreams(postgres_dsn, valkey_url, {}, {}, {}) as (rig, scripted):
        token = await rig.token(USD)
        for _ in range(6):
            assert await read(rig, token.key) == 200
        assert [len(upstream.requests) for upstream in scripted] == [2, 2, 2]


async def test_a_higher_priority_is_asked_only_when_the_lower_cannot(postgres_dsn, valkey_url):
    async with upstreams(postgres_dsn, valkey_url, {"priority": 1}, {}) as (rig, (later, sooner)):
        token = await rig.token(USD)
        gate = Gate()
        sooner.answer("m", Echo().first(gate))
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(read(rig, token.key))
            await sooner.received(5)
            gate.release()
        assert not later.requests


# Breaker


@pytest.mark.parametrize(
    "script", [refuse(500), Answer(framing="raw", body=(b"garbage\r\n\r\n", CUT))]
)
async def test_an_upstream_that_fails_is_spared_then_probed_by_one_call_then_used_again(
    postgres_dsn, valkey_url, caplog, script
):
    settings = {"breaker_open_s": HOUR_S, "breaker_longest_s": 10 * HOUR_S}
    async with upstreams(postgres_dsn, valkey_url, settings, {"priority": 1}) as (
        rig,
        (first, second),
    ):
        clock, token = Clock(rig), await rig.token(USD)
        caplog.set_level("INFO")
        first.answer("m", script)
        for _ in range(8):
            await read(rig, token.key)
        assert len(first.requests) == 5
        assert await read(rig, token.key) == 200
        assert 'tollhouse_upstream_breaker{provider="u0"} 2' in figures(rig)

        clock.advance(HOUR_S)
        await read(rig, token.key)
        assert len(first.requests) == 6, "the probe, which fails"
        clock.advance(HOUR_S)
        await read(rig, token.key)
        assert len(first.requests) == 6, "twice as long"

        clock.advance(HOUR_S)
        gate = Gate()
        first.answer("m", Echo().first(gate))
        async with asyncio.TaskGroup() as group:
            group.create_task(read(rig, token.key))
            await first.received(7)
            seconds = len(second.requests)
            for _ in range(3):
                assert await read(rig, token.key) == 200
            assert len(second.requests) == seconds + 3, "one call is enough to find out"
            assert 'tollhouse_upstream_breaker{provider="u0"} 1' in figures(rig)
            assert 'tollhouse_upstream_outstanding{provider="u0"} 1' in figures(rig)
            gate.release()
        assert await read(rig, token.key) == 200
        assert len(first.requests) == 8
        assert 'tollhouse_upstream_breaker{provider="u0"} 0' in figures(rig)
        changes = [
            re.sub(r".*breaker (\S+).*", r"\1", each).rstrip(",")
            for each in told(caplog, "breaker")
        ]
        assert changes == ["open", "half-open", "open", "half-open", "closed"], "one line each"


def figures(rig: Rig) -> list[str]:
    return render(rig.gateway.figures()).decode().splitlines()


async def test_an_upstream_that_cannot_be_reached_is_spared(postgres_dsn, valkey_url, caplog):
    dead = {"base_url": f"http://127.0.0.1:{free_port()}/v1"}
    async with upstreams(postgres_dsn, valkey_url, dead, {"priority": 1}) as (rig, (_, second)):
        Clock(rig)
        token = await rig.token(USD)
        for _ in range(9):
            assert await read(rig, token.key) == 200
        assert len(second.requests) == 9
        assert len(told(caplog, "cannot be reached")) == 5
        assert len(told(caplog, "breaker open")) == 1


async def test_a_breaker_alone_refuses_nobody(postgres_dsn, valkey_url):
    async with upstreams(postgres_dsn, valkey_url, {}) as (rig, (upstream,)):
        Clock(rig)
        token = await rig.token(USD)
        upstream.answer("m", refuse(500))
        for _ in range(7):
            assert await read(rig, token.key) == 500
        assert len(upstream.requests) == 7
        upstream.answer("m", Echo())
        assert await read(rig, token.key) == 200
        assert 'tollhouse_upstream_breaker{provider="u0"} 0' in figures(rig)


async def test_where_all_are_open_the_least_recently_failed_is_asked(postgres_dsn, valkey_url):
    settings = {"breaker_failures": 1, "breaker_open_s": HOUR_S}
    later = {**settings, "priority": 1}
    async with upstreams(postgres_dsn, valkey_url, settings, later) as (rig, (first, second)):
        clock, token = Clock(rig), await rig.token(USD)
        for upstream in (first, second):
            upstream.answer("m", refuse(500))
        assert await read(rig, token.key) == 500
        assert (len(first.requests), len(second.requests)) == (1, 1)
        asked = []
        for _ in range(4):
            clock.advance(1)
            before = len(first.requests)
            assert await read(rig, token.key) == 500, "its own answer; the other is spared"
            asked.append("first" if len(first.requests) > before else "second")
        assert asked == ["first", "second"] * 2
        assert (len(first.requests), len(second.requests)) == (3, 3)


async def test_a_probe_whose_caller_leaves_is_followed_by_another(postgres_dsn, valkey_url):
    settings = {"breaker_failures": 1, "breaker_open_s": HOUR_S}
    async with upstreams(postgres_dsn, valkey_url, settings, {"priority": 1}) as (rig, (first, _)):
        clock, token = Clock(rig), await rig.token(USD)
        first.answer("m", Turns((refuse(500), Echo().first(Gate()), Echo())))
        assert await read(rig, token.key) == 200
        clock.advance(HOUR_S)
        async with wire(rig.url) as caller:
            caller.write(request(token.key, chat()))
            await first.received(2)
        await rig.quiet()
        assert await read(rig, token.key) == 200
        assert len(first.requests) == 3
        assert 'tollhouse_upstream_breaker{provider="u0"} 0' in figures(rig)


# What an upstream asks to wait


@pytest.mark.parametrize("status", [429, 503])
async def test_an_only_upstream_that_says_when_to_come_back_is_asked_once_more(
    postgres_dsn, valkey_url, status
):
    async with upstreams(postgres_dsn, valkey_url, {}) as (rig, (upstream,)):
        token = await rig.token(USD)
        later = refuse(status, headers=(("Retry-After-Ms", "5"),))
        upstream.answer("m", Turns((later, Echo(), later, later, Echo())))
        for stream in (True, False):
            async with rig.post(token.key, chat(stream=stream)) as answer:
                await answer.read()
                assert answer.status == (200 if stream else status)
        assert len(upstream.requests) == 4, "once, and then its answer stands"
        rows = await rig.ledger()
        assert [row["amount"] for row in rows] == [INPUT + 7 * OUTPUT, 0]


@pytest.mark.parametrize(
    ("settings", "headers"),
    [
        ({}, (("Retry-After", "3"),)),
        ({}, ()),
        ({"retry_after_budget_s": 0}, (("Retry-After", "0"),)),
    ],
    ids=["beyond the budget", "says nothing", "no budget"],
)
async def test_an_answer_is_passed_on_at_once_where_waiting_is_not_worth_it(
    postgres_dsn, valkey_url, settings, headers
):
    async with upstreams(postgres_dsn, valkey_url, settings) as (rig, (upstream,)):
        token = await rig.token(USD)
        upstream.answer("m", Turns((refuse(429, headers=headers), Echo())))
        async with rig.post(token.key, chat()) as answer:
            assert answer.status == 429
            assert answer.headers.get("retry-after") == (headers[0][1] if headers else None)
        assert len(upstream.requests) == 1


async def test_another_upstream_goes_before_waiting(postgres_dsn, valkey_url):
    async with upstreams(postgres_dsn, valkey_url, {}, {"priority": 1}) as (rig, (first, second)):
        token = await rig.token(USD)
        first.answer("m", refuse(429, headers=(("Retry-After", "1"),)))
        assert await read(rig, token.key) == 200
        assert (len(first.requests), len(second.requests)) == (1, 1)


# Sent and unanswered


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "silent"])
async def test_what_was_sent_and_not_answered_goes_on_by_the_operators_leave_only(
    postgres_dsn, valkey_url, is_lost, allowed
):
    settings = {"retry_unanswered": allowed, "first_byte_timeout_s": 0.3}
    async with upstreams(postgres_dsn, valkey_url, settings, {"priority": 1}) as (
        rig,
        (first, second),
    ):
        token = await rig.token(USD)
        first.answer("m", NO_ANSWER if is_lost else Echo().first(Gate()))
        status = await read(rig, token.key)
        assert len(second.requests) == allowed
        (row,) = await rig.ledger()
        if allowed:
            assert (status, row["upstream"], row["amount"]) == (200, "u1", INPUT + 7 * OUTPUT)
        else:
            assert (status in {502, 504}, row["upstream"], row["amount"]) == (True, "u0", 0)


async def test_what_was_answered_by_as_much_as_a_byte_is_never_sent_again(postgres_dsn, valkey_url):
    settings = {"retry_unanswered": True}
    async with upstreams(postgres_dsn, valkey_url, settings, {"priority": 1}) as (
        rig,
        (first, second),
    ):
        token = await rig.token(USD)
        first.answer("m", Answer(framing="raw", body=(b"HTTP/1.1 2", CUT)))
        assert await read(rig, token.key) == 502
        assert not second.requests


# Places


async def test_beyond_its_connections_an_upstream_has_a_line(postgres_dsn, valkey_url):
    async with upstreams(postgres_dsn, valkey_url, {"max_connections": 2}) as (rig, (upstream,)):
        token = await rig.token(USD)
        gate = Gate()
        upstream.answer("m", Echo().first(gate))
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            calls = [group.create_task(read(rig, token.key)) for _ in range(6)]
            await gate.waiting(2)
            await until(lambda: state_of(rig).waiting == 4)
            assert 'tollhouse_upstream_waiting{provider="u0"} 4' in figures(rig)
            gate.release()
        assert {call.result() for call in calls} == {200}
        assert (len(upstream.requests), upstream.accepted) == (6, 2)
        await rig.quiet()
        assert (state_of(rig).outstanding, state_of(rig).waiting) == (0, 0)


async def test_a_busy_upstream_sends_calls_to_others_whatever_their_priority(
    postgres_dsn, valkey_url
):
    async with upstreams(postgres_dsn, valkey_url, {"max_connections": 1}, {"priority": 1}) as (
        rig,
        (first, second),
    ):
        token = await rig.token(USD)
        gate = Gate()
        first.answer("m", Echo().first(gate))
        async with asyncio.TaskGroup() as group:
            group.create_task(read(rig, token.key))
            await first.received(1)
            assert [await read(rig, token.key) for _ in range(3)] == [200] * 3
            gate.release()
        assert (len(first.requests), len(second.requests)) == (1, 3)


async def test_a_line_that_does_not_move_ends_in_a_refusal_that_costs_nothing(
    postgres_dsn, valkey_url
):
    settings = {"max_connections": 1, "connect_timeout_s": 0.2}
    async with upstreams(postgres_dsn, valkey_url, settings) as (rig, (upstream,)):
        token = await rig.token(USD)
        gate = Gate()
        upstream.answer("m", Echo().first(gate))
        async with asyncio.TaskGroup() as group:
            group.create_task(read(rig, token.key))
            await upstream.received(1)
            async with rig.post(token.key, chat()) as answer:
                assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                assert (await answer.json())["error"]["code"] == "upstream_busy"
            gate.release()
        rows = await rig.ledger()
        assert sorted((row["status"], row["upstream"]) for row in rows) == [(200, "u0"), (503, "")]
        assert next(row["amount"] for row in rows if row["status"] == 503) == 0
        assert state_of(rig).outstanding == 0


async def test_a_call_stands_in_one_line_only(postgres_dsn, valkey_url):
    sooner = {"max_connections": 1, "connect_timeout_s": 0.2}
    later = {"max_connections": 1, "connect_timeout_s": HOUR_S, "priority": 1}
    async with upstreams(postgres_dsn, valkey_url, sooner, later) as (rig, scripted):
        token = await rig.token(USD)
        gate = Gate()
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            for upstream in scripted:
                upstream.answer("m", Echo().first(gate))
                group.create_task(read(rig, token.key))
                await upstream.received(1)
            assert await read(rig, token.key) == 503
            gate.release()


async def test_a_caller_who_leaves_the_line_takes_no_place_with_him(postgres_dsn, valkey_url):
    async with upstreams(postgres_dsn, valkey_url, {"max_connections": 1}) as (rig, (upstream,)):
        token = await rig.token(USD)
        gate = Gate()
        upstream.answer("m", Echo().first(gate))
        async with asyncio.TaskGroup() as group, asyncio.timeout(20):
            group.create_task(read(rig, token.key))
            await upstream.received(1)
            async with wire(rig.url) as caller:
                caller.write(request(token.key, chat()))
                await until(lambda: state_of(rig).waiting == 1)
            await until(lambda: state_of(rig).waiting == 0)
            gate.release()
        assert await read(rig, token.key) == 200
        rows = await rig.ledger()
        assert Counter((row["status"], row["amount"] > 0) for row in rows) == {
            (200, True): 2,
            (499, False): 1,
        }


async def test_a_call_that_is_read_on_without_its_caller_keeps_its_place(postgres_dsn, valkey_url):
    settings = {"max_connections": 1, "on_disconnect": "drain"}
    async with upstreams(postgres_dsn, valkey_url, settings) as (rig, (upstream,)):
        token = await rig.token(USD)
        gate = Gate()
        upstream.answer("m", Echo().after(1, gate))
        async with asyncio.timeout(20):
            async with wire(rig.url) as caller:
                caller.write(request(token.key, chat(stream=True)))
                await gate.waiting()
            await rig.gateway.handler.drain(20)
            assert state_of(rig).outstanding == 1
            gate.release()
            assert await read(rig, token.key) == 200
            await rig.quiet()
            assert state_of(rig).outstanding == 0
        assert upstream.accepted == 1


# On record


async def attempts(rig: Rig) -> list[tuple[Any, ...]]:
    await rig.quiet()
    await rig.gateway.attempts.write()
    rows = await rig.database.fetch("SELECT * FROM attempt ORDER BY request_id, no")
    ids = {row["request_id"] for row in rows}
    known = {row["request_id"] for row in await rig.ledger()}
    assert ids <= known
    return [
        (row["no"], row["upstream"], row["status"], row["error"], row["cost_estimate"])
        for row in rows
    ]


async def test_the_attempts_of_a_call_that_needed_several_are_on_record_and_charged_once(
    postgres_dsn, valkey_url
):
    settings: tuple[dict[str, Any], ...] = ({}, {"priority": 1}, {"priority": 2})
    async with upstreams(postgres_dsn, valkey_url, *settings) as (rig, (first, second, _)):
        token = await rig.token(USD)
        first.answer("m", Turns((refuse(500), Echo())))
        second.answer("m", refuse(429))
        assert await read(rig, token.key) == 200
        assert await read(rig, token.key) == 200, "an ordinary one: the ledger says it all"
        assert await attempts(rig) == [
            (1, "u0", 500, "status 500", 0),
            (2, "u1", 429, None, 0),
            (3, "u2", 200, None, 0),
        ]
        assert [row["amount"] for row in await rig.ledger()] == [INPUT + 7 * OUTPUT] * 2


async def test_a_single_attempt_is_not_on_record_even_where_it_failed(postgres_dsn, valkey_url):
    dead = {"base_url": f"http://127.0.0.1:{free_port()}/v1"}
    async with upstreams(postgres_dsn, valkey_url, dead) as (rig, _):
        token = await rig.token(USD)
        assert await read(rig, token.key) == 502
        assert await attempts(rig) == []
        assert len(await rig.ledger()) == 1


async def test_an_attempt_without_an_answer_is_on_record_with_what_it_may_cost(
    postgres_dsn, valkey_url
):
    settings = {"retry_unanswered": True}
    async with upstreams(postgres_dsn, valkey_url, settings, {"priority": 1}) as (rig, (first, _)):
        token = await rig.token(USD)
        first.answer("m", NO_ANSWER)
        assert await read(rig, token.key) == 200
        lost, answered = await attempts(rig)
        assert lost[:4] == (1, "u0", None, "closed the connection")
        assert 0 < lost[4] <= len(first.requests[0].body) * INPUT
        assert answered == (2, "u1", 200, None, 0)


@pytest.mark.parametrize("affinity", [True, False])
async def test_a_conversation_keeps_to_one_upstream_where_that_is_wanted(
    postgres_dsn, valkey_url, affinity
):
    async with ScriptedUpstream() as first, ScriptedUpstream() as second:

        def configure(members: dict[str, Any]) -> None:
            members["upstreams"] = [
                {"name": name, "base_url": each.base_url, "models": ["*"], "affinity": affinity}
                for name, each in (("first", first), ("second", second))
            ]

        async with running(postgres_dsn, valkey_url, first, configure) as rig:
            token = await rig.token()
            for turn in range(6):
                async with rig.post(
                    token.key, chat(n=1, text="Hello" * 10, user=str(turn))
                ) as answer:
                    assert answer.status == 200
        assert (0 in {len(first.requests), len(second.requests)}) is affinity
