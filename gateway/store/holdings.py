"""What the quota store holds, read whole: one atomic look at each shard, for the audit.

Reads only. A shard is read in one transaction, so what it says of itself fits together at every
instant, however busy it is.
"""

import asyncio
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import hiredis

from gateway.domain.conservation import Record, Shard, Stored
from gateway.domain.errors import StoreUnavailable
from gateway.store.books import unpack_book, unpack_reservation, unpack_settlement
from gateway.store.connection import encode
from gateway.store.pipeline import Pipeline
from gateway.store.prepared import key

_KEY: Final = re.compile(rb"q:\{s(\d{3})\}:([brpx])(?::(.+))?")
_SCAN_COUNT: Final = 1000
_RUN_ID_CHARACTERS: Final = 40

Progress = Callable[[str], None]


class Names(NamedTuple):
    """What a shard has keys of: scopes with a book, and accounts that have records or a book and so may soon."""

    scopes: set[str]
    accounts: set[int]


async def list_names(pipeline: Pipeline, progress: Progress) -> dict[int, Names]:
    """What there is, by shard: everything that an audit keeps in memory is of these. Raises `StoreUnavailable`."""
    found: dict[int, Names] = {}
    for shards in pipeline.parts():
        await _add_names(pipeline, shards[0], found, progress)
    return found


async def _add_names(
    pipeline: Pipeline, shard: int, found: dict[int, Names], progress: Progress
) -> None:
    """Those of everything that the server of `shard` has."""
    cursor: bytes = b"0"
    while True:
        reply: Any = await pipeline.call(
            shard, "SCAN", cursor, "MATCH", "q:{s*", "COUNT", _SCAN_COUNT
        )
        cursor, keys = reply
        for each in keys:
            match = _KEY.fullmatch(each)
            if match is None:
                continue
            names = found.setdefault(int(match[1]), Names(set(), set()))
            if match[2] == b"b":
                names.scopes.add(match[3].decode("ascii"))
                if match[3][:1] == b"a":
                    names.accounts.add(int(match[3][1:]))
            elif match[2] != b"x":
                names.accounts.add(int(match[3]))
        if cursor == b"0":
            return
        progress(f"quota store: {sum(len(names.scopes) for names in found.values()):,} books")


async def read_shards(
    pipeline: Pipeline, names: Mapping[int, Names], progress: Progress
) -> list[Shard]:
    """Every shard that holds anything, of what was listed before. Raises `StoreUnavailable`.

    Keys that came after the listing are not seen; the next look sees them.
    """
    shards = []
    for number in sorted(names):
        progress(f"quota store: shard {number}")
        try:
            shards.append(await _read_shard(pipeline, number, names[number]))
        except (struct.error, ValueError) as error:
            raise StoreUnavailable(
                f"shard {number} of the quota store holds what Tollhouse does not write: {error}"
            ) from error
    return shards


async def _read_shard(pipeline: Pipeline, number: int, names: Names) -> Shard:
    scopes, accounts = sorted(names.scopes), sorted(names.accounts)
    commands: list[tuple[bytes | str | int, ...]] = [
        ("TIME",),
        ("GET", key(number, "e")),
        ("ZRANGE", key(number, "x"), 0, -1, "WITHSCORES"),
    ]
    for account in accounts:
        commands += [("HGETALL", key(number, kind, str(account))) for kind in "rp"]
    if scopes:
        commands.append(("MGET", *(key(number, "b", scope) for scope in scopes)))
    replies = await _transaction(pipeline, number, commands)
    (seconds, microseconds), epoch, watched, *rest = replies
    books = rest.pop() if scopes else []
    due = {
        _member(member): int(float(score))
        for member, score in zip(*[iter(watched)] * 2, strict=True)
    }
    records = []
    for n, account in enumerate(accounts):
        for settled, flat in ((False, rest[2 * n]), (True, rest[2 * n + 1])):
            for request_id, data in zip(*[iter(flat)] * 2, strict=True):
                records.append(_record(account, request_id.decode(), data, due, settled=settled))
    run_id = b"" if epoch is None else epoch[:_RUN_ID_CHARACTERS]
    stored = {
        scope: _stored(scope, data, run_id, pipeline.run_ids[number])
        for scope, data in zip(scopes, books, strict=True)
        if data is not None
    }
    now_ms = int(seconds) * 1000 + int(microseconds) // 1000
    return Shard(now_ms, stored, records, due)


async def _transaction(
    pipeline: Pipeline, shard: int, commands: list[tuple[bytes | str | int, ...]]
) -> list[Any]:
    """The replies of commands that nothing came between."""
    reply: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    def done(value: object) -> None:
        if not reply.done():
            reply.set_result(value)

    pipeline.send(shard, encode("MULTI"), None)
    for command in commands:
        pipeline.send(shard, encode(*command), None)
    pipeline.send(shard, encode("EXEC"), done)
    replies = await reply
    if isinstance(replies, list):
        failed = next((each for each in replies if isinstance(each, Exception)), None)
        if failed is None:
            return replies
        replies = failed
    if isinstance(replies, StoreUnavailable | hiredis.ReplyError):
        raise StoreUnavailable(str(replies)) from replies
    raise StoreUnavailable(f"unexpected reply {replies!r}")


def _member(member: bytes) -> tuple[int, str]:
    account, _, request_id = member.decode().partition("|")
    return int(account), request_id


def _record(
    account: int,
    request_id: str,
    data: bytes,
    due: dict[tuple[int, str], int],
    *,
    settled: bool,
) -> Record:
    read = (unpack_settlement if settled else unpack_reservation)(request_id, data)
    due_ms = due.get((account, request_id))
    return Record(account, request_id, read.scope_ids, read.amount, settled, due_ms)


def _stored(scope: str, data: bytes, opened: bytes, run_id: bytes) -> Stored:
    book = unpack_book(scope, data)
    current = book.run_id.encode() == opened == run_id
    return Stored(
        scope,
        book.granted,
        book.gver,
        book.used,
        book.pending,
        book.reserved,
        book.live,
        book.version,
        current,
    )
