"""Clients besides the official Python SDKs: LangChain, the `llm` command, the Node SDK. `make clients` runs them."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from tests.integration.rig import PRICED, USD, Rig, running_rig
from tests.upstream import CUT, Answer, Echo, Turns, refuse

NODE_SDK = "openai@7.57.0"
NODE_PACKAGES = Path(__file__).parents[2] / ".venv" / "node"
CALLED = {
    "id": "c-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city": "Bern"}'},
                    }
                ],
            },
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11},
}


def configure(members: dict[str, Any]) -> None:
    members["models"] += [{"name": name, **PRICED} for name in ("twice", "cut")]


@pytest.fixture
async def rig(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


@pytest.fixture
async def key(rig: Rig) -> str:
    return (await rig.token(USD)).key


@pytest.fixture
async def make_chat(rig: Rig, key: str) -> AsyncIterator[Callable[..., ChatOpenAI]]:
    """LangChain's client for a model; it leaves connections open that nobody else closes."""
    made = []

    def make(model: str, **options: Any) -> ChatOpenAI:
        options = {"api_key": key, "max_retries": 0, **options}
        made.append(ChatOpenAI(model=model, base_url=f"{rig.url}/v1", **options))
        return made[-1]

    yield make
    for each in made:
        await each.root_async_client.close()
        each.root_client.close()


async def output_of(*command: str | Path, **environment: str) -> str:
    """What a command printed; its errors are the test's where it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


async def test_langchain_is_answered_and_streams(rig: Rig, make_chat):
    chat = make_chat("m")
    answer = await chat.ainvoke("Hello there")
    assert len(answer.content) == 64
    assert answer.usage_metadata["total_tokens"] == 9
    parts = [part.content async for part in chat.astream("Hello there")]
    assert len("".join(parts)) == 64
    assert [row["amount"] for row in await rig.ledger()] == [2 * 1_000 + 7 * 10_000] * 2


async def test_langchain_calls_tools(rig: Rig, make_chat):
    def weather(city: str) -> str:
        """The weather of a city."""
        return city

    rig.upstream.answer("m", Turns((Answer((json.dumps(CALLED).encode(),)), Echo())))
    with_tools = make_chat("m").bind_tools([weather])
    asked = HumanMessage("How is the weather in Bern?")
    called = await with_tools.ainvoke([asked])
    assert isinstance(called, AIMessage)
    (tool_call,) = called.tool_calls
    assert tool_call["args"] == {"city": "Bern"}
    answer = await with_tools.ainvoke([asked, called, ToolMessage("7 °C", tool_call_id="call_1")])
    assert answer.content


async def test_langchain_repeats_and_tells_errors(rig: Rig, make_chat):
    declined = refuse(503, headers=(("retry-after-ms", "1"),))
    rig.upstream.answer("twice", Turns((declined, Echo())))
    assert (await make_chat("twice", max_retries=2).ainvoke("Hello")).content
    rig.upstream.answer("cut", Echo().after(3, CUT))
    cut = make_chat("cut")
    with pytest.raises(openai.APIError, match="upstream"):
        [part async for part in cut.astream("Hello")]
    stranger = make_chat("m", api_key="sk-wrong")
    with pytest.raises(openai.AuthenticationError):
        await stranger.ainvoke("Hello")


async def test_the_llm_command_is_answered(rig: Rig, key: str, tmp_path: Path):
    models = [
        {
            "model_id": "ours",
            "model_name": "m",
            "api_base": f"{rig.url}/v1",
            "api_key_name": "ours",
        }
    ]
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(models))  # JSON is YAML
    command = (sys.executable, "-m", "llm", "-m", "ours", "--key", key)
    for options in ((), ("--no-stream",)):
        said = await output_of(*command, *options, "Hello there", LLM_USER_PATH=str(tmp_path))
        assert len(said.strip()) == 64
    assert len(await rig.ledger()) == 2


async def test_the_node_sdk_is_answered(rig: Rig, key: str):
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("needs Node.js 20 or newer, with npm")
    if not (NODE_PACKAGES / "node_modules/openai/package.json").exists():
        await output_of(
            "npm", "install", "--silent", "--no-package-lock", "--prefix", NODE_PACKAGES, NODE_SDK
        )
    script = NODE_PACKAGES / "openai.mjs"
    shutil.copy(Path(__file__).with_name("openai.mjs"), script)
    declined = refuse(503, headers=(("retry-after-ms", "1"),))
    rig.upstream.answer("twice", Turns((declined, Echo())))
    rig.upstream.answer("cut", Echo().after(3, CUT))
    got = json.loads(await output_of("node", script, f"{rig.url}/v1", key))
    assert len(got["whole"]) == len(got["streamed"]) == 64
    assert (got["tokens"], got["repeated"]) == (9, True)
    assert got["models"] == ["cut", "m", "twice", "unpriced"]
    assert got["cut"]["name"] == "APIError"
    assert got["stranger"] == {
        "name": "AuthenticationError",
        "status": 401,
        "code": "invalid_api_key",
    }
