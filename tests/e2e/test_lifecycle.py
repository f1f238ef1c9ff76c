"""The running product, from an empty state directory to its end: what a user sees, and what the ledger says then."""

import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import asyncpg
import openai
import pytest
import redis

from gateway.embedded.postgres import EmbeddedPostgres
from gateway.embedded.state import StateDirectory
from gateway.giving_way import THIRD
from gateway.store.conservation import open_auditor
from gateway.store.postgres import embedded_dsn, open_pool
from tests.chaos.processes import children_of
from tests.e2e.product import (
    Product,
    calling,
    calling_every_worker,
    folder,
    linux_only,
    lives,
    running,
    running_beside,
    scripted,
    tollhouse,
    watching,
    worker_of,
)
from tests.upstream import Echo, Gate, ScriptedUpstream

USD = 1_000_000_000
# Of workers, the oldest first; posting alone ends its transactions without a semicolon.
SESSIONS = """
SELECT pid, query = 'COMMIT' AS posts FROM pg_stat_activity WHERE usename = 'tollhouse_gateway' ORDER BY backend_start
"""
ASK = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
TWO_WORKERS = {"TOLLHOUSE_GATEWAY__WORKERS": "2"}


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    """One with the demo upstream, started on an empty state directory."""
    with running(**TWO_WORKERS) as started:
        yield started


@pytest.fixture
def given(postgres_dsn: str, valkey_url: str) -> dict[str, str]:
    """Settings of a product with stores of the operator's own: a start and an end without servers."""
    return {
        "TOLLHOUSE_POSTGRES__DSN": postgres_dsn,
        "TOLLHOUSE_REDIS__URL": valkey_url,
        "TOLLHOUSE_PEPPER": os.urandom(32).hex(),
        "TOLLHOUSE_KEK": os.urandom(32).hex(),
        "TOLLHOUSE_QUOTA__PAUSE_S": "0.001",  # nobody held anything in the empty store
    }


async def rows_of(dsn: str, token_id: int, count: int) -> list[asyncpg.Record]:
    """The ledger's rows of a token, once there are `count`; more than that is a failure."""
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(20):
            while True:
                rows = await connection.fetch(
                    "SELECT * FROM ledger WHERE token_id = $1 ORDER BY request_id", token_id
                )
                if len(rows) >= count:
                    break
                await asyncio.sleep(0.02)
    finally:
        await connection.close()
    assert len(rows) == count
    return rows


# A first start


def test_ready_and_credentials_are_whole_and_for_their_owner_only(product: Product):
    ready = product.ready
    assert list(ready) == [
        "gateway_url", "admin_url", "user_id", "access_token", "key", "database_url", "redis_url", "pids",
    ]  # fmt: skip
    assert None not in ready.values()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ready["gateway_url"])
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", ready["admin_url"])
    pids = ready["pids"]
    assert list(pids) == ["supervisor", "gateway", "admin", "postgres", "valkey"]
    assert pids["supervisor"] == product.process.pid
    assert len(set(pids["gateway"])) == 2
    assert all(map(lives, [*pids["gateway"], pids["admin"], pids["postgres"], pids["valkey"]]))
    credentials = json.loads((product.state / "credentials.json").read_bytes())
    assert credentials.pop("username") == "admin"
    assert credentials == {name: ready[name] for name in ("user_id", "access_token", "key")}
    for name in ("ready.json", "credentials.json"):
        assert (product.state / name).stat().st_mode & 0o777 == 0o600
    assert list(product.state.glob("*.tmp")) == []


def test_the_admin_app_gives_way_to_the_workers_where_both_want_the_processor(product: Product):
    pids = product.ready["pids"]
    shares = [_niceness(pid) for pid in (pids["admin"], *pids["gateway"], pids["postgres"])]
    assert shares[0] > max(shares[1:])


@linux_only
async def test_posting_gives_way_to_calls_and_what_they_wait_for_does_not(product: Product):
    async with calling_every_worker(product) as callers:
        for caller in callers:
            assert await caller.chat(product.ready["key"], ASK) == (200, "")
    connection = await asyncpg.connect(product.ready["database_url"])
    async with asyncio.timeout(30):
        rows = await connection.fetch(SESSIONS)
        while sum(posts for _, posts in rows) < len(callers):
            await asyncio.sleep(0.05)
            rows = await connection.fetch(SESSIONS)
    await connection.close()
    usual, session = _niceness(product.ready["pids"]["postgres"])
    posting = {_niceness(pid) for pid, posts in rows if posts}
    assert posting == {(min(19, usual + 5), session + 5)}
    assert _niceness(rows[0]["pid"]) == (usual, session)  # over which keys are looked up


@linux_only
async def test_an_audit_gives_way_to_calls_and_to_posting(product: Product):
    usual, session = _niceness(product.ready["pids"]["postgres"])
    dsn, url = embedded_dsn(product.ready["database_url"]), product.ready["redis_url"]
    async with open_auditor(dsn, url, sweep_s=60, strict=False) as auditor:
        reading = auditor._connection.get_server_pid()
        assert _niceness(reading) == (min(19, usual + 15), session + 15)


@linux_only
async def test_what_is_done_for_the_ledger_gives_way_and_leaves_no_connection(product: Product):
    usual, session = _niceness(product.ready["pids"]["postgres"])
    dsn = embedded_dsn(product.ready["database_url"])
    async with await open_pool(dsn, size=1, statement_timeout_s=10, gives_way=THIRD) as pool:
        assert pool.get_size() == 0
        summing_up = await pool.fetchval("SELECT pg_backend_pid()")
        assert _niceness(summing_up) == (min(19, usual + 5), session + 5)


@linux_only
async def test_no_process_is_a_superuser_of_the_stores(product: Product):
    async with calling(product) as caller:
        assert await caller.chat(product.ready["key"], ASK) == (200, "")
        assert (await caller.admin("GET", "/api/state"))[0] == 200
    connection = await asyncpg.connect(product.ready["database_url"])
    users = await connection.fetch(
        "SELECT DISTINCT usename, rolsuper FROM pg_stat_activity JOIN pg_roles ON rolname = usename"
        " WHERE application_name = 'tollhouse'"
    )
    await connection.close()
    assert {tuple(row) for row in users} == {
        ("tollhouse_gateway", False),
        ("tollhouse_admin", False),
    }
    with redis.Redis.from_url(product.ready["redis_url"]) as client:
        me = str(client.client_id())
        clients = {each["user"] for each in client.client_list() if each["id"] != me}
    assert clients == {"tollhouse"}
    pids = product.ready["pids"]
    assert not any(map(_knows_the_superusers_password(product), (*pids["gateway"], pids["admin"])))


def _knows_the_superusers_password(product: Product) -> Callable[[int], bool]:
    secret = (product.state / "secrets/postgres").read_bytes().strip()
    return lambda pid: secret in pathlib.Path(f"/proc/{pid}/environ").read_bytes()


def _niceness(pid: int) -> tuple[int, int]:
    """A process's own, and where Linux schedules by sessions its session's."""
    session = pathlib.Path(f"/proc/{pid}/autogroup")
    told = session.read_text() if session.exists() else "nice 0"
    return os.getpriority(os.PRIO_PROCESS, pid), int(told.rpartition(" ")[2])


async def test_the_banner_names_the_urls_and_a_key_with_a_dollar_on_it(product: Product):
    ready = product.ready
    assert product.printed("Base URL") == ready["gateway_url"] + "/v1"
    assert product.printed("Admin API") == ready["admin_url"]
    assert product.printed("Key") == ready["key"]
    assert product.printed("State") == str(product.state)
    assert "the demo: no provider is configured" in product.output
    async with calling(product) as caller:
        _, answer = await caller.admin("GET", "/api/token/")
    (first,) = (each for each in answer["data"]["items"] if each["name"] == "first key")
    assert first["remain_quota"] + first["used_quota"] == 500_000
    assert not first["unlimited_quota"]


@pytest.mark.parametrize("command", ["curl", "python3"])
def test_the_printed_line_answers_from_the_demo(product: Product, command: str):
    if shutil.which(command) is None:
        pytest.skip(f"there is no {command} here")
    (line,) = (each for each in product.output.splitlines() if each.startswith(command + " "))
    ended = subprocess.run(
        ["sh", "-c", line],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "This is Tollhouse's demo upstream" in ended.stdout


async def test_the_openai_sdk_is_answered_and_the_ledger_has_its_token_counts(product: Product):
    async with calling(product) as caller:
        token = await caller.token(quota_usd=1)
    async with openai.AsyncOpenAI(
        base_url=product.printed("Base URL"), api_key=token["key"], max_retries=0
    ) as client:
        whole = await client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "A whole answer, please"}]
        )
        stream = await client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": "A streamed one"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert whole.choices[0].message.content
    assert whole.choices[0].message.content.endswith("You wrote: A whole answer, please")
    assert text.endswith("You wrote: A streamed one")
    usages = [whole.usage, chunks[-1].usage]
    rows = await rows_of(product.ready["database_url"], token["id"], 2)
    for row, usage in zip(rows, usages, strict=True):
        assert usage is not None
        counts = (usage.prompt_tokens, usage.completion_tokens)
        assert (row["input_tokens"], row["output_tokens"]) == counts
        assert row["amount"] == 10_000 * counts[0] + 100_000 * counts[1]
        assert (row["upstream"], row["status"], row["estimated"]) == ("demo", 200, False)


async def test_a_one_dollar_key_is_refused_once_it_is_spent_and_never_spends_more(product: Product):
    answered, codes = [], set()

    async def call(key: str) -> None:
        async with caller.post(key, ASK) as answer:
            body = await answer.json()
            if answer.status == 200:
                answered.append(body["usage"])
            else:
                assert answer.status == 429
                codes.add(body["error"]["code"])

    async with calling(product) as caller:
        token = await caller.token(quota_usd=1)
        async with asyncio.timeout(40):
            while "insufficient_quota" not in codes:
                await asyncio.gather(*(call(token["key"]) for _ in range(32)))
        answered_before = len(answered)
        await asyncio.gather(*(call(token["key"]) for _ in range(32)))
    assert len(answered) == answered_before
    assert codes <= {"insufficient_quota", "quota_reserved"}
    rows = await rows_of(product.ready["database_url"], token["id"], len(answered))
    spent = sum(row["amount"] for row in rows)
    assert spent == sum(
        10_000 * usage["prompt_tokens"] + 100_000 * usage["completion_tokens"] for usage in answered
    )
    # The rest is less than one more answer of the demo's full length would hold.
    assert USD - 1024 * 100_000 - 200 * 10_000 < spent <= USD


# The admin API, as the next request on every worker sees it


@contextlib.asynccontextmanager
async def on_every_worker(product: Product, **fields: Any) -> AsyncIterator[Any]:
    """A token that every worker knows already, the admin API, and what asks all workers."""
    async with calling(product) as caller, calling_every_worker(product) as clients:
        token = await caller.token(**fields)

        async def ask() -> set[tuple[int, str]]:
            answers = [
                await client.chat(token["key"], ASK | {"max_tokens": 1}) for client in clients
            ]
            return set(answers)

        assert len(clients) == 2
        assert await ask() == {(200, "")}
        yield token, caller, ask


@linux_only
async def test_a_disabled_key_is_refused_by_every_worker_at_its_very_next_call(product: Product):
    async with on_every_worker(product, unlimited_quota=True) as (token, caller, ask):
        change = {"id": token["id"], "status": 2}
        status, answer = await caller.admin("PUT", "/api/token/?status_only=1", change)
        assert (status, answer["data"]["status"]) == (200, 2)
        assert await ask() == {(401, "key_disabled")}
        status, _ = await caller.admin("PATCH", f"/api/token/{token['id']}", {"status": 1})
        assert status == 200
        assert await ask() == {(200, "")}


@linux_only
async def test_a_deleted_key_is_refused_by_every_worker_at_its_very_next_call(product: Product):
    async with on_every_worker(product, unlimited_quota=True) as (token, caller, ask):
        status, _ = await caller.admin("DELETE", f"/api/token/{token['id']}")
        assert status == 200
        assert await ask() == {(401, "invalid_api_key")}


@linux_only
async def test_a_lowered_quota_binds_every_worker_at_its_very_next_call(product: Product):
    async with on_every_worker(product, quota_usd=1) as (token, caller, ask):
        change = {"id": token["id"], "remain_quota": 0}
        status, answer = await caller.admin("PUT", "/api/token/", change)
        assert (status, answer["data"]["remain_quota"]) == (200, 0)
        assert await ask() == {(429, "insufficient_quota")}


async def test_an_access_token_of_another_user_than_named_is_refused(product: Product):
    async with calling(product) as caller:
        user = product.ready["user_id"]
        assert (await caller.admin("GET", "/api/token/", **{"New-Api-User": str(user)}))[0] == 200
        status, answer = await caller.admin("GET", "/api/token/", **{"New-Api-User": str(user + 1)})
    assert (status, answer["code"]) == (401, "user_mismatch")


async def test_the_playground_and_the_state_find_what_the_product_has_started(product: Product):
    async with calling(product) as caller:
        made = await caller.token(quota_usd=1)
        body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
        status, answer = await caller.admin("POST", f"/api/token/{made['id']}/playground", body)
        assert (status, answer["object"]) == (200, "chat.completion")
        status, answer = await caller.admin("GET", "/api/state")
    assert status == 200
    assert answer["data"]["gateways"] == len(product.ready["pids"]["gateway"])
    assert answer["data"]["upstreams"] == [{"name": "demo", "dialect": "openai", "out_since": None}]


def test_no_process_has_asked_of_postgres_what_it_may_not(product: Product):
    assert "permission denied" not in (product.state / "pg.log").read_text()


# Commands beside a running product


async def test_the_printed_password_signs_in_until_the_command_makes_another(product: Product):
    printed = product.printed("Sign-in     admin /")

    async def sign_in(password: str) -> int:
        async with caller.session.post(
            product.ready["admin_url"] + "/api/user/login",
            json={"username": "admin", "password": password},
        ) as answer:
            return answer.status

    async with calling(product) as caller:
        assert await sign_in(printed) == 200
        ended = tollhouse(product.place, "user", "password", "admin")
        assert (ended.returncode, ended.stderr) == (0, "")
        made = ended.stdout.removeprefix("One-time password of admin: ").strip()
        assert await sign_in(made) == 200
        assert await sign_in(printed) == 401


async def test_a_password_costs_who_tries_what_owasp_asks_for(product: Product):
    """https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html"""
    connection = await asyncpg.connect(product.ready["database_url"])
    kept = await connection.fetchval("SELECT password_hash FROM \"user\" WHERE username = 'admin'")
    await connection.close()
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_password_for_nobody_is_refused(product: Product):
    ended = tollhouse(product.place, "user", "password", "nobody")
    assert ended.returncode == 1
    assert "there is no user 'nobody'" in ended.stderr


@pytest.mark.parametrize("command", [("run",), ("reset", "--yes")])
def test_a_second_command_on_the_same_state_names_its_owner(product: Product, command):
    ended = tollhouse(product.place, *command)
    assert ended.returncode == {"run": 2, "reset": 1}[command[0]]
    assert f"{product.state} is in use by process {product.process.pid}" in ended.stderr
    assert "TOLLHOUSE_STATE" in ended.stderr
    assert product.ready["pids"]["supervisor"] == product.process.pid


# Ends


async def until(product: Product, condition) -> None:
    await asyncio.to_thread(product.until, condition)


def not_listening(product: Product):
    return lambda: not product.listens()


async def test_sigterm_lets_a_stream_end_whole_and_leaves_nothing_but_its_row():
    gate = Gate()
    async with ScriptedUpstream() as upstream:
        upstream.answer("m", Echo().after(2, gate))
        async with running_beside(scripted(upstream.base_url)) as product:
            children = children_of(product.process.pid) if sys.platform == "linux" else []
            pids = product.ready["pids"]
            children += [*pids["gateway"], pids["admin"], pids["postgres"], pids["valkey"]]
            async with (
                calling(product) as caller,
                caller.post(product.ready["key"], STREAM) as answer,
            ):
                await gate.waiting()
                product.send(signal.SIGTERM)
                await until(product, not_listening(product))
                gate.release()
                text = await answer.text()
            assert await asyncio.to_thread(product.wait) == 0
            assert text.endswith("data: [DONE]\n\n")
            assert [pid for pid in children if lives(pid)] == []
            assert not product.ready_file.exists()
            (row,) = await stored_ledger(product)
    assert (row["status"], row["output_tokens"], row["estimated"]) == (200, 7, False)


async def stored_ledger(product: Product) -> list[asyncpg.Record]:
    """The ledger as it lies in the state directory, while no product runs on it."""
    with StateDirectory.open(product.state) as state:
        postgres = EmbeddedPostgres(state)
        dsn = postgres.start()
        try:
            connection = await asyncpg.connect(dsn)
            rows: list[asyncpg.Record] = await connection.fetch("SELECT * FROM ledger")
            await connection.close()
        finally:
            postgres.stop()
    return rows


async def test_a_stream_that_outlasts_the_drain_time_ends_in_an_error_and_is_charged_once(given):
    gate = Gate()
    given["TOLLHOUSE_GATEWAY__DRAIN_S"] = "0.2"
    async with ScriptedUpstream() as upstream:
        upstream.answer("m", Echo().after(3, gate))
        async with running_beside(scripted(upstream.base_url), **given) as product:
            async with (
                calling(product) as caller,
                caller.post(product.ready["key"], STREAM) as answer,
            ):
                await gate.waiting()
                product.send(signal.SIGTERM)
                text = await answer.text()
            assert await asyncio.to_thread(product.wait) == 0
    *_, last = text.rstrip().split("\n\n")
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "shutting_down"
    assert "[DONE]" not in text
    connection = await asyncpg.connect(given["TOLLHOUSE_POSTGRES__DSN"])
    (row,) = await connection.fetch("SELECT * FROM ledger")
    used = await connection.fetchval("SELECT used FROM token WHERE id = $1", row["token_id"])
    await connection.close()
    assert row["estimated"]
    assert row["output_tokens"] == 3
    assert 0 < row["amount"] == used


async def test_a_repeated_ctrl_c_is_one_stop(given):
    gate = Gate()
    async with ScriptedUpstream() as upstream:
        upstream.answer("m", Echo().after(2, gate))
        async with running_beside(scripted(upstream.base_url), **given) as product:
            async with (
                calling(product) as caller,
                caller.post(product.ready["key"], STREAM) as answer,
            ):
                await gate.waiting()
                product.send(signal.SIGINT)
                await until(product, lambda: "Stopping…" in product.output)
                product.send(signal.SIGINT)
                await until(product, not_listening(product))
                gate.release()
                text = await answer.text()
            assert await asyncio.to_thread(product.wait) == 0
            printed = product.output
    assert text.endswith("data: [DONE]\n\n")
    assert printed.count("Stopping") == 1


def test_it_stops_in_order_though_nobody_reads_what_it_prints(given):
    with folder() as place:
        product = Product(place, **given)
        product.launch(subprocess.PIPE)
        try:
            with product.process.stdout as printed:
                assert any(b"Ctrl-C stops" in line for line in printed)
            assert product.stop() == 0
        finally:
            product.end()
        assert not product.ready_file.exists()


async def test_a_restart_keeps_keys_usage_and_what_is_left():
    async with running_beside() as product:
        before = product.ready
        async with calling(product) as caller:
            # One answer at the demo's full length is held, and it costs a fraction of that.
            token = await caller.token(quota_usd=0.105)
            long = ASK | {"max_tokens": 1024}
            assert await caller.chat(token["key"], long) == (200, "")
            (row,) = await rows_of(before["database_url"], token["id"], 1)
            assert await caller.chat(token["key"], long) == (429, "insufficient_quota")
        assert await asyncio.to_thread(product.stop) == 0

        product.ready_file.write_text('{"gateway_url": "bogus"}')
        product.launch()
        await until(product, lambda: not product.ready_file.exists())
        await until(product, product.ready_file.exists)
        await until(product, lambda: "Ctrl-C stops" in product.output)
        after = product.ready
        for name in ("user_id", "access_token", "key"):
            assert after[name] == before[name]
        assert "Sign-in" not in product.output
        async with calling(product) as caller:
            assert await rows_of(after["database_url"], token["id"], 1) == [row]
            _, answer = await caller.admin("GET", f"/api/token/{token['id']}")
            assert answer["data"]["used_quota"] == -(-row["amount"] // 2000)
            assert await caller.chat(token["key"], long) == (429, "insufficient_quota")
            assert await caller.chat(token["key"], ASK | {"max_tokens": 1}) == (200, "")
            assert await caller.chat(after["key"], ASK) == (200, "")


@linux_only
async def test_a_killed_worker_is_replaced_and_what_it_held_is_charged_once(given):
    gate = Gate()
    given |= TWO_WORKERS | {"TOLLHOUSE_QUOTA__LEASE_S": "1", "TOLLHOUSE_QUOTA__SWEEP_S": "1"}
    body = STREAM | {"model": "m"}
    held = len(json.dumps(body).encode()) * 1000 + 100 * 10_000
    async with (
        ScriptedUpstream() as upstream,
        running_beside(scripted(upstream.base_url), **given) as product,
        calling(product) as caller,
        calling(product) as victims,
    ):
        upstream.answer("m", Echo().after(1, gate))
        token = await caller.token(remain_quota=held * 3 // 2 // 2000)
        free = await caller.token(unlimited_quota=True)
        async with victims.post(token["key"], body) as answer:
            await gate.waiting()
            victim = worker_of(victims, product)
            upstream.answer("m", Echo())
            assert await caller.chat(token["key"], body) == (429, "quota_reserved")
            with watching([victim]) as gone:
                os.kill(victim, signal.SIGKILL)
                await asyncio.to_thread(gone)
            whole = {**body, "stream": False}
            assert await caller.chat(free["key"], whole) == (200, "")
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        await until(
            product, lambda: victim not in product.workers and all(map(lives, product.workers))
        )
        assert len(set(product.workers)) == 2
        async with calling_every_worker(product) as clients:
            for client in clients:
                assert await client.chat(free["key"], whole) == (200, "")
        (row,) = await rows_of(given["TOLLHOUSE_POSTGRES__DSN"], token["id"], 1)
        assert (row["estimated"], row["anomaly"], row["amount"]) == (True, "lost_worker", held)
        assert await caller.chat(token["key"], body) == (429, "insufficient_quota")
        await rows_of(given["TOLLHOUSE_POSTGRES__DSN"], token["id"], 1)


@linux_only
async def test_every_process_ends_by_itself_when_the_supervisor_is_killed():
    async with running_beside() as product:
        pids = product.ready["pids"]
        children = children_of(product.process.pid)
        named = {*pids["gateway"], pids["admin"], pids["postgres"], pids["valkey"]}
        assert named < set(children)  # the demo is one more
        with watching(children) as gone:
            product.process.kill()
            product.process.wait()
            await asyncio.to_thread(gone)
