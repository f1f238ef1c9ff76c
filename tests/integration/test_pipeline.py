"""The pipelined connection: order, joined writes, losses, timeouts, forgotten scripts."""

import asyncio
import contextlib
from collections.abc import Callable

import hiredis
import pytest

from gateway.domain.errors import StoreNotAsked, StoreUnavailable
from gateway.store.address import parse_address
from gateway.store.connection import encode
from gateway.store.pipeline import Pipeline
from gateway.store.scripts import load_scripts
from gateway.store.valkey import open_valkey
from tests.quota_rig import open_rig, token
from tests.severable import Wire


async def until(condition: Callable[[], bool]) -> None:
    """For a state that has no event of its own."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_replies_come_in_the_order_of_sending_whoever_asked(valkey_url: str) -> None:
    async with Pipeline(valkey_url) as pipeline:
        replies: list[object] = []
        for n in range(500):
            pipeline.send(n % 256, encode("ECHO", str(n)), replies.append)
        assert await pipeline.call(0, "ECHO", "last") == b"last"
        assert replies == [str(n).encode() for n in range(500)]


async def test_commands_of_one_tick_leave_in_one_write(wire: Wire) -> None:
    async with Pipeline(wire.url) as pipeline:
        wire.segments.clear()
        commands = [encode("ECHO", f"{n:04d}") for n in range(50)]
        for command in commands:
            pipeline.send(0, command, None)
        await pipeline.call(0, "PING")
        assert wire.segments == [b"".join(commands) + encode("PING")]


async def test_a_store_has_no_more_at_once_than_it_answers_in_time_and_the_rest_follows_in_order(
    wire: Wire,
) -> None:
    async with Pipeline(wire.url) as pipeline:
        wire.segments.clear()
        commands = [encode("ECHO", f"{n:04d}") for n in range(1000)]
        replies: list[object] = []
        for command in commands:
            pipeline.send(0, command, replies.append)
        assert await pipeline.call(0, "ECHO", "last") == b"last"
        assert replies == [f"{n:04d}".encode() for n in range(1000)]
        assert wire.segments[0] == b"".join(commands[:128])
        assert b"".join(wire.segments) == b"".join([*commands, encode("ECHO", "last")])


async def test_an_error_reply_is_a_value_for_its_own_caller_only(valkey_url: str) -> None:
    async with Pipeline(valkey_url) as pipeline:
        replies: list[object] = []
        pipeline.send(0, encode("ECHO", "a"), replies.append)
        pipeline.send(0, encode("NO SUCH"), replies.append)
        pipeline.send(0, encode("ECHO", "b"), replies.append)
        with pytest.raises(StoreUnavailable, match="unknown command"):
            await pipeline.call(0, "NO SUCH")
        assert [replies[0], replies[2]] == [b"a", b"b"]
        assert isinstance(replies[1], hiredis.ReplyError)


async def test_a_failing_callback_costs_nobody_else_a_reply(valkey_url: str) -> None:
    async with Pipeline(valkey_url) as pipeline:
        caught: list[object] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: caught.append(context["exception"])
        )

        def fail(_: object) -> None:
            raise ZeroDivisionError

        pipeline.send(0, encode("PING"), fail)
        assert await pipeline.call(0, "ECHO", "after") == b"after"
        assert [type(error) for error in caught] == [ZeroDivisionError]


async def test_a_lost_connection_tells_each_caller_once_and_is_made_again(wire: Wire) -> None:
    async with Pipeline(wire.url) as pipeline:
        wire.stall()
        replies: list[object] = []
        for n in range(20):
            pipeline.send(0, encode("ECHO", str(n)), replies.append)
        await asyncio.sleep(0)  # the tick in which they are written
        wire.cut()
        wire.resume()
        await until(lambda: len(replies) == 20)
        assert {type(reply) for reply in replies} == {StoreUnavailable}
        await until(lambda: pipeline.connections == 2)
        assert await pipeline.call(0, "ECHO", "again") == b"again"
        assert len(replies) == 20


async def test_a_connection_killed_by_the_server_recovers(valkey_url: str) -> None:
    async with Pipeline(valkey_url) as pipeline:
        own = await pipeline.call(0, "CLIENT", "ID")
        with contextlib.suppress(StoreUnavailable):
            await pipeline.call(0, "CLIENT", "KILL", "ID", own, "SKIPME", "no")  # type: ignore[arg-type]
        await until(lambda: pipeline.connections == 2)
        assert await pipeline.call(0, "PING") == b"PONG"


async def test_a_caller_that_sends_again_from_its_callback_hears_again_on_the_next_tick(
    wire: Wire,
) -> None:
    async with Pipeline(wire.url) as pipeline:
        wire.accepts = False
        replies: list[object] = []

        def again(reply: object) -> None:
            replies.append(reply)
            if len(replies) < 3:
                pipeline.send(0, encode("PING"), again)
                assert len(replies) < 3, "called back from within send"

        wire.stall()
        pipeline.send(0, encode("PING"), again)
        await asyncio.sleep(0)
        wire.cut()
        await until(lambda: len(replies) == 3)
        assert [type(reply) for reply in replies] == [
            StoreUnavailable,
            StoreNotAsked,
            StoreNotAsked,
        ]
        assert not pipeline.connected


async def test_an_idle_connection_is_kept(wire: Wire) -> None:
    async with Pipeline(wire.url, operation_timeout_s=0.02) as pipeline:
        sleeping = asyncio.Event()
        asyncio.get_running_loop().call_later(0.2, sleeping.set)  # ten timeouts
        await sleeping.wait()
        assert await pipeline.call(0, "PING") == b"PONG"
        assert pipeline.connections == 1


async def test_a_store_that_is_not_there_fails_the_start(tmp_path: object) -> None:
    pipeline = Pipeline(f"unix://{tmp_path}/nothing")
    with pytest.raises(StoreUnavailable, match="FileNotFoundError"):
        await pipeline.start(wait_s=0.2)
    with pytest.raises(StoreUnavailable):
        await pipeline.call(0, "PING")


async def test_a_wrong_password_is_named(valkey_url: str) -> None:
    address = parse_address(valkey_url)
    if address.password is None or address.path is None:
        pytest.skip("the given server has no password")
    pipeline = Pipeline(f"unix://:wrong@{address.path}")
    with pytest.raises(StoreUnavailable, match="WRONGPASS"):
        await pipeline.start(wait_s=0.5)


async def test_the_database_of_the_url_is_the_one_spoken_to(valkey_url: str) -> None:
    async with Pipeline(valkey_url) as pipeline:
        info = await pipeline.call(0, "CLIENT", "INFO")
        assert isinstance(info, bytes)
        assert f"db={parse_address(valkey_url).db} ".encode() in info
        assert {len(run_id) for run_id in pipeline.run_ids} == {40}


async def test_scripts_that_the_server_forgot_are_loaded_again_unnoticed(valkey_url: str) -> None:
    async with open_rig(valkey_url) as rig:
        t = token()
        await rig.load(t)
        prepared = rig.store.prepare(t, "m", 0)
        for _ in range(3):
            rig.pipeline.send(0, encode("SCRIPT", "FLUSH"), None)
            replies = await asyncio.gather(
                *(rig.reserve(prepared, rig.new_id(), 1) for _ in range(100))
            )
            assert len(replies) == 100
            assert {type(reply).__name__ for reply in replies} == {"Reserved"}
        assert len(await rig.store.live(t.account_id)) == 300


async def test_a_script_that_does_not_exist_is_an_error_not_a_loop(valkey_url: str) -> None:
    async with Pipeline(valkey_url) as pipeline:
        with pytest.raises(StoreUnavailable, match="NOSCRIPT"):
            await pipeline.call(0, "EVALSHA", "f" * 40, 0)


async def test_every_script_is_loaded_before_the_connection_counts(valkey_url: str) -> None:
    async with Pipeline(valkey_url) as pipeline:
        digests = [script.sha for script in load_scripts().values()]
        assert await pipeline.call(0, "SCRIPT", "EXISTS", *digests) == [1] * len(digests)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("unix://:p%40ss@/run/v.sock?db=3", ("/run/v.sock", None, "p@ss", 3, False)),
        ("redis://user:pw@host:6380/2", (None, "user", "pw", 2, False)),
        ("rediss://host", (None, None, None, 0, True)),
    ],
)
def test_urls_are_read_as_redis_py_reads_them(url: str, where: tuple[object, ...]) -> None:
    address = parse_address(url)
    got = (address.path, address.username, address.password, address.db, address.tls is not None)
    assert got == where


# Off the hot path


async def test_changes_reach_listeners_of_the_same_database_only(valkey_url: str) -> None:
    heard: asyncio.Queue[tuple[str, int]] = asyncio.Queue()
    address = parse_address(valkey_url)
    other = valkey_url.replace(f"db={address.db}", f"db={address.db + 1}")
    async with (
        open_valkey(valkey_url) as valkey,
        open_valkey(other) as elsewhere,
        valkey.listen(
            lambda n: heard.put_nowait(("token", n)), lambda n: heard.put_nowait(("catalog", n))
        ),
    ):
        await elsewhere.publish_token_change(1)
        await valkey.publish_token_change(5)
        await valkey.publish_catalog_change(7)
        assert [await heard.get(), await heard.get()] == [("token", 5), ("catalog", 7)]
        assert len(await valkey.run_id()) == 40


async def test_a_listener_survives_its_connection_and_tells_of_the_gap(wire: Wire) -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()
    gaps: asyncio.Queue[None] = asyncio.Queue()
    async with (
        open_valkey(wire.url) as valkey,
        valkey.listen(heard.put_nowait, heard.put_nowait, lambda: gaps.put_nowait(None)),
    ):
        await gaps.get()
        wire.cut()
        async with asyncio.timeout(10):
            await gaps.get()
            await valkey.publish_token_change(9)
            assert await heard.get() == 9
