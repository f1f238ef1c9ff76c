"""A name that stands for several models: the first that can be had answers, at its own price."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.rig import PRICED, USD, Rig, chat, running_rig
from tests.upstream import Answer, Echo, Turns, refuse


def configure(members: dict[str, Any]) -> None:
    members["models"] = [
        {"name": "first", **PRICED},
        {"name": "second", **PRICED, "output_usd_per_mtok": 90, "max_output_tokens": 500},
        {"name": "best", "members": ["first", "second"]},
    ]


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


def asked_for(rig: Rig) -> list[str]:
    return [json.loads(received.body)["model"] for received in rig.upstream.requests]


async def test_the_first_answers_while_it_can_at_its_own_price(rig: Rig):
    token = await rig.token(USD)
    declined = refuse(503)
    rig.upstream.answer("first", Turns((Echo(), declined)))
    for _ in range(2):
        async with rig.post(token.key, chat("best")) as answer:
            assert answer.status == 200
    assert asked_for(rig) == ["first", "first", "second"]
    own, others = await rig.ledger()
    assert [row["model"] for row in (own, others)] == ["best", "best"]
    inputs, outputs = own["input_tokens"], own["output_tokens"]
    assert own["amount"] == inputs * 1_000 + outputs * 10_000
    assert others["amount"] == inputs * 1_000 + outputs * 90_000


async def test_what_the_dearest_may_cost_is_held(rig: Rig):
    body = chat("best", max_tokens=100)
    enough = len(json.dumps(body).encode()) * 1_000 + 100 * 90_000
    poor, rich = await rig.token(enough - 100 * 1_000), await rig.token(enough)
    async with rig.post(poor.key, body) as answer:
        assert answer.status == 429
    async with rig.post(rich.key, body) as answer:
        assert answer.status == 200


async def test_a_token_calls_those_that_its_list_names(rig: Rig):
    both = await rig.token(USD, models=("best",), models_enabled=True)
    one = await rig.token(USD, models=("best", "second"), models_enabled=True)
    none = await rig.token(USD, models=("first",), models_enabled=True)
    for token, status in ((both, 200), (one, 200), (none, 403)):
        async with rig.post(token.key, chat("best")) as answer:
            assert answer.status == status
    assert asked_for(rig) == ["first", "second"]
    headers = {"authorization": f"Bearer {both.key}"}
    async with rig.session.get(rig.url + "/v1/models", headers=headers) as answer:
        assert [model["id"] for model in (await answer.json())["data"]] == ["best"]


async def test_a_group_of_groups_charges_at_the_ratio_of_the_one_that_serves(
    postgres_dsn, valkey_url
):
    def several(members: dict[str, Any]) -> None:
        configure(members)
        url = members["upstreams"][0]["base_url"]
        members["upstreams"] = [
            {"name": "some", "base_url": url, "models": ["first"]},
            {"name": "others", "base_url": url, "models": ["second"]},
        ]
        members["groups"] = {
            "cheap": {"upstreams": ["some"], "ratio": 0.5},
            "dear": {"upstreams": ["others"], "ratio": 3},
            "auto": {"groups": ["cheap", "dear"]},
        }

    async with running_rig(postgres_dsn, valkey_url, several) as rig:
        token = await rig.token(USD, group="auto")
        for model in ("first", "second"):
            async with rig.post(token.key, chat(model)) as answer:
                assert answer.status == 200
        cheap, dear = await rig.ledger()
        assert cheap["amount"] == (cheap["input_tokens"] * 1_000 + 7 * 10_000) // 2
        assert dear["amount"] == (dear["input_tokens"] * 1_000 + 7 * 90_000) * 3
        assert cheap["group_id"] == dear["group_id"]


async def test_an_error_that_is_no_decline_is_passed_on(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("first", Answer((b'{"error":{"message":"no"}}',), status=400))
    async with rig.post(token.key, chat("best")) as answer:
        assert answer.status == 400
    assert asked_for(rig) == ["first"]
