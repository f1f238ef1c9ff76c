"""Holds are strict and lock nobody out: calls wait for each other, shrink, grow in steps, and end in good order.

The model `big` is $10 a million tokens of output, as long as 128,000; input is free, so that amounts are plain.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from gateway.domain.limits import Limit, Metric
from tests.integration.rig import USD, Rig, chat, running, running_rig, until
from tests.upstream import Answer, Echo, Gate, ScriptedUpstream
from tests.upstream_script import Piece
from tests.wire import request, wire

OUTPUT = 10_000  # nano-dollars a token
STEP = 4096


def configure(members: dict[str, Any]) -> None:
    free = {"input_usd_per_mtok": 0, "output_usd_per_mtok": 10}
    members["models"] += [
        {"name": "big", **free, "max_output_tokens": 128_000},
        {"name": "thinks", **free, "max_output_tokens": 128_000, "hides_output": True},
    ]


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


def stream(
    *pieces: Piece | int, output: int, done: bool = True, choices: int = 1, hidden: int = 0
) -> Answer:
    """Events of one token each; an int among the pieces is as many events at once. Usage and [DONE] at the end."""

    def event(members: dict[str, Any]) -> bytes:
        common = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "big"}
        return b"data: " + orjson.dumps(common | members) + b"\n\n"

    def text(index: int) -> bytes:
        return event({"choices": [{"index": index % choices, "delta": {"content": "wo"}}]})

    body = [b"".join(map(text, range(p))) if isinstance(p, int) else p for p in pieces]
    if done:
        usage = {"prompt_tokens": 1, "completion_tokens": output + hidden}
        body += [event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n"]
    return Answer(tuple(body), framing="chunked", content_type="text/event-stream")


async def reserved(rig: Rig, token_id: int) -> int:
    account = await rig.database.fetchval("SELECT account_id FROM token WHERE id = $1", token_id)
    book = await rig.gateway.quota.book(account, f"t{token_id}")
    return 0 if book is None else book.reserved


# Calls that wait.


@pytest.mark.parametrize("streamed", [True, False])
async def test_eight_parallel_calls_without_a_maximum_on_a_dollar_all_succeed(
    rig: Rig, streamed: bool
):
    """Each may cost $0.16 and costs $0.01."""
    token = await rig.token(USD)
    rig.upstream.answer("big", Echo(completion_tokens=1_000))

    async def call() -> int:
        async with rig.post(token.key, chat("big", stream=streamed)) as answer:
            await answer.read()
            return answer.status

    assert await asyncio.gather(*(call() for _ in range(8))) == [200] * 8
    rows = await rig.ledger()
    assert [row["amount"] for row in rows] == [1_000 * OUTPUT] * 8
    assert await reserved(rig, token.row.id) == 0


async def test_a_call_in_the_way_of_which_only_holds_stand_waits_for_a_settlement(rig: Rig):
    token = await rig.token(1_000 * OUTPUT)
    gate = Gate()
    rig.upstream.answer("big", Echo(completion_tokens=10).first(gate))
    ask = chat("big", max_tokens=900)

    async def call() -> int:
        async with rig.post(token.key, ask) as answer:
            return answer.status

    calls = [asyncio.ensure_future(call()) for _ in range(2)]
    await gate.waiting(1)
    async with asyncio.timeout(5):
        await until(lambda: bool(rig.gateway.accounting.waiting))
    assert not any(c.done() for c in calls)
    gate.release()
    assert await asyncio.gather(*calls) == [200, 200]


async def test_a_call_waits_no_longer_than_it_may_and_is_told_to_come_back(
    postgres_dsn, valkey_url
):
    def impatient(members: dict[str, Any]) -> None:
        configure(members)
        members["quota"]["hold_wait_s"] = 0

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, impatient) as rig,
        wire(rig.url) as caller,
    ):
        token = await rig.token(1_000 * OUTPUT)
        gate = Gate()
        upstream.answer("big", Echo().first(gate))
        caller.write(request(token.key, chat("big", max_tokens=900)))
        await gate.waiting(1)
        async with rig.post(token.key, chat("big", max_tokens=900)) as answer:
            assert answer.status == 429
            assert answer.headers["retry-after"] == "1"
            error = (await answer.json())["error"]
        assert error["code"] == "quota_reserved"
        assert error["details"]["largest_max_output_tokens"] == 100


async def test_a_caller_who_leaves_while_waiting_holds_nothing(rig: Rig):
    token = await rig.token(1_000 * OUTPUT)
    gate = Gate()
    rig.upstream.answer("big", Echo(completion_tokens=10).first(gate))
    body = chat("big", max_tokens=900)
    async with wire(rig.url) as caller:
        caller.write(request(token.key, body))
        await gate.waiting(1)
        async with wire(rig.url) as another:
            another.write(request(token.key, body))
            async with asyncio.timeout(5):
                await until(lambda: bool(rig.gateway.accounting.waiting))
        async with asyncio.timeout(5):
            await until(lambda: not rig.gateway.accounting.waiting)
        gate.release()
        assert (await caller.answer()).status == 200
    await rig.quiet()
    assert len(await rig.ledger()) == 1
    assert await reserved(rig, token.row.id) == 0


# Calls that shrink.


async def test_a_key_with_two_cents_left_answers_a_short_question(rig: Rig):
    token = await rig.token(USD // 50)
    rig.upstream.answer("big", Echo(completion_tokens=20))
    async with rig.post(token.key, chat("big")) as answer:
        assert answer.status == 200
        assert answer.headers["x-tollhouse-max-output-tokens"] == "2000"
    (sent,) = rig.upstream.requests
    assert orjson.loads(sent.body)["max_tokens"] == 2_000
    (row,) = await rig.ledger()
    assert row["amount"] == 20 * OUTPUT


async def test_nobodys_own_maximum_is_changed_and_the_refusal_names_what_fits(rig: Rig):
    token = await rig.token(USD // 50)
    async with rig.post(token.key, chat("big", max_tokens=2_001)) as answer:
        assert answer.status == 429
        error = (await answer.json())["error"]
    assert error["code"] == "insufficient_quota"
    assert error["details"]["largest_max_output_tokens"] == 2_000
    assert "2000 tokens" in error["message"]
    rig.upstream.answer("big", Echo(completion_tokens=20))
    async with rig.post(token.key, chat("big", max_tokens=2_000)) as answer:
        assert answer.status == 200
        assert "x-tollhouse-max-output-tokens" not in answer.headers
    assert len(rig.upstream.requests) == 1


async def test_a_hold_shrinks_to_no_less_than_is_of_use(rig: Rig):
    token = await rig.token(255 * OUTPUT)
    async with rig.post(token.key, chat("big")) as answer:
        assert answer.status == 429
        assert (await answer.json())["error"]["code"] == "insufficient_quota"
    assert rig.upstream.requests == []


async def test_a_call_that_names_no_maximum_keeps_to_a_small_token_limit(rig: Rig):
    made = await rig.token(limits=(Limit(Metric.TOKENS, "1m", 3_000),))
    rig.upstream.answer("big", Echo(completion_tokens=20))
    async with rig.post(made.key, chat("big")) as answer:
        assert answer.status == 200
        told = int(answer.headers["x-tollhouse-max-output-tokens"])
    assert 2_000 < told < 3_000


# Streams that grow.


async def test_a_stream_is_held_for_in_steps_and_charged_exactly(rig: Rig):
    token = await rig.token(USD)
    gates = [Gate(), Gate()]
    rig.upstream.answer("big", stream(10, gates[0], 5_000, gates[1], output=5_010))
    async with wire(rig.url) as caller:
        caller.write(request(token.key, chat("big", stream=True)))
        await gates[0].waiting(1)
        await caller.until(lambda: caller.raw.count(b"data: ") == 10)
        assert await reserved(rig, token.row.id) == STEP * OUTPUT
        gates[0].release()
        await gates[1].waiting(1)
        await caller.until(lambda: caller.raw.count(b"data: ") == 5_010)
        assert await reserved(rig, token.row.id) >= 5_010 * OUTPUT
        gates[1].release()
        answer = await caller.answer()
    assert answer.whole
    assert answer.events()[-1] == "[DONE]"
    (row,) = await rig.ledger()
    assert (row["amount"], row["estimated"], row["anomaly"]) == (5_010 * OUTPUT, False, None)
    assert await reserved(rig, token.row.id) == 0


@pytest.mark.parametrize("wants_usage", [True, False])
async def test_a_stream_that_may_not_grow_ends_as_one_that_reached_its_maximum(
    rig: Rig, wants_usage: bool
):
    """It has two steps of money and no more."""
    token = await rig.token(2 * STEP * OUTPUT)
    gate = Gate()
    rig.upstream.answer("big", stream(*[STEP // 2] * 5, gate, output=99_999, choices=2))
    ask = chat("big", stream=True, max_tokens=50_000, n=2)
    if wants_usage:
        ask["stream_options"] = {"include_usage": True}
    async with wire(rig.url) as caller:
        answer = await caller.ask(request(token.key, ask))
    assert answer.whole
    *_, last = events = answer.events()
    assert last == "[DONE]"
    texts = sum("content" in c["delta"] for e in events[:-1] for c in e["choices"])
    assert 1.9 * STEP < texts <= 2 * STEP, "what is held for is passed on, and no more"
    end = events[-3 if wants_usage else -2]
    assert [(c["index"], c["finish_reason"]) for c in end["choices"]] == [
        (0, "length"),
        (1, "length"),
    ]
    assert (end["id"], end["model"], end["object"]) == ("c-1", "big", "chat.completion.chunk")
    if wants_usage:
        assert events[-2]["usage"]["completion_tokens"] >= 2 * STEP
    (row,) = await rig.ledger()
    assert (row["status"], row["anomaly"], row["estimated"]) == (200, "quota_cut", True)
    assert row["amount"] == 2 * STEP * OUTPUT
    (sent,) = await rig.upstream.received(1)
    async with asyncio.timeout(5):
        await sent.gone.wait()


async def test_output_that_is_not_shown_is_paid_for_at_the_end_as_far_as_money_goes(rig: Rig):
    """The upstream reports 6,000 tokens beside the 10 that it shows."""
    token = await rig.token(USD)
    rig.upstream.answer("big", stream(10, output=10, hidden=6_000))
    async with rig.post(token.key, chat("big", stream=True)) as answer:
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")
    poor = await rig.token(5_000 * OUTPUT)
    async with rig.post(poor.key, chat("big", stream=True)) as answer:
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")
    rich, cut = await rig.ledger()
    assert (rich["amount"], rich["unbilled"], rich["anomaly"]) == (6_010 * OUTPUT, 0, None)
    assert (cut["amount"], cut["unbilled"]) == (5_000 * OUTPUT, 1_010 * OUTPUT)
    assert cut["anomaly"] == "over_hold"


async def test_a_model_that_hides_its_output_is_held_for_whole(rig: Rig):
    token = await rig.token(USD)
    gate = Gate()
    rig.upstream.answer("thinks", stream(1, gate, output=1))
    async with wire(rig.url) as caller:
        caller.write(request(token.key, chat("thinks", stream=True, max_tokens=50_000)))
        await gate.waiting(1)
        assert await reserved(rig, token.row.id) == 50_000 * OUTPUT


@pytest.mark.parametrize("at_once", [10, 200])
async def test_an_upstream_that_ignores_the_maximum_is_cut_and_the_hold_is_charged(
    rig: Rig, at_once: int
):
    token = await rig.token(USD)
    gate = Gate()
    rig.upstream.answer("big", stream(*[at_once] * (200 // at_once), gate, output=200))
    async with rig.post(token.key, chat("big", stream=True, max_tokens=50)) as answer:
        body = await answer.read()
    assert body.endswith(b"data: [DONE]\n\n")
    assert b'"finish_reason":"length"' in body
    assert 50 <= body.count(b'"content":"wo"') <= 66  # roles, ends and pings are spared
    (row,) = await rig.ledger()
    assert (row["amount"], row["anomaly"]) == (50 * OUTPUT, "over_hold")
    assert row["unbilled"] > 0


async def test_a_caller_who_leaves_a_stream_that_waits_to_grow_is_charged_what_was_held(rig: Rig):
    token = await rig.token(int(1.5 * STEP) * OUTPUT)
    gate, other = Gate(), Gate()
    rig.upstream.answer("m", Echo().first(other))
    rig.upstream.answer("big", stream(10, gate, 2 * STEP, output=2 * STEP))
    async with wire(rig.url) as small, wire(rig.url) as caller:
        caller.write(request(token.key, chat("big", stream=True)))
        await gate.waiting(1)
        small.write(request(token.key, chat("m", max_tokens=1_000)))
        await other.waiting(1)
        gate.release()
        async with asyncio.timeout(5):
            await until(lambda: bool(rig.gateway.accounting.waiting))
        caller.leave()
        async with asyncio.timeout(5):
            await until(lambda: not rig.gateway.accounting.waiting)
    await rig.quiet()
    row = next(r for r in await rig.ledger() if r["model"] == "big")
    assert (row["status"], row["anomaly"]) == (499, "client_closed")
    assert STEP * OUTPUT < row["amount"] <= (int(1.5 * STEP) - 1_000) * OUTPUT


# Estimates.


async def test_a_trusted_tokens_calls_are_held_for_an_estimate_and_charged_in_full(rig: Rig):
    """$0.02 would not do for a strict hold of so long an answer."""
    token = await rig.token(USD // 50, reserve="estimate")
    rig.upstream.answer("big", Echo(completion_tokens=5_000))
    ask = chat("big", max_tokens=100_000)
    async with rig.post(token.key, ask) as answer:
        assert answer.status == 200
        assert "x-tollhouse-max-output-tokens" not in answer.headers
    await rig.posted()
    async with rig.post(token.key, ask) as answer:
        assert answer.status == 429
        assert (await answer.json())["error"]["code"] == "insufficient_quota"
    (row,) = await rig.ledger()
    assert (row["amount"], row["unbilled"]) == (5_000 * OUTPUT, 0)


# Leases.


async def test_a_stream_whose_lease_is_over_asks_before_it_goes_on(rig: Rig):
    token = await rig.token(USD)
    gate = Gate()
    rig.upstream.answer("big", stream(5, gate, 5, output=10))
    async with wire(rig.url) as caller:
        caller.write(request(token.key, chat("big", stream=True)))
        await gate.waiting(1)
        rig.gateway.accounting.lease.until = 0.0
        gate.release()
        answer = await caller.answer()
    assert answer.events()[-1] == "[DONE]"
    (row,) = await rig.ledger()
    assert (row["amount"], row["anomaly"]) == (10 * OUTPUT, None)


async def test_a_stream_that_was_taken_over_is_cut_and_nothing_more_is_passed_on(rig: Rig):
    token = await rig.token(USD)
    gate = Gate()
    rig.upstream.answer("big", stream(5, gate, 5, Gate(), output=10))
    async with wire(rig.url) as caller:
        caller.write(request(token.key, chat("big", stream=True)))
        await gate.waiting(1)
        await caller.until(lambda: caller.raw.count(b"data: ") == 5)
        (call,) = rig.gateway.forwarder.live_calls()
        account = call.entry.token.account_id
        rig.gateway.quota.confirm(
            account, await rig.gateway.keys.books(call.entry.token), [call.request_id]
        )
        rig.gateway.accounting.lease.until = 0.0
        gate.release()
        answer = await caller.answer()
    assert answer.body.count(b'"content"') == 5
    assert b"[DONE]" not in answer.body
    assert answer.events()[-1]["error"]["code"] == "quota_unavailable"


async def test_a_stream_that_we_cannot_end_in_its_own_form_is_not_ended(rig: Rig):
    """The Responses API has many events beside those of its text."""
    token = await rig.token(USD)
    event = b'event: response.output_item.added\ndata: {"type":"response.output_item.added"}\n\n'
    usage = b'{"usage":{"input_tokens":1,"output_tokens":5}}'
    last = (
        b'event: response.completed\ndata: {"type":"response.completed","response":%b}\n\n' % usage
    )
    rig.upstream.answer(
        "big", Answer((event * 200, last), framing="chunked", content_type="text/event-stream")
    )
    ask = {"model": "big", "input": "Hello", "stream": True, "max_output_tokens": 10}
    async with rig.post(token.key, ask, "/v1/responses") as answer:
        assert (await answer.read()) == event * 200 + last
    (row,) = await rig.ledger()
    assert (row["amount"], row["anomaly"]) == (5 * OUTPUT, None)
