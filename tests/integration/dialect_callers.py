"""The official SDKs as one interface, so that a test can say the same with each. What they raise is their own."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple, Self

import anthropic
import openai
from google import genai
from google.genai import types

PIXEL_BASE64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PIXEL = base64.b64decode(PIXEL_BASE64)
PIXEL_URL = f"data:image/png;base64,{PIXEL_BASE64}"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
QUESTION = "How is the weather in Bern?"
RESULT = "seven degrees"


class Said(NamedTuple):
    """An answer: its text, the calls of tools in it as name and arguments, and what it says was used."""

    text: str
    calls: list[tuple[str, Any]]
    input_tokens: int
    output_tokens: int
    raw: Any = None


class Caller:
    """A client with a key. `image`, `schema` and `tools` are said with the SDK's own types."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._key = url, key
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


class OpenAI(Caller):
    """OpenAI's client."""

    dialect = "openai"
    error = openai.APIStatusError

    async def __aenter__(self) -> Self:
        client = openai.AsyncOpenAI(api_key=self._key, base_url=f"{self._url}/v1", max_retries=0)
        self.client = await self._stack.enter_async_context(client)
        return self


class Chat(OpenAI):
    """With chat completions."""

    async def say(self, model: str, text: str = QUESTION, **more: Any) -> Said:
        return self._read(
            await self.client.chat.completions.create(**self._asked(model, text, **more))
        )

    async def hear(self, model: str, text: str = QUESTION, **more: Any) -> Said:
        asked = self._asked(model, text, **more)
        options = {"include_usage": True}
        async with self.client.chat.completions.stream(stream_options=options, **asked) as stream:
            async for _ in stream:
                pass
            return self._read(await stream.get_final_completion())

    async def go_on(self, model: str, said: Said) -> Said:
        message = said.raw.choices[0].message
        results = [
            {"role": "tool", "tool_call_id": call.id, "content": RESULT}
            for call in message.tool_calls
        ]
        asked = self._asked(model, QUESTION, tools=True)
        asked["messages"] += [message.model_dump(exclude_none=True), *results]
        return self._read(await self.client.chat.completions.create(**asked))

    def _asked(
        self,
        model: str,
        text: str,
        *,
        image: bool = False,
        schema: bool = False,
        tools: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        content: Any = text
        if image:
            content = [
                {"type": "text", "text": text},
                {"type": "image_url", "image_url": {"url": PIXEL_URL}},
            ]
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": content},
        ]
        asked: dict[str, Any] = {"model": model, "messages": messages, "max_tokens": 50, **more}
        if schema:
            asked["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "place", "schema": SCHEMA, "strict": True},
            }
        if tools:
            function = {
                "name": "weather",
                "description": "Of a city.",
                "parameters": SCHEMA,
                "strict": True,
            }
            asked["tools"] = [{"type": "function", "function": function}]
        return asked

    def _read(self, answer: Any) -> Said:
        message = answer.choices[0].message
        calls = [
            (call.function.name, json.loads(call.function.arguments))
            for call in message.tool_calls or []
        ]
        usage = answer.usage
        return Said(
            message.content or "", calls, usage.prompt_tokens, usage.completion_tokens, answer
        )


class Responses(OpenAI):
    """With responses."""

    async def say(self, model: str, text: str = QUESTION, **more: Any) -> Said:
        return self._read(await self.client.responses.create(**self._asked(model, text, **more)))

    async def hear(self, model: str, text: str = QUESTION, **more: Any) -> Said:
        async with self.client.responses.stream(**self._asked(model, text, **more)) as stream:
            async for _ in stream:
                pass
            return self._read(await stream.get_final_response())

    async def go_on(self, model: str, said: Said) -> Said:
        asked = self._asked(model, QUESTION, tools=True)
        for item in said.raw.output:
            asked["input"].append(
                item.model_dump(exclude_none=True, exclude={"parsed_arguments", "status"})
            )
            if item.type == "function_call":
                asked["input"].append(
                    {"type": "function_call_output", "call_id": item.call_id, "output": RESULT}
                )
        return self._read(await self.client.responses.create(**asked))

    def _asked(
        self,
        model: str,
        text: str,
        *,
        image: bool = False,
        schema: bool = False,
        tools: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        content: list[Any] = [{"type": "input_text", "text": text}]
        if image:
            content.append({"type": "input_image", "image_url": PIXEL_URL, "detail": "auto"})
        asked: dict[str, Any] = {
            "model": model,
            "instructions": "Be brief.",
            "input": [{"role": "user", "content": content}],
            "max_output_tokens": 50,
            "store": False,
            **more,
        }
        if schema:
            asked["text"] = {
                "format": {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}
            }
        if tools:
            function = {"type": "function", "name": "weather", "description": "Of a city."}
            asked["tools"] = [{**function, "parameters": SCHEMA, "strict": True}]
        return asked

    def _read(self, answer: Any) -> Said:
        calls = [
            (item.name, json.loads(item.arguments))
            for item in answer.output
            if item.type == "function_call"
        ]
        usage = answer.usage
        return Said(answer.output_text, calls, usage.input_tokens, usage.output_tokens, answer)


class Messages(Caller):
    """Anthropic's."""

    dialect = "anthropic"
    error = anthropic.APIStatusError

    async def __aenter__(self) -> Self:
        client = anthropic.AsyncAnthropic(api_key=self._key, base_url=self._url, max_retries=0)
        self.client = await self._stack.enter_async_context(client)
        return self

    async def say(self, model: str, text: str = QUESTION, **more: Any) -> Said:
        return self._read(await self.client.messages.create(**self._asked(model, text, **more)))

    async def hear(self, model: str, text: str = QUESTION, **more: Any) -> Said:
        async with self.client.messages.stream(**self._asked(model, text, **more)) as stream:
            return self._read(await stream.get_final_message())

    async def go_on(self, model: str, said: Said) -> Said:
        results = [
            {"type": "tool_result", "tool_use_id": block.id, "content": RESULT}
            for block in said.raw.content
            if block.type == "tool_use"
        ]
        asked = self._asked(model, QUESTION, tools=True)
        asked["messages"] += [
            {
                "role": "assistant",
                "content": [block.model_dump(exclude_none=True) for block in said.raw.content],
            },
            {"role": "user", "content": results},
        ]
        return self._read(await self.client.messages.create(**asked))

    def _asked(
        self,
        model: str,
        text: str,
        *,
        image: bool = False,
        schema: bool = False,
        tools: bool = False,
        **more: Any,
    ) -> dict[str, Any]:
        content: Any = text
        if image:
            source = {
                "type": "base64",
                "media_type": "image/png",
                "data": PIXEL_BASE64,
            }
            content = [{"type": "text", "text": text}, {"type": "image", "source": source}]
        asked: dict[str, Any] = {
            "model": model,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 50,
            **more,
        }
        if schema:
            asked["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        if tools:
            asked["tools"] = [
                {"name": "weather", "description": "Of a city.", "input_schema": SCHEMA}
            ]
        return asked

    def _read(self, answer: Any) -> Said:
        text = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
        usage = answer.usage
        read = usage.cache_read_input_tokens or 0
        return Said(text, calls, usage.input_tokens + read, usage.output_tokens, answer)


class Contents(Caller):
    """Google's."""

    dialect = "gemini"
    error = genai.errors.APIError

    async def __aenter__(self) -> Self:
        options = types.HttpOptions(base_url=self._url)
        self.client = genai.Client(api_key=self._key, http_options=options)
        self._stack.push_async_callback(self.client.aio.aclose)
        return self

    async def say(self, model: str, text: str = QUESTION, **more: Any) -> Said:
        contents, config = self._asked(text, **more)
        return self._read(
            [
                await self.client.aio.models.generate_content(
                    model=model, contents=contents, config=config
                )
            ]
        )

    async def hear(self, model: str, text: str = QUESTION, **more: Any) -> Said:
        contents, config = self._asked(text, **more)
        stream: AsyncIterator[Any] = await self.client.aio.models.generate_content_stream(
            model=model, contents=contents, config=config
        )
        return self._read([answer async for answer in stream])

    async def go_on(self, model: str, said: Said) -> Said:
        contents, config = self._asked(QUESTION, tools=True)
        content = said.raw.candidates[0].content
        answers = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=part.function_call.id,
                    name=part.function_call.name,
                    response={"result": RESULT},
                )
            )
            for part in content.parts
            if part.function_call
        ]
        contents = [*contents, content, types.Content(role="user", parts=answers)]
        return self._read(
            [
                await self.client.aio.models.generate_content(
                    model=model, contents=contents, config=config
                )
            ]
        )

    def _asked(
        self,
        text: str,
        *,
        image: bool = False,
        schema: bool = False,
        tools: bool = False,
        **more: Any,
    ) -> tuple[list[Any], types.GenerateContentConfig]:
        parts = [types.Part(text=text)]
        if image:
            parts.append(types.Part.from_bytes(data=PIXEL, mime_type="image/png"))
        settings: dict[str, Any] = {
            "system_instruction": "Be brief.",
            "max_output_tokens": 50,
            **more,
        }
        if schema:
            settings |= {"response_mime_type": "application/json", "response_json_schema": SCHEMA}
        if tools:
            weather = types.FunctionDeclaration(
                name="weather", description="Of a city.", parameters_json_schema=SCHEMA
            )
            off = types.AutomaticFunctionCallingConfig(disable=True)
            settings |= {
                "tools": [types.Tool(function_declarations=[weather])],
                "automatic_function_calling": off,
            }
        return [types.Content(role="user", parts=parts)], types.GenerateContentConfig(**settings)

    def _read(self, answers: list[Any]) -> Said:
        parts = [
            part
            for answer in answers
            for candidate in answer.candidates or []
            for part in (candidate.content.parts if candidate.content else None) or []
        ]
        text = "".join(part.text for part in parts if part.text and not part.thought)
        calls = [(p.function_call.name, p.function_call.args) for p in parts if p.function_call]
        usage = answers[-1].usage_metadata
        output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        return Said(text, calls, usage.prompt_token_count, output, answers[-1])
