"""What `/metrics` tells of calls, and that alerts and dashboard ask for nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from gateway.domain.families import FAMILIES, Kind
from gateway.domain.figures import Figure, merged
from gateway.domain.limits import Limit, Metric
from gateway.metrics import serve_metrics
from gateway.siblings import Siblings, tell_figures
from tests.documents import ROOT
from tests.integration.rig import USD, Rig, chat, running_rig, until
from tests.promql import PROMETHEUS_OWN, of_alerts, of_dashboard
from tests.upstream import CUT, Answer, Echo, Gate, refuse
from tests.wire import request, wire

OPEN_METRICS = {"Accept": "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;q=0.5"}


async def scraped(rig: Rig) -> list[Sample]:
    """A real answer of `/metrics`, as the reference library reads it."""

    async def own() -> list[Figure]:
        return merged([rig.gateway.figures()])

    async with (
        serve_metrics("127.0.0.1:0", own) as url,
        rig.session.get(url, headers=OPEN_METRICS) as answer,
    ):
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        text = await answer.text()
    return [sample for each in text_string_to_metric_families(text) for sample in each.samples]


def value(samples: list[Sample], name: str, **labels: str) -> float:
    """The sum over all that have these labels."""
    return sum(
        each.value
        for each in samples
        if each.name == name and labels.items() <= each.labels.items()
    )


async def answered(rig: Rig, key: str, body: Any, **options: Any) -> int:
    async with rig.post(key, body, **options) as answer:
        await answer.read()
        return answer.status


async def test_every_request_is_counted_once_by_what_became_of_it(rig: Rig):
    token, poor = await rig.token(USD), await rig.token(1)
    rig.upstream.answer("m", Echo())
    assert await answered(rig, token.key, chat()) == 200
    assert await answered(rig, token.key, chat(stream=True)) == 200
    assert await answered(rig, poor.key, chat()) == 429
    assert await answered(rig, "sk-wrong", chat()) == 401
    assert await answered(rig, token.key, chat(), path="/nowhere") == 404
    assert await answered(rig, token.key, chat("nobody has this")) != 200
    rig.upstream.answer("m", refuse(500))
    assert await answered(rig, token.key, chat()) == 500
    rig.upstream.answer("m", Answer(framing="raw", body=(b"garbage\r\n\r\n", CUT)))
    assert await answered(rig, token.key, chat()) == 502
    async with rig.session.get(
        rig.url + "/v1/models", headers={"Authorization": f"Bearer {token.key}"}
    ) as listed:
        assert listed.status == 200
    await rig.quiet()
    samples = await scraped(rig)
    requests = "tollhouse_requests_total"
    call = {"route": "chat_completions", "model": "m", "provider": "scripted"}
    assert value(samples, requests, **call, status="200", reason="") == 2
    assert value(samples, requests, **call, status="500") == 1
    assert value(samples, requests, **call, status="502", reason="upstream_error") == 1
    assert value(samples, requests, model="m", provider="", reason="insufficient_quota") == 1
    assert value(samples, requests, route="", status="404", reason="unknown_url") == 1
    assert value(samples, requests, route="models", status="200", reason="") == 1
    assert value(samples, requests) == 9
    assert value(samples, "tollhouse_request_duration_seconds_count") == 9
    assert not [each for each in samples if each.labels.get("model") == "nobody has this"]
    assert value(samples, "tollhouse_denied_total", reason="invalid_api_key") == 1
    assert value(samples, "tollhouse_denied_total", reason="upstream_error") == 0
    assert value(samples, "tollhouse_upstream_failures_total", provider="scripted") == 2
    assert value(samples, "tollhouse_overhead_seconds_count") == 4
    assert value(samples, "tollhouse_time_to_first_token_seconds_count", model="m") == 1
    rows = await rig.ledger()
    for kind in ("input", "output"):
        used = sum(row[f"{kind}_tokens"] for row in rows)
        assert value(samples, "tollhouse_tokens_total", type=kind) == used
        assert value(samples, "gen_ai_client_token_usage_sum", gen_ai_token_type=kind) == used
    assert value(samples, "tollhouse_cost_nusd_total") == sum(row["amount"] for row in rows)
    durations = "gen_ai_server_request_duration_seconds_count"
    assert value(samples, durations, gen_ai_operation_name="chat", error_type="") == 2
    assert value(samples, durations, error_type="500") == 1
    assert value(samples, durations, error_type="upstream_error") == 1


async def test_a_stream_that_breaks_off_and_a_caller_who_leaves_are_told_apart(rig: Rig):
    token = await rig.token(USD)
    rig.upstream.answer("m", Echo().after(2, CUT))
    assert await answered(rig, token.key, chat(stream=True)) == 200
    gate = Gate()
    rig.upstream.answer("m", Echo().first(gate))
    call = asyncio.create_task(answered(rig, token.key, chat()))
    await gate.waiting()
    call.cancel()
    await rig.quiet()
    samples = await scraped(rig)
    requests = "tollhouse_requests_total"
    assert value(samples, requests, status="200", reason="upstream_error") == 1
    assert value(samples, requests, status="499", reason="client_closed") == 1
    assert value(samples, requests) == 2


async def test_a_caller_who_leaves_before_anything_is_decided_is_counted(rig: Rig):
    token = await rig.token()
    async with rig.database.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE token_secret")
        async with wire(rig.url) as caller:
            caller.write(request(token.key, chat()))
            async with asyncio.timeout(20):
                await until(lambda: rig.gateway.handler._running == 1)
        await rig.gateway.handler.drain(20)
    samples = await scraped(rig)
    assert value(samples, "tollhouse_requests_total", status="499", reason="client_closed") == 1
    assert value(samples, "tollhouse_requests_total") == 1


async def test_running_calls_and_streams_are_told(rig: Rig):
    token = await rig.token(USD)
    gate = Gate()
    rig.upstream.answer("m", Echo().after(1, gate))
    calls = [asyncio.create_task(answered(rig, token.key, chat(stream=True))) for _ in range(2)]
    await gate.waiting(2)
    samples = await scraped(rig)
    assert value(samples, "tollhouse_active_calls") == 2
    assert value(samples, "tollhouse_active_streams") == 2
    gate.release()
    await asyncio.gather(*calls)
    await rig.quiet()
    assert value(await scraped(rig), "tollhouse_active_calls") == 0


async def test_keys_that_are_remembered_are_hits(rig: Rig):
    token = await rig.token()
    for _ in range(3):
        await answered(rig, token.key, chat())
    samples = await scraped(rig)
    assert value(samples, "tollhouse_key_cache_misses_total") == 1
    assert value(samples, "tollhouse_key_cache_hits_total") == 2
    assert value(samples, "tollhouse_key_cache_bytes") > 0


async def test_what_a_key_is_stands_in_no_figure(rig: Rig):
    token = await rig.token()
    await answered(rig, token.key, chat(token.key))
    await answered(rig, token.key, chat(), path=f"/v1/{token.key}")
    for each in await scraped(rig):
        assert token.key not in str(each)


async def test_workers_tell_each_other_through_their_sockets(rig: Rig, tmp_path):
    paths = [str(tmp_path / name) for name in ("0", "1", "2")]
    token = await rig.token()
    await answered(rig, token.key, chat())
    await rig.quiet()
    siblings = Siblings(lambda: paths)
    figures = rig.gateway.figures
    async with tell_figures(paths[0], figures):
        async with tell_figures(paths[1], figures):
            told = {each.name: each.values for each in await siblings.figures()}
            assert told["tollhouse_workers"] == {(): 2}, "the third is not there yet"
            assert sum(told["tollhouse_requests_total"].values()) == 2
        told = {each.name: each.values for each in await siblings.figures()}
        assert told["tollhouse_workers"] == {(): 1}
        assert sum(told["tollhouse_requests_total"].values()) == 2, "what it had counted stays"


# Alerts and dashboard

FILES = {
    "prometheus/alerts.yaml": of_alerts,
    "grafana/dashboard.json": of_dashboard,
}


@asynccontextmanager
async def everything(postgres_dsn: str, valkey_url: str) -> AsyncIterator[Rig]:
    """A gateway that has something to tell under every name."""

    def configure(members: dict[str, Any]) -> None:
        members["quota"]["audit_interval_s"] = 0.01

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        shadow = Limit(Metric.REQUESTS, "5h", 1, shadow=True)
        token = await rig.token(USD, limits=(shadow,))
        for stream in (False, True, False):
            assert await answered(rig, token.key, chat(stream=stream)) == 200
        assert await answered(rig, "sk-wrong", chat()) == 401
        await rig.quiet()
        async with asyncio.timeout(120):
            await until(lambda: rig.gateway.audit.report is not None)
        yield rig


@pytest.mark.timeout(300)
async def test_alerts_and_dashboard_use_what_is_told_and_everything_is_told(
    postgres_dsn, valkey_url
):
    async with everything(postgres_dsn, valkey_url) as rig:
        samples = await scraped(rig)
    labels: dict[str, set[str]] = {}
    for sample in samples:
        labels.setdefault(sample.name, set()).update(sample.labels)
    for file, read in FILES.items():
        used = read(ROOT / "deploy" / file)
        assert len(used) > 15
        for name, wanted in used:
            assert name in labels, (file, name)
            assert wanted - PROMETHEUS_OWN <= labels[name], (file, name)
            assert "le" not in wanted or "le" in labels[name], (file, name)
    for family in FAMILIES.values():
        suffix = "_bucket" if family.kind is Kind.HISTOGRAM else ""
        assert family.name + suffix in labels, family.name
        assert {*family.labels} <= labels[family.name + suffix]


@pytest.mark.parametrize(
    "accept", ["*/*", "text/plain;version=0.0.4", "application/openmetrics-text"]
)
async def test_both_formats_are_served_and_prometheus_own_unless_the_other_is_asked_for(
    rig: Rig, accept: str
):
    async def own() -> list[Figure]:
        return merged([rig.gateway.figures()])

    async with (
        serve_metrics("127.0.0.1:0", own) as url,
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Accept": accept}) as answer,
    ):
        text = await answer.text()
        assert text.endswith("# EOF\n") == ("openmetrics" in accept)
        assert ("openmetrics" in answer.headers["Content-Type"]) == ("openmetrics" in accept)
