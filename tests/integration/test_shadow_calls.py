"""A call that a limit in the shadow would have refused is answered, counted, named in its line, and explained."""

import json
from pathlib import Path
from typing import Any

from gateway.domain.limits import Limit, Metric
from gateway.metrics import render
from tests.explain_bench import Ask, Bench, State, open_bench
from tests.integration.rig import USD, Rig, chat, running, running_rig
from tests.upstream import ScriptedUpstream

WATCHED = (
    Limit(Metric.REQUESTS, "5h", 3),
    Limit(Metric.REQUESTS, "5h", 1, shadow=True),
    Limit(Metric.USD, "month", 1, "calendar", shadow=True),
)


async def answered(rig: Rig, key: str, **members: Any) -> dict[str, str]:
    """The headers of a call that passes."""
    async with rig.post(key, chat(**members)) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()
        return {name.lower(): value for name, value in answer.headers.items()}


def counted(rig: Rig) -> list[str]:
    text = render(rig.gateway.figures()).decode()
    return [line for line in text.splitlines() if "tollhouse_shadow_refusals_total" in line]


async def test_calls_beyond_a_limit_in_the_shadow_pass_and_are_on_record(
    postgres_dsn: str, valkey_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"

    def configure(members: dict[str, Any]) -> None:
        members["log"] = {"access": str(log)}

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, valkey_url, upstream, configure) as rig,
    ):
        token = await rig.token(USD, limits=WATCHED)
        for left in ("2", "1", "0"):
            headers = await answered(rig, token.key)
            assert headers["x-ratelimit-limit-requests"] == "3"
            assert headers["x-ratelimit-remaining-requests"] == left
        async with rig.post(token.key, chat()) as refused:
            assert refused.status == 429, "a real limit beside it refuses as ever"
        await rig.quiet()
        assert len(upstream.requests) == 3
        assert counted(rig) == [
            "# HELP tollhouse_shadow_refusals_total Calls that a limit in the shadow would have refused.",
            "# TYPE tollhouse_shadow_refusals_total counter",
            'tollhouse_shadow_refusals_total{scope="token",metric="usd",window="month"} 3',
            'tollhouse_shadow_refusals_total{scope="token",metric="requests",window="5h"} 2',
        ]
        rig.gateway.log.flush()
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        of_requests = {"scope": "token", "metric": "requests", "window": "5h", "limit": 1}
        of_usd = {"scope": "token", "metric": "usd", "window": "month", "limit": 1}
        assert [line.get("shadow") for line in lines] == [
            [of_usd],
            [of_requests, of_usd],
            [of_requests, of_usd],
            None,
        ]
        await rig.gateway.refusals.write()
        rows = await rig.database.fetch("SELECT reason, n FROM refusal")
        assert {tuple(row) for row in rows} == {("shadow", 3), ("rate_limit_exceeded", 1)}


async def test_limits_in_the_shadow_are_those_of_groups_and_members_too(
    postgres_dsn: str, valkey_url: str
) -> None:
    limit = {"metric": "tokens", "window": "1m", "limit": 1, "shadow": True}

    def configure(members: dict[str, Any]) -> None:
        members["groups.default"] = {"limits": [limit], "token_defaults": {"limits": [limit]}}

    async with running_rig(postgres_dsn, valkey_url, configure) as rig:
        await rig.database.execute("UPDATE member SET limits = $1", [limit])
        token = await rig.token()
        await answered(rig, token.key)
        await rig.quiet()
        assert sorted(line.partition("{")[2] for line in counted(rig)[2:]) == [
            f'scope="{scope}",metric="tokens",window="1m"}} 1'
            for scope in ("member", "subscription", "token")
        ]


async def test_a_key_without_a_cap_stays_one_with_a_limit_in_the_shadow(
    postgres_dsn: str, valkey_url: str
) -> None:
    """Nothing is refused for its sake that a key without it may do: here, a model without a price."""
    async with running_rig(postgres_dsn, valkey_url) as rig:
        token = await rig.token(limits=(Limit(Metric.USD, "1d", USD, shadow=True),))
        await answered(rig, token.key, model="unpriced")


async def explained(bench: Bench, token_id: int) -> dict[str, Any]:
    told = await bench.explain(token_id, Ask(body=chat()).question)
    check = told["checks"][-1]
    assert (told["decision"], check["check"], check["result"]) == (
        {"result": "allow"},
        "reserve",
        "allow",
    )
    return told


async def test_an_explanation_allows_the_call_and_tells_what_would_have_refused_it(
    postgres_dsn: str, valkey_url: str
) -> None:
    async with open_bench(postgres_dsn, valkey_url) as bench:
        limits = (
            Limit(Metric.REQUESTS, "5h", 1, shadow=True),
            Limit(Metric.TOKENS, "1d", 2, "calendar", shadow=True),
            Limit(Metric.REQUESTS, "5h", 100),
        )
        token = await bench.token(State(granted=USD, limits=limits[:1]))
        assert "shadow" not in (await explained(bench, token.row.id))["checks"][-1]
        token = await bench.token(State(granted=USD, limits=limits, running=[(100, 1)]))
        told = await explained(bench, token.row.id)
        window, too_big = told["checks"][-1]["shadow"]
        assert 0 < window.pop("retry_after_s") <= 18_300
        assert window.pop("message").startswith(
            "The token is limited to 1 requests per 5h, and 1 requests are used. Try again in "
        )
        assert 0 < window["params"].pop("seconds") <= 18_300
        assert window == {
            "reason": "rate_limit_exceeded",
            "case": "limit_reached",
            "params": {
                "scope": "token", "used": 1, "limit": 1, "metric": "requests", "window": "5h",
            },
            "scope": "token",
            "details": {
                "scope": "token", "used": 1, "held": 0, "limit": 1, "metric": "requests", "window": "5h",
            },
        }  # fmt: skip
        assert too_big["details"]["limit"] == 2
        assert too_big["message"] in told["checks"][-1]["message"]
        shown = [(each["metric"], each["shadow"], each["used"]) for each in told["limits"]]
        assert shown == [("requests", True, 1), ("tokens", True, 1), ("requests", False, 1)]
        assert (await bench.make(token.key, Ask(body=chat()))).code is None
        await bench.rig.quiet()
        assert len(counted(bench.rig)) == 4
