"""Every official SDK reaches every upstream dialect: what it asks arrives, and the same answer costs the same."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration import dialect_answers as answers
from tests.integration.dialect_callers import (
    PIXEL,
    RESULT,
    SCHEMA,
    Caller,
    Chat,
    Contents,
    Messages,
    Responses,
)
from tests.integration.rig import PRICED, USD, Rig, running_rig
from tests.upstream import Turns

# Google's own client does so.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession")

DIALECTS = ("openai", "anthropic", "gemini")
CALLERS: tuple[type[Caller], ...] = (Chat, Responses, Messages, Contents)
PAIRS = [
    pytest.param(caller, dialect, id=f"{caller.__name__.lower()}-{dialect}")
    for caller in CALLERS
    for dialect in DIALECTS
    if (caller, dialect)
    != (Responses, "openai")  # passed on as it is, to what no script here answers
]
IMAGE = base64.b64encode(PIXEL).decode()
COST = (answers.INPUT - answers.CACHED) * 1_000 + answers.CACHED * 100 + answers.OUTPUT * 10_000


def configure(members: dict[str, Any]) -> None:
    url = members["upstreams"][0]["base_url"]
    members["models"] += [
        {"name": f"at-{dialect}", **PRICED, "cached_input_usd_per_mtok": 0.1}
        for dialect in DIALECTS
    ]
    members["upstreams"] = [
        {
            "name": dialect,
            "dialect": dialect,
            "base_url": url.removesuffix("/v1") + "/v1beta" if dialect == "gemini" else url,
            "models": {f"at-{dialect}": "real"},
        }
        for dialect in DIALECTS
    ]


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


async def caller_of(rig: Rig, kind: type[Caller]) -> Any:
    token = await rig.token(USD)
    return kind(rig.url, token.key)


def received(rig: Rig) -> Any:
    """The last body that the upstream got."""
    return json.loads(rig.upstream.requests[-1].body)


@pytest.mark.parametrize(("kind", "dialect"), PAIRS)
async def test_answers_streams_tools_pictures_and_faults_cross_and_cost_the_same(
    rig: Rig, kind: type[Caller], dialect: str
):
    model, script = f"at-{dialect}", rig.upstream.answer
    async with await caller_of(rig, kind) as caller:
        script("real", answers.whole(dialect))
        said = await caller.say(model)
        assert (said.text, said.calls) == (answers.TEXT, [])
        assert (said.input_tokens, said.output_tokens) == (answers.INPUT, answers.OUTPUT)
        asked = json.dumps(received(rig), ensure_ascii=False)
        assert "Be brief." in asked
        assert "weather in Bern" in asked

        script("real", answers.events(dialect))
        said = await caller.hear(model)
        assert (said.text, said.calls) == (answers.TEXT, [])
        assert (said.input_tokens, said.output_tokens) == (answers.INPUT, answers.OUTPUT)

        script("real", Turns((answers.whole(dialect, calls=True), answers.whole(dialect))))
        said = await caller.say(model, tools=True)
        assert said.calls == [answers.CALL]
        declared = json.dumps(received(rig))
        assert '"weather"' in declared
        assert "Of a city." in declared
        assert json.dumps(SCHEMA["properties"]) in declared
        assert (await caller.go_on(model, said)).text == answers.TEXT
        assert RESULT in json.dumps(received(rig), ensure_ascii=False)

        script("real", answers.events(dialect, calls=True))
        assert (await caller.hear(model, tools=True)).calls == [answers.CALL]

        script("real", answers.whole(dialect))
        await caller.say(model, image=True)
        # Google's own client writes base64 for URLs, and its dialect takes either.
        sent = json.dumps(received(rig)).replace("-", "+").replace("_", "/")
        assert IMAGE in sent
        await caller.say(model, schema=True)
        assert json.dumps(SCHEMA["required"]) in json.dumps(received(rig))

        script("real", answers.fault(dialect))
        with pytest.raises(caller.error, match="that is no picture"):
            await caller.say(model)
    rows = await rig.ledger()
    assert [row["amount"] for row in rows] == [COST] * 7 + [0]
    assert not any(row["estimated"] or row["anomaly"] for row in rows)
    assert {row["upstream"] for row in rows} == {dialect}
    assert {row["dialect"] for row in rows} == {caller.dialect}
    figures = {(row["cached_input_tokens"], row["reasoning_tokens"]) for row in rows[:-1]}
    assert figures == {(answers.CACHED, answers.THOUGHTS)}
