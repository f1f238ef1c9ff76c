"""Callers that never stop: plain calls and streams, each unique, each answer compared whole."""

import asyncio
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import aiohttp

INPUT_NUSD, OUTPUT_NUSD = 1_000, 10_000  # of a token: tests/rolling/replicas.py
OUTPUT_TOKENS = 7  # of an echo


@dataclass
class Load:
    """What became of the calls through the front at `url`: charges by request id, and what was wrong with others."""

    url: str
    key: str
    charges: dict[str, int] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)
    _numbers: Any = field(default_factory=count)

    @property
    def answered(self) -> int:
        """How many calls had the whole of their answer."""
        return len(self.charges)

    async def run(self, stop: asyncio.Event, *, plain: int, streams: int) -> None:
        """Call until `stop`, on kept connections."""
        async with self._session() as session, asyncio.TaskGroup() as group:
            for number in range(plain + streams):
                group.create_task(self._caller(session, stop, streams=number < streams))

    async def one_stream(self, model: str) -> None:
        """A stream on a connection of its own."""
        async with self._session() as session:
            await self._stream(session, model)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def _caller(
        self, session: aiohttp.ClientSession, stop: asyncio.Event, *, streams: bool
    ) -> None:
        while not stop.is_set():
            await (self._stream if streams else self._plain)(session)

    def _body(self, **members: Any) -> bytes:
        message = {"role": "user", "content": f"call {next(self._numbers)}"}
        return json.dumps(
            {"model": "m", "messages": [message], "max_tokens": 50, **members}
        ).encode()

    async def _plain(self, session: aiohttp.ClientSession) -> None:
        body = self._body()
        answered = await self._ask(session, body)
        if answered is None:
            return
        request_id, data = answered
        answer = json.loads(data)
        text = answer["choices"][0]["message"]["content"]
        self._note(request_id, body, text, answer["usage"])

    async def _stream(self, session: aiohttp.ClientSession, model: str = "m") -> None:
        body = self._body(model=model, stream=True, stream_options={"include_usage": True})
        answered = await self._ask(session, body)
        if answered is None:
            return
        request_id, data = answered
        *events, last, rest = data.decode().split("\n\n")
        if (last, rest) != ("data: [DONE]", ""):
            self.wrong[f"a stream ended with {last[:80]!r}"] += 1
            return
        chunks = [json.loads(event.removeprefix("data: ")) for event in events]
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
        self._note(
            request_id,
            body,
            "".join(each.get("content") or "" for each in deltas),
            chunks[-1]["usage"],
        )

    async def _ask(self, session: aiohttp.ClientSession, body: bytes) -> tuple[str, bytes] | None:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        try:
            async with session.post(
                self.url + "/v1/chat/completions", data=body, headers=headers
            ) as answer:
                data = await answer.read()
                if answer.status == 200:
                    return answer.headers["x-request-id"], data
                self.wrong[f"status {answer.status}: {data[:120]!r}"] += 1
        except aiohttp.ClientError as error:
            self.wrong[repr(error)] += 1
        return None

    def _note(self, request_id: str, body: bytes, text: str, usage: dict[str, int]) -> None:
        if text != hashlib.sha256(body).hexdigest():
            self.wrong["an answer was another call's"] += 1
            return
        assert usage["completion_tokens"] == OUTPUT_TOKENS
        charge = usage["prompt_tokens"] * INPUT_NUSD + usage["completion_tokens"] * OUTPUT_NUSD
        self.charges[request_id] = charge
