"""The user of Valkey that gateway and admin app are: what they do works, and nothing else does."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gateway.embedded.state import StateDirectory
from gateway.embedded.valkey import EmbeddedValkey
from gateway.store.conservation import open_auditor
from gateway.store.postgres import APPLICATION
from gateway.store.roles import READER
from gateway.store.underway import read_underway, read_valkey_state
from gateway.store.valkey import CLUSTER_RIGHTS, RIGHTS, SENTINEL_RIGHTS, open_valkey
from tests.databases import as_role
from tests.integration.rig import USD, chat, running, until
from tests.upstream import ScriptedUpstream

LUA = Path(__file__).parents[2] / "gateway/store/lua"
_ARGUMENTS = {"TIME": 0, "XADD": 4} | {
    **dict.fromkeys(("GET", "HGETALL", "HKEYS", "HVALS"), 1),
    **dict.fromkeys(("HEXISTS", "HGET", "MSET", "SET", "ZSCORE"), 2),
}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedValkey]:
    """One with that user, as `tollhouse run` starts it."""
    with tempfile.TemporaryDirectory(prefix="tollhouse-tests-") as directory:
        Path(directory).chmod(0o711)
        with StateDirectory.open(Path(directory) / "state") as state:
            own = EmbeddedValkey(state, durable=False, users={APPLICATION: RIGHTS})
            own.all_rights = own.start()
            yield own
            own.stop()


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "requirepass"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "me"),
        ("SHUTDOWN",),
        ("MONITOR",),
        ("CLIENT", "LIST"),
        ("CLIENT", "KILL", "TYPE", "normal"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("SAVE",),
        ("MODULE", "LIST"),
        ("EVAL", "return 1", "0"),
        ("SCRIPT", "FLUSH"),
        ("FUNCTION", "FLUSH"),
        ("SWAPDB", "0", "1"),
        ("GET", "somebody:elses"),
        ("SET", "somebody:elses", "1"),
        ("PUBLISH", "somebody:elses", "x"),
        ("SUBSCRIBE", "somebody:elses"),
    ],
    ids=" ".join,
)
def test_what_no_process_needs_is_refused(server: EmbeddedValkey, command: tuple[str, ...]):
    with (
        redis.Redis.from_url(server.url(APPLICATION)) as client,
        pytest.raises(redis.exceptions.NoPermissionError),
    ):
        client.execute_command(*command)


def test_whatever_a_script_calls_is_allowed(server: EmbeddedValkey):
    texts = [file.read_text() for file in LUA.rglob("*.lua")]
    called = {name for text in texts for name in re.findall(r"call\('([A-Z]+)'", text)}
    assert {"HSET", "ZADD", "MSET", "TIME"} <= called
    with redis.Redis.from_url(server.all_rights, decode_responses=True) as client:
        for name in sorted(called):
            arguments = ["q:{s000}:e"] * _ARGUMENTS.get(name, 3)
            assert client.execute_command("ACL", "DRYRUN", APPLICATION, name, *arguments) == "OK"


async def test_calls_notices_and_the_audit_work_as_that_user(
    server: EmbeddedValkey, postgres_dsn: str
):
    url = server.url(APPLICATION)

    def with_outbox(members) -> None:
        members["quota"]["outbox_hours"] = 1

    async with (
        ScriptedUpstream() as upstream,
        running(postgres_dsn, url, upstream, with_outbox) as rig,
    ):
        token = await rig.token(USD, max_concurrency=5)
        for ask in (chat(), chat(stream=True)):
            async with rig.post(token.key, ask) as answer:
                assert answer.status == 200
                await answer.read()
        assert len(await rig.ledger()) == 2
        async with open_valkey(url) as valkey:
            assert rig.gateway.tokens.get(token.key) is not None
            await valkey.publish_token_change(token.row.id)
            await until(lambda: rig.gateway.tokens.get(token.key) is None)
        pipeline = rig.gateway.quota._pipeline
        assert (await read_underway(pipeline)).running == []
        assert (await read_valkey_state(pipeline)).gateways == 1
        async with open_auditor(as_role(rig.dsn, READER), url, sweep_s=60, strict=True) as auditor:
            assert not (await auditor.audit()).wrong


def test_the_documents_tell_these_rights():
    text = (LUA.parents[2] / "docs/operations.md").read_text()
    assert all(rights in text for rights in (RIGHTS, CLUSTER_RIGHTS, SENTINEL_RIGHTS))
