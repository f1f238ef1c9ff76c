"""What a call costs and how much of it is held, from the body to the ledger's row."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.rig import PRICED, USD, Rig, chat, running_rig
from tests.upstream import Echo

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 200_000}}
TINY = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGR" * 100, "format": "wav"}}
KINDS = {
    "prompt_tokens": 300,
    "completion_tokens": 90,
    "prompt_tokens_details": {
        "cached_tokens": 0,
        "cache_write_tokens": 10,
        "audio_tokens": 20,
        "image_tokens": 30,
    },
    "completion_tokens_details": {
        "reasoning_tokens": 40,
        "audio_tokens": 5,
        "image_tokens": 6,
        "accepted_prediction_tokens": 1,
        "rejected_prediction_tokens": 7,
    },
}


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    def configure(members: dict[str, Any]) -> None:
        members["models"] += [
            {
                "name": "kinds",
                **PRICED,
                "cache_write_usd_per_mtok": 2,
                "reasoning_usd_per_mtok": 20,
                "audio_input_usd_per_mtok": 30,
                "audio_output_usd_per_mtok": 60,
                "image_input_usd_per_mtok": 5,
                "image_output_usd_per_mtok": 50,
                "image_max_tokens": 1000,
                "tiers": [
                    {
                        "above_input_tokens": 2000,
                        "input_usd_per_mtok": 2,
                        "output_usd_per_mtok": 15,
                    }
                ],
            },
            {"name": "bounded", **PRICED, "max_input_tokens": 50_000},
        ]

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


async def asked(rig: Rig, key: str, body: dict[str, Any], status: int = 200) -> Any:
    path = "/v1/responses" if "input" in body else "/v1/chat/completions"
    async with rig.post(key, body, path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def test_every_kind_of_token_is_charged_and_on_the_row(rig: Rig) -> None:
    token = await rig.token(USD)
    rig.upstream.answer("kinds", Echo(usage=KINDS))
    await asked(rig, token.key, chat("kinds"))
    (row,) = await rig.ledger()
    assert {name: count for name, count in row.items() if name.endswith("_tokens")} == {
        "input_tokens": 300,
        "cached_input_tokens": 0,
        "cache_write_tokens": 10,
        "cache_write_1h_tokens": 0,
        "audio_input_tokens": 20,
        "image_input_tokens": 30,
        "output_tokens": 90,
        "reasoning_tokens": 40,
        "audio_output_tokens": 5,
        "image_output_tokens": 6,
        "rejected_prediction_tokens": 7,
    }
    inputs = 250 + 10 + 20 * 30 + 30 * 5
    outputs = 39 * 10 + 40 * 20 + 5 * 60 + 6 * 50
    assert row["amount"] == (inputs + outputs) * 1000
    assert (row["anomaly"], row["unbilled"], row["price_version"]) == (None, 0, 1)


async def test_long_input_is_charged_at_its_tier(rig: Rig) -> None:
    token = await rig.token(USD)
    for count, cost in ((2000, 2000 + 100), (2001, 4002 + 150)):
        details = {"audio_tokens": 0, "image_tokens": 0}
        usage = {"prompt_tokens": count, "completion_tokens": 10}
        rig.upstream.answer("kinds", Echo(usage={**usage, "completion_tokens_details": details}))
        await asked(rig, token.key, chat("kinds", "x" * 3000))
        assert (await rig.ledger())[-1]["amount"] == cost * 1000


async def test_an_image_is_held_by_the_models_bound_and_not_by_its_bytes(rig: Rig) -> None:
    token = await rig.token(USD // 10)
    await asked(rig, token.key, chat("kinds", max_tokens=10, text=[PICTURE]))
    refusal = await asked(rig, token.key, chat("kinds", max_tokens=10, text=[TINY] * 60), 429)
    assert refusal["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "messages[0]"),
        ({"input": [{"type": "item_reference", "id": "m"}]}, "input[0].type"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"background": True}, "background"),
    ],
)
async def test_a_cap_refuses_what_it_cannot_bound_and_names_it(
    rig: Rig, members: dict[str, Any], param: str
) -> None:
    capped, free = await rig.token(USD), await rig.token()
    body = {"model": "m", **members} if "input" in members else chat("m", **members)
    error = (await asked(rig, capped.key, body, 400))["error"]
    assert error["code"] == "unsupported_parameter"
    assert error["param"].startswith(param)
    assert "uncapped key" in error["message"]
    await asked(rig, free.key, body)


async def test_what_the_body_does_not_show_is_bounded_by_the_model(rig: Rig) -> None:
    tools = {"tools": [{"type": "web_search"}], "max_tokens": 10}
    poor, rich = await rig.token(50_000_000), await rig.token(50_100_000)
    error = (await asked(rig, poor.key, chat("bounded", **tools), 429))["error"]
    assert error["code"] == "insufficient_quota"
    await asked(rig, rich.key, chat("bounded", **tools))


async def test_sound_that_the_usage_does_not_count_is_charged_as_sound(rig: Rig) -> None:
    token = await rig.token(USD)
    details = {"audio_tokens": 0, "image_tokens": 0}
    for usage in (
        {"prompt_tokens": 100, "completion_tokens": 0},
        {"prompt_tokens": 100, "completion_tokens": 10, "completion_tokens_details": details},
    ):
        rig.upstream.answer("kinds", Echo(usage=usage))
        await asked(rig, token.key, chat("kinds", text=[SOUND]))
    rows = await rig.ledger()
    assert [row["amount"] for row in rows] == [3000 * 1000, 3100 * 1000]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "lie",
    [
        {"prompt_tokens": 5, "completion_tokens": True},
        {"prompt_tokens": None, "completion_tokens": 3},
        {"completion_tokens": 3},
        {"prompt_tokens": 5},
        {**KINDS, "completion_tokens": 20},
        {**KINDS, "total_tokens": 2 * 10**12},
        {**KINDS, "prompt_tokens_details": {"audio_tokens": "20"}},
    ],
)
async def test_nonsense_is_charged_as_an_estimate_and_flagged(
    rig: Rig, lie: dict[str, Any], stream: bool
) -> None:
    token = await rig.token(USD)
    rig.upstream.answer("m", Echo(usage=lie))
    body = chat(stream=stream, max_tokens=100)
    async with rig.post(token.key, body) as answer:
        assert answer.status == 200
        await answer.read()
    (row,) = await rig.ledger()
    assert (row["estimated"], row["anomaly"]) == (True, "bad_usage")
    assert 0 < row["amount"] <= len(json.dumps(body)) * 1000 + 100 * 10_000


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 2**63}, "max_tokens"),
        ({"max_completion_tokens": 1e3}, "max_completion_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"n": 10**9}, "n"),
    ],
)
async def test_absurd_counts_are_refused_with_the_member_named(
    rig: Rig, members: dict[str, Any], param: str
) -> None:
    token = await rig.token()
    error = (await asked(rig, token.key, chat(**members), 400))["error"]
    assert (error["code"], error["param"]) == ("invalid_request", param)
    assert not rig.upstream.requests


async def test_a_model_without_a_price_is_refused_to_a_cap_and_free_without_one(rig: Rig) -> None:
    capped, free = await rig.token(USD), await rig.token()
    error = (await asked(rig, capped.key, chat("unpriced"), 400))["error"]
    assert error["code"] == "model_not_priced"
    await asked(rig, free.key, chat("unpriced"))
    (row,) = await rig.ledger()
    assert (row["amount"], row["price_version"]) == (0, 0)
