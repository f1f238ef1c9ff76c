"""Spans as a collector gets them, read with OpenTelemetry's own definition of OTLP, and `traceparent` both ways."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from bench.servers import free_port
from tests.integration.rig import USD, Rig, chat, running, running_rig, until
from tests.upstream import NO_ANSWER, ScriptedUpstream, refuse

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "Nobody may read this."


class Collector:
    """Takes spans; `statuses` are what it answers first."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.headers: list[Any] = []
        self.bodies: list[bytes] = []
        self.statuses: list[int] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers.append(request.headers)
        self.bodies.append(body)
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return web.Response(status=status)
        read = ParseDict(_as_protobuf_has_it(json.loads(body)), ExportTraceServiceRequest())
        for resource in read.resource_spans:
            assert attributes(resource.resource)["service.name"] == "tollhouse"
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.json_response({})

    def named(self, attribute: str) -> list[Span]:
        return [span for span in self.spans if attribute in attributes(span)]


def _as_protobuf_has_it(value: Any) -> Any:
    """OTLP's JSON has ids in hexadecimal, where JSON of protobuf has base64 for all bytes."""
    if isinstance(value, list):
        return [_as_protobuf_has_it(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(of)).decode()
        if name in {"traceId", "spanId", "parentSpanId"}
        else _as_protobuf_has_it(of)
        for name, of in value.items()
    }


def attributes(of: Any) -> dict[str, Any]:
    found = {}
    for each in of.attributes:
        kind = each.value.WhichOneof("value")
        found[each.key] = getattr(each.value, kind)
    return found


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


@asynccontextmanager
async def traced(
    postgres_dsn: str,
    valkey_url: str,
    endpoint: str,
    *others: ScriptedUpstream,
    ratio: float = 1,
    log: Path | None = None,
) -> AsyncIterator[Rig]:
    def configure(members: dict[str, Any]) -> None:
        members["traces"] = {"otlp_endpoint": endpoint, "ratio": ratio}
        members["upstreams"] += [
            {"name": f"u{n}", "base_url": each.base_url, "models": ["*"], "priority": n}
            for n, each in enumerate(others, 1)
        ]
        if log is not None:
            members["log"] = {"access": str(log)}

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        yield rig


async def called(rig: Rig, key: str, body: Any, **headers: str) -> int:
    async with rig.post(key, body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def test_a_call_is_a_span_below_its_callers_and_each_attempt_one_below_it(
    postgres_dsn, valkey_url, tmp_path
):
    log = tmp_path / "access.log"
    async with collecting() as collector, ScriptedUpstream() as second:
        async with traced(postgres_dsn, valkey_url, collector.url, second, log=log) as rig:
            token = await rig.token(USD)
            rig.upstream.answer("m", refuse(503))
            sent = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1"}
            assert await called(rig, token.key, chat(text=SECRET), **sent) == 200
            await rig.quiet()
            (row,) = await rig.ledger()
        upstreams = [rig.upstream.requests[0], second.requests[0]]
    (line,) = [json.loads(each) for each in log.read_text().splitlines()]
    assert line["trace_id"] == TRACE
    (call,) = collector.named("tollhouse.request_id")
    first, other = sorted(
        collector.named("server.address"), key=lambda span: span.start_time_unix_nano
    )
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert call.parent_span_id.hex() == SPAN
    assert (call.name, call.kind, other.kind) == (
        "chat m",
        Span.SPAN_KIND_SERVER,
        Span.SPAN_KIND_CLIENT,
    )
    told = attributes(call)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "openai"
    assert told["gen_ai.request.model"] == "m"
    assert told["gen_ai.usage.input_tokens"] == row["input_tokens"]
    assert told["gen_ai.usage.output_tokens"] == row["output_tokens"]
    assert told["tollhouse.cost_nusd"] == row["amount"]
    assert told["tollhouse.upstream"] == "u1"
    assert told["http.response.status_code"] == 200
    assert "error.type" not in told
    for attempt, upstream, sent_to in zip(
        (first, other), ("scripted", "u1"), upstreams, strict=True
    ):
        assert attributes(attempt)["tollhouse.upstream"] == upstream
        assert attempt.parent_span_id == call.span_id
        assert sent_to.header("traceparent") == f"00-{TRACE}-{attempt.span_id.hex()}-01"
        assert sent_to.header("tracestate") == "a=1"
        assert call.start_time_unix_nano <= attempt.start_time_unix_nano
        assert attempt.start_time_unix_nano <= attempt.end_time_unix_nano
    assert attributes(first)["http.response.status_code"] == 503
    assert first.status.code == Status.STATUS_CODE_ERROR
    assert other.status.code == Status.STATUS_CODE_UNSET
    assert rig.gateway.tracer.exported == len(collector.spans) == 3
    everything = b"".join(collector.bodies)
    assert SECRET.encode() not in everything
    assert token.key.encode() not in everything


async def test_refusals_and_failures_are_spans_with_their_reason(
    postgres_dsn, valkey_url, tmp_path
):
    log = tmp_path / "access.log"
    async with (
        collecting() as collector,
        traced(postgres_dsn, valkey_url, collector.url, log=log) as rig,
    ):
        token, poor = await rig.token(USD), await rig.token(1)
        assert await called(rig, "sk-wrong", chat()) == 401
        assert await called(rig, poor.key, chat()) == 429
        rig.upstream.answer("m", refuse(500))
        assert await called(rig, token.key, chat()) == 500
        await rig.quiet()
    lines = [json.loads(each) for each in log.read_text().splitlines()]
    assert [line["trace_id"] for line in lines] == [line["request_id"] for line in lines]
    assert [line.get("reason") for line in lines] == ["invalid_api_key", "insufficient_quota", None]
    assert [line["route"] for line in lines] == ["chat_completions"] * 3
    assert [line.get("model") for line in lines] == [None, "m", "m"]
    calls = collector.named("tollhouse.request_id")
    errors = {attributes(each)["error.type"]: each for each in calls}
    assert {*errors} == {"invalid_api_key", "insufficient_quota", "500"}
    for each in calls:
        told = attributes(each)
        assert each.trace_id.hex() == told["tollhouse.request_id"]
        assert not each.parent_span_id
        is_fault = told["http.response.status_code"] >= 500
        assert (each.status.code == Status.STATUS_CODE_ERROR) == is_fault


@pytest.mark.parametrize("flag", ["00", None], ids=["the caller decided so", "by ratio"])
async def test_a_call_that_is_not_sampled_has_no_span_and_its_callers_own_headers(
    postgres_dsn, valkey_url, flag
):
    sent = {} if flag is None else {"traceparent": f"00-{TRACE}-{SPAN}-{flag}"}
    async with collecting() as collector:
        async with traced(postgres_dsn, valkey_url, collector.url, ratio=0) as rig:
            token = await rig.token()
            assert await called(rig, token.key, chat(), **sent) == 200
            await rig.quiet()
        assert rig.upstream.requests[0].header("traceparent") == sent.get("traceparent")
        assert not collector.bodies


async def test_without_traces_the_callers_trace_stands_in_the_log_and_passes_as_it_came(
    postgres_dsn, valkey_url, tmp_path
):
    log = tmp_path / "access.log"
    sent = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
    async with traced(postgres_dsn, valkey_url, "", log=log) as rig:
        token = await rig.token()
        rig.upstream.answer("m", NO_ANSWER)
        assert await called(rig, token.key, chat(), **sent) == 502
        await rig.quiet()
    lines = [json.loads(each) for each in log.read_text().splitlines()]
    assert [(each["event"], each["trace_id"], each["reason"]) for each in lines] == [
        ("call", TRACE, "upstream_error"),
        ("refusal", TRACE, "upstream_error"),
    ]
    assert rig.upstream.requests[0].header("traceparent") == sent["traceparent"]


async def test_a_collector_that_is_busy_gets_the_spans_later_and_one_that_declines_them_not(
    postgres_dsn, valkey_url
):
    async with collecting() as collector:
        collector.statuses = [503]
        async with traced(postgres_dsn, valkey_url, collector.url) as rig:
            token = await rig.token()
            assert await called(rig, token.key, chat()) == 200
            async with asyncio.timeout(30):
                await until(lambda: len(collector.spans) == 2)
            assert len(collector.bodies) == 2
            assert collector.bodies[0] == collector.bodies[1]
            collector.statuses = [400]
            assert await called(rig, token.key, chat()) == 200
            async with asyncio.timeout(30):
                await until(lambda: rig.gateway.tracer.dropped == 2)
        assert rig.gateway.tracer.exported == 2


async def test_without_a_collector_calls_go_on_and_spans_beyond_the_queue_are_counted(
    postgres_dsn, valkey_url, monkeypatch, caplog
):
    monkeypatch.setattr("gateway.relay.spans._MOST_CALLS", 2)
    endpoint = f"http://127.0.0.1:{free_port()}"
    async with traced(postgres_dsn, valkey_url, endpoint) as rig:
        token = await rig.token()
        for _ in range(5):
            assert await called(rig, token.key, chat()) == 200
        async with asyncio.timeout(30):
            await until(lambda: "does not take them" in caplog.text)
        tracer = rig.gateway.tracer
        assert (tracer.exported, tracer.dropped) == (0, 6)
        assert len(tracer._calls) == 2
    assert caplog.text.count("does not take them") == 1


async def test_headers_for_the_collector_go_to_it_alone(postgres_dsn, valkey_url):
    own = {"authorization": "Basic abc"}

    def configure(members: dict[str, Any]) -> None:
        members["traces"] = {"otlp_endpoint": f"{collector.url}/v1/traces", "ratio": 1}

    async with collecting() as collector, ScriptedUpstream() as upstream:
        async with running(postgres_dsn, valkey_url, upstream, configure, trace_headers=own) as rig:
            token = await rig.token()
            assert await called(rig, token.key, chat()) == 200
        assert len(collector.spans) == 2
        assert collector.headers[0]["authorization"] == "Basic abc"
        assert upstream.requests[0].header("authorization") != "Basic abc"
