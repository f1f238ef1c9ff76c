"""What is put on the wire for the scripts: one command in RESP, whose arguments are read back as they were meant.

The other reader is `struct` by the formats of `lua/include/formats.lua`, and a slow reader of RESP.
"""

import struct

from gateway.domain.catalog import Group
from gateway.domain.limits import Limit, Metric
from gateway.domain.network import Blocks
from gateway.domain.token import ENABLED, Token
from gateway.store.books import (
    Reservation,
    Settlement,
    pack_reservation,
    pack_settlement,
    unpack_reservation,
    unpack_settlement,
)
from gateway.store.connection import encode
from gateway.store.prepared import Prepared, prepare
from gateway.store.scripts import load_scripts
from tests.fuzz.draws import Draws
from tests.fuzz.target import Target

_SCRIPTS = load_scripts()
_NOW_MS = 1_800_000_000_000
_RUN = b"r" * 40
_MAX = 2**52
_IDS = 2**31 - 1
_WINDOWS = ("1m", "5h", "1d", "7d", "30d", "month")
_HEAD = struct.Struct("<40sdBd")


def keeps(data: bytes) -> None:
    draws = Draws(data)
    token = _token(draws)
    prepared = prepare(
        *(_SCRIPTS, token, draws.some(8).decode("latin-1")),
        generation=draws.number(_MAX),
        run_id=_RUN,
        now_ms=_NOW_MS,
        lease_s=60,
        sweep_s=10,
        outbox_s=draws.byte() % 2,
    )
    _says_what_was_meant(prepared, token, draws)
    _is_kept_as_it_was(token, draws)


def _token(draws: Draws) -> Token:
    numbers = [draws.number(_IDS) for _ in range(8)]
    return Token(
        *(numbers[0], numbers[1], numbers[2], "t", Group(numbers[3], "g"), ENABLED),
        *(None, True, True, None, Blocks(), Blocks()),
        limits=tuple((draws.byte() % 4, _limit(draws)) for _ in range(draws.byte() % 5)),
        concurrency=(numbers[4], 0, numbers[5], 0),
        granted=(True, False, True, False),
        versions=(numbers[6], numbers[7], 0, _IDS),
    )


def _limit(draws: Draws) -> Limit:
    metric, window = draws.one_of(tuple(Metric)), draws.one_of(_WINDOWS)
    calendar = window == "month" or (window == "1d" and draws.byte() % 2 == 1)
    models = frozenset({draws.some(3).decode("latin-1"), "m"}) if draws.byte() % 2 else None
    zone = draws.one_of(("UTC", "Asia/Shanghai", "America/St_Johns"))
    burst = 1 + draws.number(1000) if window == "1m" and draws.byte() % 2 else None
    limit, mode = 1 + draws.number(_MAX - 1), "calendar" if calendar else "sliding"
    return Limit(metric, window, limit, mode, models, zone, burst, shadow=draws.byte() % 4 == 3)


def _says_what_was_meant(prepared: Prepared, token: Token, draws: Draws) -> None:
    amount, tokens = draws.number(2 * _MAX), draws.number(2 * _MAX)
    request_id = draws.some(16).hex().encode()
    detail = draws.some(draws.byte())
    commands = {
        "settle": prepared.settle(request_id, amount, tokens, detail, keep_request=True),
        "extend": prepared.extend(request_id, amount, tokens, fill=True),
    }
    if amount < _MAX and tokens < _MAX:
        commands["reserve"] = prepared.reserve(request_id, amount, tokens, detail, dry=False)
    kept = [min(amount, _MAX - 1), min(tokens, _MAX - 1)]
    if max(amount, tokens) < _MAX:
        kept = [amount, tokens]
    for name, command in commands.items():
        word, sha, count, *arguments = _arguments(command)
        assert (word, sha) == (b"EVALSHA", _SCRIPTS[name].sha)
        keys, (constant, *tail) = arguments[: int(count)], arguments[int(count) :]
        assert all(key.startswith(b"q:{s%03d}:" % token.shard) for key in keys)
        assert tail[0] == request_id
        assert [int(each) for each in tail[1:3]] == kept
        assert name == "extend" or tail[-1] == detail
        _begins_as_told(name, constant, token)


def _begins_as_told(name: str, constant: bytes, token: Token) -> None:
    at = 0
    if name == "reserve":
        run, _, capped, lease_ms = _HEAD.unpack_from(constant)
        assert (run, capped, lease_ms) == (_RUN, token.capped, 60_000)
    if name != "settle":
        at = _HEAD.size
    for text in (str(token.account_id), " ".join(token.scope_ids)):
        assert constant[at + 1 : at + 1 + constant[at]] == text.encode()
        at += 1 + constant[at]


def _arguments(command: bytes) -> list[bytes]:
    """The one command in these bytes."""
    head, _, rest = command.partition(b"\r\n")
    assert head[:1] == b"*"
    arguments = []
    for _ in range(int(head[1:])):
        size, _, rest = rest.partition(b"\r\n")
        assert size[:1] == b"$"
        end = int(size[1:])
        arguments.append(rest[:end])
        assert rest[end : end + 2] == b"\r\n"
        rest = rest[end + 2 :]
    assert not rest
    return arguments


def _is_kept_as_it_was(token: Token, draws: Draws) -> None:
    amount, rest = draws.number(_MAX), draws.rest()
    settled = Settlement("0" * 32, token.scope_ids, amount, rest)
    assert unpack_settlement("0" * 32, pack_settlement(settled)) == settled
    held = Reservation("0" * 32, token.scope_ids, amount, 7, _NOW_MS, rest)
    # Behind the scopes stands how many windows it counts in: none.
    assert unpack_reservation("0" * 32, pack_reservation(held)) == held
    assert _arguments(encode("SET", rest, amount)) == [b"SET", rest, b"%d" % amount]


TARGET = Target(
    "commands",
    keeps,
    (
        *(
            b"\0" * 8,
            b"\xff" * 8,
            b"\0\0\0\0\0\0\x10\0",
            b"\r\n",
            b"$1\r\n",
            b"*1\r\n",
            b"\1",
            b"\2",
        ),
        *(
            b"\3",
            b"\4",
            b"\5",
            b"\x7f\xff\xff\xff",
            b"EVALSHA",
            b"{",
            b"}",
            b":",
            b"@",
            b"%",
            b"%b",
        ),
        *(b"\xfe\xff\xff\x7f\0\0\0\0", b"\xff\xff\xff\xff\xff\xff\x0f\0", b" ", b"|", b"\x80"),
    ),
)
