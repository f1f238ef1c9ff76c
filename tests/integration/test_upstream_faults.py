"""Every fault of an upstream: what the caller sees of it, what is charged, what the records say.

The table is `tools.docs.FAULTS`, so that docs/errors.md says what is proved here. One gateway serves the whole module;
each fault has a model of its own, once with one upstream and once with a second that is well.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from bench.servers import free_port
from gateway.relay.envelopes import WIRE
from tests.conftest import empty_valkey
from tests.databases import fresh_database
from tests.integration.rig import PRICED, USD, Rig, chat, running, until
from tests.upstream import CUT, RESET, Answer, Echo, Gate, Script, ScriptedUpstream, refuse
from tests.wire import Answer as Seen
from tests.wire import request, wire
from tools.docs import FAULTS, Sees

pytestmark = pytest.mark.asyncio(loop_scope="module")

INPUT, OUTPUT = 1_000, 10_000
SECRET = "provider-secret"
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
ERROR = b'{"error":{"message":"overloaded","type":"server_error"}}'


def events(*pieces: Any, **framing: Any) -> Answer:
    return Answer(pieces, framing="chunked", content_type="text/event-stream", **framing)


def half(stream: bool) -> Answer:
    """In good framing, and yet not all."""
    return events(EVENT, EVENT) if stream else Answer((b'{"id":"c","choices":[{"ind',))


def short(stream: bool) -> Script:
    return Echo().after(2, CUT) if stream else Answer((b'{"id":"c",',), missing_bytes=100)


HUGE = Answer((b"{}",), headers=(("x-huge", "x" * 70_000),))
ENDLESS = Answer((b"HTTP/1.1 200 OK\r\nx-huge: ", b"x" * 70_000, Gate()), framing="raw")
LOGIN = Answer((b"<html>Please log in</html>",), content_type="text/html; charset=utf-8")
ELSEWHERE = Answer((b"moved",), status=302, headers=(("Location", "http://elsewhere/v1"),))

# Where each fault is met, and how it is made: "scripted" and "hasty" (which has short timeouts) are scripted.
MADE: dict[str, tuple[str, Any]] = {
    "refuses the connection": ("closed", None),
    "has a name that does not resolve": ("nameless", None),
    "speaks plainly where TLS is spoken": ("plain", None),
    "is silent before the head": ("hasty", Echo().first(Gate())),
    "is silent in the middle": ("hasty", Echo().after(2, Gate())),
    "resets the connection before the first byte": ("scripted", Answer(framing="raw").first(RESET)),
    "resets the connection after the first byte": ("scripted", Echo().after(2, RESET)),
    "cuts its answer short": ("scripted", short),
    "ends its answer before its end": ("scripted", half),
    "sends an event of broken JSON": ("scripted", events(EVENT, b'data: {"id": "c\n\n', EVENT)),
    "answers 200 with a web page": ("scripted", LOGIN),
    "answers 200 with nothing": ("scripted", lambda stream: events() if stream else Answer()),
    "answers 200 with an error": (
        "scripted",
        lambda stream: events(b"data: " + ERROR + b"\n\n") if stream else Answer((ERROR,)),
    ),
    "answers 429": ("scripted", refuse(429)),
    "answers 429 with Retry-After": ("scripted", refuse(429, headers=(("Retry-After", "7"),))),
    "answers 500": ("scripted", refuse(500)),
    "answers 502": ("scripted", refuse(502)),
    "answers 503": ("scripted", refuse(503)),
    "answers 529": ("scripted", refuse(529)),
    "redirects": ("scripted", ELSEWHERE),
    "refuses the operator's key": ("scripted", refuse(401, f"bad key {SECRET}")),
    "sends a huge header": ("scripted", HUGE),
    "sends a header without an end": ("scripted", ENDLESS),
    "sends byte by byte, within the timeouts": ("scripted", Echo(bytewise=True)),
}


def model_of(fault: str, *, second: bool) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", fault.lower())
    return f"{slug}-two" if second else slug


@dataclass
class Bench:
    """The module's gateway, its upstreams, and what may never be seen outside."""

    rig: Rig
    first: ScriptedUpstream
    second: ScriptedUpstream
    log: Path
    hidden: tuple[bytes, ...]

    async def lines(self, request_id: str) -> list[dict[str, Any]]:
        """The access log's lines of a call."""
        self.rig.gateway.log.flush()
        found = [orjson.loads(line) for line in self.log.read_bytes().splitlines()]
        return [line for line in found if line["request_id"] == request_id.replace("-", "")]


@contextlib.asynccontextmanager
async def plain_server() -> AsyncIterator[int]:
    """The port of a server that answers whatever it is sent in plain HTTP."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def configured(members: dict[str, Any], first: str, second: str, plain: int, closed: int) -> None:
    urls = {
        "scripted": first,
        "hasty": first,
        "closed": f"http://127.0.0.1:{closed}/v1",
        "nameless": "http://upstream.invalid/v1",
        "plain": f"https://127.0.0.1:{plain}/v1",
    }
    made = [(model_of(f, second=two), at) for f, (at, _) in MADE.items() for two in (False, True)]
    members["models"] += [{"name": name, **PRICED} for name, _ in made]
    hasty = {"first_byte_timeout_s": 0.2, "idle_timeout_s": 0.2}
    # One for each, so that none is spared for another's fault.
    members["upstreams"] = [
        {
            "name": f"u-{number}",
            "base_url": urls[at],
            "api_key_env": "PROVIDER_KEY",
            "models": [name],
            **(hasty if at == "hasty" else {}),
        }
        for number, (name, at) in enumerate(made)
    ]
    rescued = [model_of(fault, second=True) for fault in MADE]
    members["upstreams"].append(
        {"name": "u-second", "base_url": second, "models": rescued, "priority": 1}
    )
    gemini = first.removesuffix("/v1") + "/v1beta"
    for name, dialect, url in (("u-c", "anthropic", first), ("u-g", "gemini", gemini)):
        members["upstreams"].append(
            {"name": name, "dialect": dialect, "base_url": url, "models": ["other"]}
        )
    members["models"].append({"name": "other", **PRICED})


@pytest.fixture(scope="module")
def valkey(server_addresses: tuple[str, str], worker_id: str) -> Iterator[str]:
    with empty_valkey(server_addresses, worker_id) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(
    server_addresses: tuple[str, str], valkey: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    log = tmp_path_factory.mktemp("faults") / "access.log"
    async with (
        fresh_database(server_addresses) as dsn,
        ScriptedUpstream() as first,
        ScriptedUpstream() as second,
        plain_server() as plain,
    ):
        closed = free_port()

        def configure(members: dict[str, Any]) -> None:
            configured(members, first.base_url, second.base_url, plain, closed)
            members["log"]["access"] = str(log)

        async with running(dsn, valkey, first, configure, {"PROVIDER_KEY": SECRET}) as rig:
            ports = [url[url.rindex(":") : -3] for url in (first.base_url, second.base_url)]
            hidden = ("127.0.0.1", "invalid/", "upstream.invalid", "u-", SECRET, *ports)
            yield Bench(rig, first, second, log, tuple(text.encode() for text in hidden))


@pytest.mark.parametrize("second", [False, True], ids=["alone", "with a second"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_of_an_upstream(
    bench: Bench, caplog: pytest.LogCaptureFixture, fault: str, stream: bool, second: bool
):
    expected = FAULTS[fault]
    sees = expected.stream if stream else expected.whole
    _, script = MADE[fault]
    model = model_of(fault, second=second)
    if script is not None:
        bench.first.answer(model, script(stream) if callable(script) else script)
    asked_before = len(bench.second.requests)
    ask = chat(model, stream=stream, max_tokens=100)
    token = await bench.rig.token(USD)
    async with wire(bench.rig.url) as caller, asyncio.timeout(20):
        answer = await caller.ask(request(token.key, ask))
        raw = bytes(caller.raw)
    rescued = second and expected.next
    assert len(bench.second.requests) - asked_before == rescued
    if rescued:
        sees = Sees(200, "answer", charged="exactly")
    check_what_is_seen(answer, sees, fault, stream=stream, rescued=rescued)
    for hidden in bench.hidden:
        assert hidden not in raw, "the operator's network, names and keys are nobody's business"
    request_id = answer.header("x-request-id")
    assert request_id is not None
    row = await the_row(bench, request_id)
    check_the_ledger(row, sees, ask, answer, rescued=rescued)
    assert await held(bench, row) == (0, 0)
    check_the_log(await bench.lines(request_id), row, sees, stream=stream, said=caplog.text)


def check_what_is_seen(
    answer: Seen, sees: Sees, fault: str, *, stream: bool, rescued: bool
) -> None:
    assert (answer.status, answer.whole) == (sees.status, True)
    if sees.form == "error":
        error = answer.json()["error"]
        assert sees.code is not None
        assert (error["code"], error["type"]) == (sees.code, WIRE[sees.code].openai)
        assert error["request_id"] == answer.header("x-request-id")
        assert answer.header("content-type") == "application/json"
    elif sees.form == "event":
        assert answer.events()[-1]["error"]["code"] == sees.code
        assert b"[DONE]" not in answer.body, "no terminator after a cut"
    elif sees.status == 200 and sees.charged == "exactly":
        ends = answer.events()[-1] == "[DONE]" if stream else answer.json()["choices"]
        assert ends
    else:
        _, script = MADE[fault]
        script = script(stream) if callable(script) else script
        assert answer.body == b"".join(script.body), "the provider's own words"
    waits = "7" if fault.endswith("Retry-After") and not rescued else None
    assert answer.header("retry-after") == waits
    assert answer.header("location") is None


async def the_row(bench: Bench, request_id: str) -> dict[str, Any]:
    await bench.rig.posted()
    rows = await bench.rig.database.fetch("SELECT * FROM ledger WHERE request_id = $1", request_id)
    (row,) = rows
    return dict(row)


def check_the_ledger(
    row: dict[str, Any], sees: Sees, ask: Any, answer: Seen, *, rescued: bool
) -> None:
    assert (row["status"], row["anomaly"]) == (sees.status, sees.anomaly)
    assert row["estimated"] == (sees.charged == "an estimate")
    least = -(-len(orjson.dumps(ask)) // 4) * INPUT
    if sees.charged == "nothing":
        assert row["amount"] == 0
    elif sees.charged == "exactly":
        assert row["amount"] == INPUT + 7 * OUTPUT
    elif sees.form == "event":
        assert row["amount"] == least + (len(answer.events()) - 1) * OUTPUT
    else:
        assert row["amount"] >= least
    if rescued:
        assert row["upstream"] == "u-second"


async def held(bench: Bench, row: dict[str, Any]) -> tuple[int, int]:
    async with asyncio.timeout(5):
        await until(lambda: not bench.rig.gateway.forwarder.live_calls())
    book = await bench.rig.gateway.quota.book(row["account_id"], f"t{row['token_id']}")
    assert book is not None
    return book.reserved, book.live


def check_the_log(
    lines: list[dict[str, Any]], row: dict[str, Any], sees: Sees, *, stream: bool, said: str
) -> None:
    call, *refusals = lines
    assert (call["event"], call["status"]) == ("call", row["status"])
    assert (call["amount_nusd"], call["estimated"]) == (row["amount"], row["estimated"])
    assert (call["anomaly"], call["upstream"]) == (
        row["anomaly"],
        row["upstream"] or call["upstream"],
    )
    assert call["stream"] is stream
    assert len(refusals) == (sees.form == "error")
    told = said if sees.form == "event" else "".join(line["cause"] for line in refusals)
    assert re.search(sees.log, told), told
    assert SECRET not in said + str(lines)


# Other dialects: the form is theirs, whatever the fault.

OTHERS: dict[str, tuple[str, Any]] = {
    "anthropic": ("/v1/messages", {"model": "other", "max_tokens": 50, "messages": []}),
    "gemini": ("/v1beta/models/other:streamGenerateContent?alt=sse", {"contents": []}),
}


@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize(
    ("script", "code"),
    [
        pytest.param(Answer(framing="raw").first(CUT), 502, id="no answer"),
        pytest.param(ELSEWHERE, 502, id="redirect"),
        pytest.param(LOGIN, 502, id="web page"),
        pytest.param(Echo().after(2, CUT), 200, id="cut"),
        pytest.param(Echo().after(2, b'data: {"id\n\n'), 200, id="broken JSON"),
    ],
)
async def test_a_fault_has_the_form_of_the_callers_dialect(
    bench: Bench, dialect: str, script: Script, code: int
):
    path, body = OTHERS[dialect]
    bench.first.answer("other", script)
    token = await bench.rig.token(USD)
    ask = {**body, "stream": True} if dialect == "anthropic" else body
    async with wire(bench.rig.url) as caller, asyncio.timeout(20):
        answer = await caller.ask(request(token.key, ask, path=path))
    assert (answer.status, answer.whole) == (code, True)
    assert b"message_stop" not in answer.body
    error = orjson.loads(answer.body.rpartition(b"data: ")[2])["error"]
    if dialect == "anthropic":
        assert error["type"] == "api_error"
    else:
        assert (error["code"], error["status"]) == (502, "UNAVAILABLE")


async def test_the_table_is_about_what_is_made_here():
    assert set(FAULTS) == set(MADE)
