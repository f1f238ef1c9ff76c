"""How a call comes to an upstream of another dialect, what is refused on the way, and how its end is told."""

import base64
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import openai
import pytest

from tests.integration import dialect_answers as answers
from tests.integration.dialect_callers import QUESTION, Chat, Contents, Messages, Responses
from tests.integration.rig import PRICED, USD, Rig, running
from tests.upstream import CUT, Answer, Echo, ScriptedUpstream, Turns

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")
SAID = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


def configure(members: dict[str, Any]) -> None:
    url = members["upstreams"][0]["base_url"]
    priced = {**PRICED, "max_input_tokens": 20_000}
    members["models"] += [
        {"name": name, **priced}
        for name in ("both", "claude", "kept", "easy", "mine", "azured", "gem", "thinker")
    ]
    claude = {"dialect": "anthropic", "base_url": url}
    members["models"].append({"name": "minds", **priced, "hides_output": True})
    azure = {"azure_api_version": "2024-10-21", "api_key_env": "AZURE_KEY"}
    members["upstreams"] = [
        {
            "name": "own",
            "base_url": url,
            "models": {"both": "own-real", "mine": "own-real", "minds": "own-real"},
            "priority": 9,
        },
        {
            "name": "azure",
            **azure,
            "base_url": url.removesuffix("/v1"),
            "models": {"azured": "deployed"},
        },
        {"name": "other", **claude, "models": {"both": "other-real", "claude": "claude-real"}},
        {"name": "replier", "base_url": url, "models": {"thinker": "o-real"}, "form": "responses"},
        {"name": "keeper", **claude, "models": {"kept": "kept-real"}, "translate": False},
        {
            "name": "google",
            "dialect": "gemini",
            "base_url": url.removesuffix("/v1") + "/v1beta",
            "models": {"gem": "gem-real"},
            "leave_out": ["user"],
        },
        {
            "name": "easy",
            **claude,
            "models": {"easy": "easy-real"},
            "leave_out": ["seed", "metadata"],
        },
    ]


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    async with (
        ScriptedUpstream() as upstream,
        running(
            postgres_dsn, valkey_url, upstream, configure, {"AZURE_KEY": "azure-secret"}
        ) as running_rig,
    ):
        for model in ("other-real", "claude-real", "kept-real", "easy-real"):
            upstream.answer(model, answers.whole("anthropic"))
        yield running_rig


@pytest.fixture
async def chat(rig: Rig) -> AsyncIterator[Chat]:
    token = await rig.token(USD)
    async with Chat(rig.url, token.key) as caller:
        yield caller


def models_called(rig: Rig) -> list[str]:
    return [json.loads(received.body)["model"] for received in rig.upstream.requests]


async def test_an_upstream_of_the_callers_dialect_goes_first_whatever_its_priority(rig: Rig, chat):
    for _ in range(3):
        await chat.say("both")
    assert models_called(rig) == ["own-real"] * 3


async def test_where_those_of_the_callers_dialect_fail_the_call_is_translated(rig: Rig, chat):
    down = Answer((b'{"error":{"message":"down"}}',), status=503)
    rig.upstream.answer("own-real", down)
    assert (await chat.say("both")).text == answers.TEXT
    assert models_called(rig) == ["own-real", "other-real"]
    (row,) = await rig.ledger()
    assert (row["upstream"], row["status"]) == ("other", 200)


async def test_an_upstream_that_wants_no_translated_calls_gets_none(rig: Rig, chat):
    with pytest.raises(openai.NotFoundError, match="POST /v1/messages"):
        await chat.say("kept")
    async with Messages(rig.url, (await rig.token(USD)).key) as own:
        assert (await own.say("kept")).text == answers.TEXT


async def test_models_are_listed_for_whoever_can_call_them_in_any_dialect(rig: Rig, chat):
    listed = [model.id async for model in chat.client.models.list()]
    assert {"both", "claude", "easy"} <= set(listed)
    assert "kept" not in listed


@pytest.mark.parametrize(
    ("kind", "said", "param"),
    [
        (Chat, {"seed": 1}, "seed"),
        (Chat, {"n": 2}, "n"),
        (Chat, {"logit_bias": {"7": 1}}, "logit_bias"),
        (Chat, {"extra_body": {"novel": 1}}, "novel"),
        (Chat, {"extra_body": {"messages": [{"role": "user", "content": [SAID]}]}}, "input_audio"),
        (Responses, {"previous_response_id": "resp_1"}, "previous_response_id"),
        (Responses, {"extra_body": {"tools": [{"type": "web_search"}]}}, "tools[0]"),
        (Contents, {"candidate_count": 2}, "candidateCount"),
        (Contents, {"seed": 1}, "seed"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
async def test_what_cannot_be_said_is_refused_by_the_callers_name_for_it_and_costs_nothing(
    rig: Rig, kind, said: dict[str, Any], param: str
):
    token = await rig.token(USD)
    async with kind(rig.url, token.key) as caller:
        with pytest.raises(caller.error, match=param.replace("[", r"\[")) as refused:
            await caller.say("claude", **said)
    if kind is not Contents:
        assert (refused.value.status_code, refused.value.code) == (400, "unsupported_parameter")
        assert refused.value.param.startswith(param)
    assert rig.upstream.requests == []
    assert sum(row["amount"] for row in await rig.ledger()) == 0
    book = await rig.gateway.quota.book(token.row.account_id, f"t{token.row.id}")
    assert book is not None
    assert (book.used, book.reserved, book.live) == (0, 0, 0)


async def test_what_the_operator_lets_be_left_out_is_named_in_a_header(rig: Rig, chat):
    answer = await chat.client.chat.completions.with_raw_response.create(
        model="easy",
        messages=[{"role": "user", "content": QUESTION}],
        seed=1,
        metadata={"a": "b"},
        max_tokens=5,
    )
    assert answer.headers["x-tollhouse-dropped"] == "seed, metadata"
    assert not {"seed", "metadata"} & json.loads(rig.upstream.requests[0].body).keys()
    with pytest.raises(openai.BadRequestError, match="logit_bias"):
        await chat.say("easy", logit_bias={"7": 1})


async def test_what_no_answer_hangs_on_is_passed_over_and_named_as_the_caller_names_it(
    rig: Rig, chat
):
    thought = {"type": "thinking", "thinking": "so", "signature": "of-anthropic"}
    said = {"type": "text", "text": "Yes.", "cache_control": {"type": "ephemeral"}}
    rig.upstream.answer("gem-real", answers.whole("gemini"))
    async with Messages(rig.url, (await rig.token(USD)).key) as caller:
        answer = await caller.client.messages.with_raw_response.create(
            model="gem",
            max_tokens=5,
            messages=[
                {"role": "user", "content": QUESTION},
                {"role": "assistant", "content": [thought, said]},
                {"role": "user", "content": QUESTION},
            ],
        )
    named = set(answer.headers["x-tollhouse-dropped"].split(", "))
    assert named == {"messages.thinking", "cache_control"}
    assert b"of-anthropic" not in rig.upstream.requests[0].body
    plain = await chat.client.chat.completions.with_raw_response.create(
        model="easy", messages=[{"role": "user", "content": QUESTION}], max_tokens=5
    )
    assert "x-tollhouse-dropped" not in plain.headers


async def test_what_is_left_out_may_be_named_as_callers_name_it(rig: Rig, chat):
    rig.upstream.answer("gem-real", answers.whole("gemini"))
    assert (await chat.say("gem", user="somebody")).text == answers.TEXT
    async with Messages(rig.url, (await rig.token(USD)).key) as caller:
        with pytest.raises(anthropic.BadRequestError, match=r"metadata\.user_id"):
            await caller.say("gem", metadata={"user_id": "somebody"})


async def test_an_answer_in_another_form_than_was_asked_for_is_an_error(rig: Rig, chat):
    rig.upstream.answer(
        "claude-real", Turns((answers.events("anthropic"), answers.whole("anthropic")))
    )
    with pytest.raises(openai.InternalServerError, match="asked for something else"):
        await chat.say("claude")
    with pytest.raises(openai.InternalServerError, match="asked for something else"):
        await chat.hear("claude")


async def test_a_stream_that_breaks_off_is_told_in_the_callers_dialect_and_charged(rig: Rig, chat):
    whole = answers.events("anthropic")
    rig.upstream.answer(
        "claude-real",
        Answer((*whole.body[:4], CUT), content_type=whole.content_type, framing="chunked"),
    )
    with pytest.raises(openai.APIError, match=r"broke off|ended|closed"):
        await chat.hear("claude")
    (row,) = await rig.ledger()
    assert (row["estimated"], row["anomaly"]) == (True, "upstream_cut")
    assert row["amount"] > 0


async def test_what_an_upstream_says_in_the_middle_of_a_stream_ends_it(rig: Rig, chat):
    whole = answers.events("anthropic")
    fault = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"too busy"}}\n\n'
    rig.upstream.answer(
        "claude-real",
        Answer((*whole.body[:4], fault), content_type=whole.content_type, framing="chunked"),
    )
    with pytest.raises(openai.APIError, match="too busy"):
        await chat.hear("claude")
    (row,) = await rig.ledger()
    assert row["amount"] > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_tells_no_usage_is_charged_an_estimate(rig: Rig, stream):
    rig.upstream.answer("own-real", Echo(usage=None))
    async with Messages(rig.url, (await rig.token(USD)).key) as caller:
        await (caller.hear if stream else caller.say)("mine")
    (row,) = await rig.ledger()
    assert (row["estimated"], row["anomaly"]) == (True, "no_usage")
    assert row["output_tokens"] > 0


async def test_azure_is_called_by_deployments_with_its_own_header(rig: Rig):
    async with Messages(rig.url, (await rig.token(USD)).key) as translated:
        rig.upstream.answer("deployed", answers.whole("openai"))
        assert (await translated.say("azured")).text == answers.TEXT
    (received,) = rig.upstream.requests
    assert received.path == "/openai/deployments/deployed/chat/completions?api-version=2024-10-21"
    headers = {name.lower(): value for name, value in received.headers}
    assert headers["api-key"] == "azure-secret"
    assert "authorization" not in headers


async def test_pictures_that_are_drawn_reach_chats_and_responses_whole_and_streamed(rig: Rig):
    picture = base64.b64encode(random.Random(7).randbytes(300_000)).decode()
    parts = [{"text": "Here:"}, {"inlineData": {"mimeType": "image/png", "data": picture}}]
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 90, "totalTokenCount": 95}
    drawn = {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": usage,
    }
    whole = Answer((json.dumps(drawn).encode(),))
    event = b"data: %b\n\n" % json.dumps(drawn).encode()
    streamed = Answer((event,), content_type="text/event-stream", framing="chunked")
    rig.upstream.answer("gem-real", Turns((whole, streamed, whole, streamed)))
    token = await rig.token(USD)
    asked: dict[str, Any] = {"model": "gem", "messages": [{"role": "user", "content": "Draw."}]}
    async with Chat(rig.url, token.key) as caller:
        create = caller.client.chat.completions.create
        more = {"modalities": ["image", "text"]}
        found = [(await create(**asked, extra_body=more)).choices[0].message.model_extra["images"]]
        async for chunk in await create(**asked, stream=True):
            assert chunk.usage is None  # it was not asked for
            found += [c.delta.images for c in chunk.choices if "images" in c.delta.model_extra]
    told = json.loads(rig.upstream.requests[0].body)
    assert told["generationConfig"]["responseModalities"] == ["IMAGE", "TEXT"]
    urls = [image["image_url"]["url"] for images in found for image in images]
    assert urls == [f"data:image/png;base64,{picture}"] * 2
    async with Responses(rig.url, token.key) as caller:
        answers_ = [await caller.client.responses.create(model="gem", input="Draw.")]
        async with caller.client.responses.stream(model="gem", input="Draw.") as stream:
            answers_.append(await stream.get_final_response())
    for answer in answers_:
        text, item = answer.output
        assert (text.content[0].text, item.type, item.result) == (
            "Here:",
            "image_generation_call",
            picture,
        )
    rows = await rig.ledger()
    assert [row["amount"] for row in rows] == [5 * 1_000 + 90 * 10_000] * 4
    assert not any(row["estimated"] or row["anomaly"] for row in rows)


async def test_thoughts_of_a_model_that_is_called_by_responses_come_back_to_it(rig: Rig):
    reasoning = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Hm."}],
        "encrypted_content": "gAAAAABo",
    }
    said = {"type": "message", "content": [{"type": "output_text", "text": answers.TEXT}]}
    usage = {"input_tokens": answers.INPUT, "output_tokens": answers.OUTPUT, "total_tokens": 21}
    told = {"id": "resp_1", "status": "completed", "output": [reasoning, said], "usage": usage}
    rig.upstream.answer("o-real", Answer((json.dumps(told).encode(),)))
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    async with Messages(rig.url, (await rig.token(USD)).key) as caller:
        first = await caller.say("thinker", max_tokens=2000, thinking=thinking)
        again = [
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": [b.model_dump() for b in first.raw.content]},
            {"role": "user", "content": "And tomorrow?"},
        ]
        await caller.say("thinker", max_tokens=2000, thinking=thinking, messages=again)
    asked, later = rig.upstream.requests
    assert asked.path == later.path == "/v1/responses"
    assert json.loads(asked.body)["max_output_tokens"] == 2000
    assert json.loads(asked.body)["include"] == ["reasoning.encrypted_content"]
    assert reasoning in json.loads(later.body)["input"]
    rows = await rig.ledger()
    assert [(row["output_tokens"], row["estimated"]) for row in rows] == [
        (answers.OUTPUT, False)
    ] * 2


async def test_tokens_are_counted_by_whoever_has_the_model_and_cost_nothing(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("claude-real", Answer((b'{"input_tokens":7}',)))
    rig.upstream.answer("gem-real", Answer((b'{"totalTokens":9}',)))
    async with Messages(rig.url, token.key) as caller:
        counted = await caller.client.messages.count_tokens(
            model="gem", messages=[{"role": "user", "content": QUESTION}]
        )
        assert counted.input_tokens == 9
    async with Contents(rig.url, token.key) as caller:
        found = await caller.client.aio.models.count_tokens(model="claude", contents=QUESTION)
        assert found.total_tokens == 7
    assert [received.path for received in rig.upstream.requests] == [
        "/v1beta/models/gem-real:countTokens",
        "/v1/messages/count_tokens",
    ]
    assert {(row["amount"], row["anomaly"]) for row in await rig.ledger()} == {(0, None)}


async def test_texts_are_embedded_by_whoever_has_the_model(rig: Rig, chat):
    rig.upstream.answer(
        "gem-real",
        Answer(
            (
                (
                    b'{"embeddings":[{"values":[0.5,0.25]},{"values":[1,0]}],'
                    b'"usageMetadata":{"promptTokenCount":6,"totalTokenCount":6}}'
                ),
            )
        ),
    )
    vectors = await chat.client.embeddings.create(model="gem", input=["a road", "a toll house"])
    assert [each.embedding for each in vectors.data] == [[0.5, 0.25], [1, 0]]
    async with Contents(rig.url, (await rig.token(USD)).key) as caller:
        found = await caller.client.aio.models.embed_content(model="mine", contents=["a road"])
    assert len(found.embeddings) == 1
    first, second = await rig.ledger()
    assert (first["upstream"], first["input_tokens"], first["estimated"]) == ("google", 6, False)
    assert (second["upstream"], second["route"]) == ("own", "embed_content")
    assert second["amount"] > 0


async def test_a_model_that_does_not_think_is_not_told_not_to(rig: Rig):
    rig.upstream.answer("own-real", answers.whole("openai"))
    off: Any = {"type": "disabled"}
    async with Messages(rig.url, (await rig.token(USD)).key) as caller:
        await caller.say("mine", thinking=off)
        await caller.say("minds", thinking=off)
        for model in ("mine", "minds"):
            with pytest.raises(anthropic.BadRequestError, match=r"output_config\.effort"):
                await caller.say(
                    model, thinking=off, extra_body={"output_config": {"effort": "low"}}
                )
    first, second = (json.loads(received.body) for received in rig.upstream.requests)
    assert "reasoning_effort" not in first
    assert second["reasoning_effort"] == "none"


async def test_a_body_of_thousands_of_messages_arrives_whole(rig: Rig, chat):
    texts = [f"{number} toll houses" for number in range(3000)]
    messages: Any = [{"role": "user", "content": text} for text in texts]
    answer = await chat.client.chat.completions.create(
        model="claude", messages=messages, max_tokens=5
    )
    assert answer.choices[0].message.content == answers.TEXT
    (received,) = rig.upstream.requests
    assert len(received.body) > 65_536  # translated in a thread
    (turn,) = json.loads(received.body)["messages"]
    assert [block["text"] for block in turn["content"]] == texts
