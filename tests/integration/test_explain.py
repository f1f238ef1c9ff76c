"""What `explain` says of a call is what becomes of it, for any state of a token; and asking changes nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, event, example, given, settings
from hypothesis import strategies as st

from gateway.domain.cases import Case
from gateway.domain.limits import Limit, Metric
from gateway.explain.walk import CHAINS
from tests.admin import running_admin
from tests.explain_bench import Ask, Bench, State, comparable, open_bench, steady
from tests.integration.rig import PRICED, USD, chat
from tests.upstream import Echo, Gate

CALL_NUSD = 1_000_000
"""About what a call of these sizes is held for: a thousand tokens of output at most, at $10 a million, and more."""


ENOUGH = chat(max_tokens=150)
LIMIT = Limit(Metric.REQUESTS, "1m", 1)
TOKENS = Limit(Metric.TOKENS, "1d", 600)


class Steps:
    """One bench and the loop that it runs on, for tests that hypothesis calls many times."""

    def __init__(self, runner: asyncio.Runner, bench: Bench) -> None:
        self.run = runner.run
        self.bench = bench


@pytest.fixture
def steps(postgres_dsn: str, valkey_url: str) -> Iterator[Steps]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stack = AsyncExitStack()
        opened = open_bench(postgres_dsn, valkey_url)
        yield Steps(runner, runner.run(stack.enter_async_context(opened)))
        runner.run(stack.aclose())


@pytest.fixture
async def bench(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Bench]:
    async with open_bench(postgres_dsn, valkey_url) as bench:
        yield bench


amounts = st.sampled_from(
    [0, 1, 100_000, CALL_NUSD, 3 * CALL_NUSD, 6 * CALL_NUSD, 20 * CALL_NUSD, USD]
)
limits = st.builds(
    Limit,
    metric=st.just(Metric.REQUESTS),
    window=st.sampled_from(["1m", "5h"]),
    limit=st.integers(1, 3),
    models=st.sampled_from([None, frozenset({"m"}), frozenset({"other"})]),
    shadow=st.sampled_from([False, False, True]),
) | st.one_of(
    st.builds(Limit, st.just(Metric.TOKENS), st.just("1d"), st.integers(1, 2000)),
    st.builds(
        Limit,
        st.just(Metric.USD),
        st.just("month"),
        amounts.map(lambda amount: amount or 7),
        st.just("calendar"),
    ),
    st.builds(
        Limit, st.just(Metric.REQUESTS), st.just("1m"), st.integers(1, 3), burst=st.integers(1, 2)
    ),
)
# The first rule that refuses hides the others, so most states have some kinds of rules only.
owners = st.sampled_from(
    [{}] * 12
    + [{"expires_in_s": 3600}, {"secret_ends_in_s": 3600}, {"status": 2}, {"expires_in_s": -5}]
    + [{"secret_ends_in_s": -5}, {"account_status": 2}, {"user_status": 2}]
)
rules = {
    "group": st.sampled_from([None, "narrow", "dear", "nowhere"]),
    "allow_ips": st.sampled_from([None, (), ("10.0.0.0/8",), ("192.0.2.1", "2001:db8::/32")]),
    "deny_ips": st.sampled_from([None, (), ("10.1.0.0/16",)]),
    "models": st.sampled_from([None, ("m", "either"), ("long",), ("absent",)]),
}
money = {
    "granted": st.none() | amounts,
    "account_granted": st.none() | amounts,
    "used": st.sampled_from([0, 1, CALL_NUSD]),
    "limits": st.none() | st.lists(limits, max_size=3).map(tuple),
    "max_concurrency": st.sampled_from([None, 0, 1, 2]),
    "reserve": st.sampled_from([None, "strict", "estimate"]),
    "running": st.lists(st.tuples(amounts, st.sampled_from([0, 100, 600])), max_size=2),
}
states = st.builds(
    lambda *parts: State(**{name: value for part in parts for name, value in part.items()}),
    owners,
    st.just({}) | st.just({}) | st.fixed_dictionaries({}, optional=rules),
    st.fixed_dictionaries(money) | st.fixed_dictionaries({}, optional=money),
)
bodies = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["m"] * 8 + ["unpriced", "long", "either", "absent", ""]),
        "messages": st.just([{"role": "user", "content": "Hello"}]),
    },
    optional={
        "max_tokens": st.sampled_from([1, 50, 400, 5000]),
        "stream": st.booleans(),
        "n": st.sampled_from([1, 2, 0]),
        "service_tier": st.sampled_from(["default", "priority"]),
        "store": st.booleans(),
        "max_completion_tokens": st.sampled_from([60, -1]),
    },
)
plain = st.sampled_from([chat(), chat("long"), ENOUGH, chat(max_tokens=400), chat(stream=True)])
said = st.fixed_dictionaries(
    {"model": st.sampled_from(["m"] * 4 + ["unpriced", "absent"]), "messages": st.just([])},
    optional={"max_tokens": st.sampled_from([50, 400]), "stream": st.booleans()},
)
ips = st.sampled_from(["10.0.0.1", "10.1.0.1", "10.2.0.1", "192.0.2.1", "2001:db8::1"])
paths = st.sampled_from(
    ["/v1/chat/completions"] * 6
    + ["/v1/embeddings", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens"]
    + ["/v1/moderations", "/v1/images/generations", "/v1/audio/speech", "/v1/organization/users"]
    + ["/v1beta/models/m:generateContent", "/v1/chat/completions/", "/chat/completions"]
)
asks = st.one_of(
    st.builds(Ask, body=plain),
    st.builds(Ask, path=paths, ip=ips, body=bodies),
    st.builds(Ask, ip=ips, body=bodies),
    st.builds(Ask, ip=ips, body=said, said=st.sampled_from([True])),
    st.builds(Ask, ip=ips, body=st.sampled_from([b"", b"{", b"[]", b'{"model":"m","model":"m"}'])),
    st.builds(Ask, method=st.sampled_from(["GET", "DELETE"]), path=paths, ip=ips),
)


@settings(
    max_examples=100,
    phases=(
        Phase.explicit,
        Phase.generate,
    ),  # each example is a dozen round trips: shrinking takes minutes
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(state=states, ask=asks)
@example(state=State(granted=CALL_NUSD, running=[(CALL_NUSD, 10)]), ask=Ask(body=chat()))
@example(state=State(granted=4 * CALL_NUSD, running=[(3 * CALL_NUSD, 1)]), ask=Ask(body=ENOUGH))
@example(state=State(group="narrow", running=[(0, 0)]), ask=Ask(body=chat()))
@example(state=State(limits=(LIMIT,), running=[(0, 0)]), ask=Ask(body=chat()))
@example(state=State(granted=5 * CALL_NUSD), ask=Ask(body=chat("long")))
@example(
    state=State(granted=8 * CALL_NUSD, running=[(3 * CALL_NUSD, 1)]), ask=Ask(body=chat("long"))
)
@example(state=State(limits=(TOKENS,)), ask=Ask(body=chat("long")))
@example(state=State(), ask=Ask(path="/v1/messages", body=chat(max_tokens=50, store=True)))
@example(state=State(), ask=Ask(body=chat("claude", seed=1)))
@example(state=State(granted=USD), ask=Ask(body=chat("claude", n=2)))
def test_a_call_comes_to_what_was_explained_and_asking_changes_nothing(
    steps: Steps, state: State, ask: Ask
) -> None:
    # A body is estimated by a quarter of its bytes, which is not said in whole tokens.
    ask.said = ask.said and state.reserve != "estimate"
    steps.run(_compare(steps.bench, state, ask))


async def _compare(bench: Bench, state: State, ask: Ask) -> None:
    token = await bench.token(state)
    account_id, bench.admin.clock[0] = token.row.account_id, time.time()
    money, running = await bench.accounts(token.row), await bench.store(account_id, "rpx")
    explained = await bench.explain(token.row.id, ask.question)
    assert await bench.accounts(token.row) == money
    assert await bench.store(account_id, "rpx") == running
    loaded = await bench.store(account_id)
    assert steady(await bench.explain(token.row.id, ask.question)) == steady(explained)
    assert await bench.store(account_id) == loaded
    assert await bench.accounts(token.row) == money

    made = await bench.make(token.key, ask)
    decision = explained["decision"]
    event(f"{decision.get('check')}: {decision.get('reason')}")
    assert comparable(decision.get("message")) == comparable(made.message)
    if made.code is not None:
        assert (decision["reason"], decision.get("scope")) == (made.code, made.scope)
    if made.written_max_tokens is not None:
        assert explained["hold"]["written_max_tokens"] == made.written_max_tokens
    first = next((each for each in explained["checks"] if each["result"] == "deny"), None)
    assert decision == (first or {"result": "allow"})
    for each in explained["checks"]:
        if each["result"] == "deny":
            assert Case(each["case"]).sentence(each["params"]) == each["message"]
        for shadow in each.get("shadow", ()):
            assert Case(shadow["case"]).sentence(shadow["params"]) == shadow["message"]


def _link_name(link: Any) -> str:
    return link.__qualname__.removesuffix(".<locals>.link").rpartition(".")[2]


@pytest.mark.interpreted
async def test_the_checks_are_the_links_of_the_chains_in_their_order(bench: Bench) -> None:
    gateway = bench.rig.gateway
    links = gateway.handler.chains
    assert {kind: [_link_name(link) for link in chain] for kind, chain in links.items()} == {
        kind: list(names) for kind, names in CHAINS.items()
    }


async def test_everything_that_stands_in_the_way_is_told_at_once(bench: Bench) -> None:
    token = await bench.token(
        State(status=2, deny_ips=("10.0.0.0/8",), models=("long",), granted=1, limits=(LIMIT,))
    )
    asked = {"ip": "10.0.0.1", "model": "m", "max_tokens": 50, "input_tokens": 10}
    told = await bench.explain(token.row.id, asked)
    denied = {
        c["check"]: (c["reason"], c["rule"]["of"], c["rule"]["name"])
        for c in told["checks"]
        if c["result"] == "deny"
    }
    assert denied == {
        "require_live": ("key_disabled", "token", "status"),
        "require_network": ("ip_not_allowed", "token", "deny_ips"),
        "require_model": ("model_not_allowed", "token", "model_limits"),
        "reserve": ("insufficient_quota", "token", "quota"),
    }
    assert told["decision"]["check"] == "require_live"
    said = {c["check"]: (c["case"], c["params"]) for c in told["checks"] if "case" in c}
    assert said["require_network"] == ("address_denied", {"address": "10.0.0.1"})
    assert said["require_model"] == ("model_not_listed", {"model": "m"})
    assert said["reserve"][0] == "quota_too_small"
    assert said["reserve"][1].items() >= {"scope": "token", "limit": "$0.000000001"}.items()
    assert said["read_body"] == ("no_body", {})
    assert told["decision"]["remedy"] == (
        f'Enable the token: PATCH /api/token/{token.row.id} {{"status": 1}}.'
    )
    skipped = {c["check"] for c in told["checks"] if c["result"] == "skipped"}
    assert skipped == {"authenticate", "accept_body", "read_body", "require_room"}
    assert all(c["message"] for c in told["checks"] if c["result"] != "allow")


async def test_a_remedy_that_is_followed_lets_the_call_pass(bench: Bench) -> None:
    token = await bench.token(State(status=2, group="narrow"))
    asked = {"ip": "10.2.0.9", "model": "unpriced"}
    path = f"/api/token/{token.row.id}"
    for change, rule in (
        ({"status": 1}, {"of": "token", "name": "status", "inherited": False}),
        (
            {"deny_ips": []},
            {
                "of": "group",
                "name": "token_defaults.deny_ips",
                "inherited": True,
                "group": "narrow",
            },
        ),
        (
            {"model_limits": ["m", "unpriced"]},
            {"of": "group", "name": "token_defaults.models", "inherited": True, "group": "narrow"},
        ),
    ):
        decision = (await bench.explain(token.row.id, asked))["decision"]
        assert decision["rule"] == rule
        changed = await bench.admin.call("PATCH", path, change, token=bench.access)
        assert changed.status == 200, changed.body
    decision = (await bench.explain(token.row.id, asked))["decision"]
    assert (decision["reason"], decision["rule"]["of"]) == ("model_not_priced", "model")
    assert (await bench.explain(token.row.id, asked | {"model": "m"}))["decision"] == {
        "result": "allow"
    }


async def test_a_call_that_passes_is_told_with_its_price_hold_upstreams_and_limits(
    bench: Bench,
) -> None:
    by_model = Limit(Metric.REQUESTS, "5h", 9, models=frozenset({"m"}))
    money = Limit(Metric.USD, "month", 2 * USD, "calendar")
    token = await bench.token(
        State(
            group="dear",
            granted=USD,
            used=USD // 4,
            limits=(by_model, money, Limit(Metric.REQUESTS, "1m", 60, burst=5)),
            running=[(USD // 8, 100)],
        )
    )
    told = await bench.explain(token.row.id, {"model": "m", "max_tokens": 50, "input_tokens": 500})
    assert told["decision"] == {"result": "allow"}
    nusd = 2 * (500 * 1000 + 50 * 10_000)  # at the group's ratio of 2
    assert told["hold"] == {
        "reserve": "strict",
        "usd": nusd / USD,
        "quota": nusd // 2000,
        "amount_nusd": nusd,
        "tokens": 550,
        "input_tokens": 500,
        "output_tokens": 50,
        "most_output_tokens": 50,
        "written_max_tokens": None,
    }
    assert told["price"]["input_usd_per_mtok"] == 1
    assert told["price"]["output_usd_per_mtok"] == 10
    assert told["price"]["ratio"] == 2
    assert told["candidates"] == [
        {
            "upstream": "scripted",
            "model": "m",
            "priority": 0,
            "weight": 1,
            "dialect": "openai",
            "translated": False,
            "left_out": [],
            "refused": None,
        }
    ]
    assert told["quota"]["token"] == {
        "granted_nusd": USD,
        "used_nusd": USD // 4,
        "pending_nusd": 0,
        "held_nusd": USD // 8,
        "available_nusd": USD - USD // 4 - USD // 8,
    }
    shown = [
        (each["scope"], each["metric"], each["window"], each["mode"], each["limit"], each["used"])
        for each in told["limits"]
    ]
    assert shown == [
        ("token", "requests", "5h", "sliding", 9, 1),
        ("token", "usd", "month", "calendar", 2, 0.125),
        ("token", "requests", "1m", "sliding", 60, pytest.approx(1, abs=1)),
        ("subscription", "tokens", "1d", "sliding", 700, 100),
    ]
    assert told["limits"][2]["burst"] == 5
    assert told["concurrency"] == [
        {"scope": "subscription", "inherited": False, "limit": 2, "live": 1}
    ]


async def test_what_a_translation_would_leave_out_or_refuse_is_told_for_each_upstream(
    bench: Bench,
) -> None:
    token = await bench.token(State())
    told = await bench.explain(token.row.id, {"body": chat("claude", seed=1)})
    assert told["decision"] == {"result": "allow"}
    assert told["checks"][-1] == {"check": "translate", "result": "allow"}
    (other,) = told["candidates"]
    assert (
        other.items() >= {"upstream": "other", "dialect": "anthropic", "translated": True}.items()
    )
    assert (other["left_out"], other["refused"]) == (["seed"], None)

    told = await bench.explain(token.row.id, {"body": chat("claude", n=2)})
    decision, refused = told["decision"], told["candidates"][0]["refused"]
    assert (decision["check"], decision["reason"]) == ("translate", "unsupported_parameter")
    assert decision["param"] == refused["param"] == "n"
    assert decision["message"] == refused["message"]

    told = await bench.explain(token.row.id, {"model": "claude"})
    assert told["decision"] == {"result": "allow"}
    assert told["checks"][-1]["case"] == "no_body_to_translate"
    assert told["candidates"][0]["translated"]


async def test_a_call_holds_what_was_explained(bench: Bench) -> None:
    token = await bench.token(State(granted=USD))
    ask = Ask(body=chat(stream=True, max_tokens=700))
    told = await bench.explain(token.row.id, ask.question)
    gate = Gate()
    bench.rig.upstream.answer("m", Echo().first(gate))
    call = asyncio.create_task(bench.make(token.key, ask))
    await gate.waiting(1)
    (held,) = await bench.rig.gateway.quota.live(token.row.account_id)
    gate.release()
    await call
    assert (held.amount, held.tokens) == (told["hold"]["amount_nusd"], told["hold"]["tokens"])


async def test_another_accounts_object_is_refused_as_the_call_would_be(bench: Bench) -> None:
    mine, theirs = await bench.token(State()), await bench.token(State())
    await bench.rig.database.execute(
        "INSERT INTO object (id, account_id, upstream) VALUES ('resp_1', $1, 'scripted')",
        theirs.row.account_id,
    )
    body = {"model": "m", "input": "Hello", "previous_response_id": "resp_1"}
    ask = Ask(path="/v1/responses", body=body)
    decision = (await bench.explain(mine.row.id, ask.question))["decision"]
    made = await bench.make(mine.key, ask)
    assert (decision["reason"], decision["message"]) == (made.code, made.message)
    assert made.code == "object_not_found"
    assert (await bench.explain(theirs.row.id, ask.question))["decision"]["result"] == "allow"


async def test_a_body_above_the_bound_is_refused_as_the_call_would_be(bench: Bench) -> None:
    token = await bench.token(State())
    ask = Ask(body=chat(text="x" * 70_000))
    decision = (await bench.explain(token.row.id, ask.question))["decision"]
    made = await bench.make(token.key, ask)
    assert (decision["reason"], decision["message"]) == (made.code, made.message)
    assert decision["rule"] == {"of": "gateway", "name": "max_body_bytes", "inherited": False}


async def test_without_an_address_the_network_is_not_judged(bench: Bench) -> None:
    limited, free = await bench.token(State(allow_ips=("10.0.0.1",))), await bench.token(State())
    for token, result in ((limited, "skipped"), (free, "allow")):
        told = await bench.explain(token.row.id, {"model": "m"})
        (network,) = [each for each in told["checks"] if each["check"] == "require_network"]
        assert network["result"] == result


async def test_a_body_may_be_an_object_or_the_text_that_is_sent(bench: Bench) -> None:
    token = await bench.token(State(granted=USD))
    body = chat(temperature=0.25, max_tokens=5)
    as_object = await bench.explain(token.row.id, {"body": body})
    as_text = await bench.explain(token.row.id, Ask(body=body).question)
    assert as_object["hold"] == as_text["hold"]
    assert as_object["call"]["model"] == "m"


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"ip": "10.0.0.256"}, "ip"),
        ({"path": "v1/chat/completions"}, "path"),
        ({"body": {"model": "m"}, "model": "m"}, "model"),
        ({"body": "{}", "stream": False}, "stream"),
        ({"model": 5}, "model"),
        ({"method": "FETCH"}, "method"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"key": "sk-x"}, "key"),
    ],
)
async def test_a_question_that_is_no_question_names_the_field(
    bench: Bench, question: dict[str, Any], field: str
) -> None:
    token = await bench.token(State())
    answer = await bench.admin.call(
        "POST", f"/api/token/{token.row.id}/explain", question, token=bench.access
    )
    assert answer.status == 422
    assert answer.body["code"] == "invalid_field"
    assert field in answer.message


async def test_a_token_of_somebody_else_is_not_found(bench: Bench) -> None:
    token = await bench.token(State())
    path = f"/api/token/{token.row.id}/explain"
    _, stranger = await bench.admin.user("stranger")
    answer = await bench.admin.call("POST", path, {"model": "m"}, token=stranger)
    assert (answer.status, answer.body["code"]) == (404, "not_found")
    absent = await bench.admin.call("POST", "/api/token/999999/explain", {}, token=bench.access)
    assert absent.status == 404
    _, writer = await bench.admin.user("writer", scopes=("token.write",))
    answer = await bench.admin.call("POST", path, {"model": "m"}, token=writer)
    assert answer.status == 403


async def test_without_a_quota_store_a_capped_call_is_refused_and_an_uncapped_passes(
    aiohttp_client: Any, postgres_dsn: str
) -> None:
    config = {
        "models": [{"name": "m", **PRICED}],
        "upstreams": [{"name": "u", "base_url": "https://api.example", "models": ["m"]}],
    }
    async with running_admin(aiohttp_client, postgres_dsn, config) as admin:
        _, access = await admin.user("owner", role="admin", account_id=1)
        for fields, result in (({"quota_usd": 1}, "deny"), ({"unlimited_quota": True}, "allow")):
            token = await admin.create(access, remain_quota=None, **fields)
            path = f"/api/token/{token['id']}/explain"
            answer = await admin.call("POST", path, {"model": "m"}, token=access)
            assert answer.status == 200, answer.body
            assert answer.data["decision"]["result"] == result
            assert answer.data["quota"] is None
            if result == "deny":
                assert answer.data["decision"]["reason"] == "quota_unavailable"


async def test_where_the_operator_lets_calls_pass_without_the_store_no_refusal_is_told(
    aiohttp_client: Any, postgres_dsn: str
) -> None:
    config = {
        "models": [{"name": "m", **PRICED}],
        "upstreams": [{"name": "u", "base_url": "https://api.example", "models": ["m"]}],
        "quota": {"on_store_loss": "allow", "allow_bounded_nusd": 5},
    }
    async with running_admin(aiohttp_client, postgres_dsn, config) as admin:
        token = await admin.create()
        answer = await admin.call("POST", f"/api/token/{token['id']}/explain", {"model": "m"})
        (last,) = [each for each in answer.data["checks"] if each["check"] == "reserve"]
        assert (last["result"], answer.data["decision"]["result"]) == ("skipped", "allow")
        assert "allow_bounded_nusd" in last["message"]
