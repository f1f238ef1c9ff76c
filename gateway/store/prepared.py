"""The commands of one token and model as bytes: what is constant is encoded once.

The layouts are those at the top of `lua/reserve.lua`, `lua/extend.lua` and `lua/settle.lua`. Knows the names of the
quota store's keys.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.domain.limits import MAX_EXACT
from gateway.domain.token import Token
from gateway.store.scripts import Script, Scripts
from gateway.store.windows import Window, windows_of

_RESERVE_HEAD: Final = struct.Struct("<40sdBd")
_RESERVE_SCOPES: Final = struct.Struct("<8d")
_SETTLE_TIMES: Final = struct.Struct("<2d")
_VOID: Final = 2
_LOOK: Final = 2
ID_BYTES: Final = 32
"""A request id: 32 hexadecimal characters."""
_NOBODY: Final = b"0" * ID_BYTES

# Numbers are written with 16 digits (2^52 has as many), so that their length is constant and one
# formatting step makes the rest of the command.
_TAIL: Final = b"$32\r\n%b\r\n$16\r\n%016d\r\n$16\r\n%016d\r\n$1\r\n%d\r\n$%d\r\n%b\r\n"
_TAIL_ARGS: Final = 5
_EXTEND_TAIL: Final = b"$32\r\n%b\r\n$16\r\n%016d\r\n$16\r\n%016d\r\n$1\r\n%d\r\n"
_EXTEND_TAIL_ARGS: Final = 4


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `QuotaStore.prepare` gives.

    To be kept for as long as token, model and catalog are the same objects.

    A call is settled with the `Prepared` that it was reserved with: it names the scopes.
    """

    account_id: int
    shard: int
    run_id: bytes
    windows: tuple[Window, ...]
    reserve_head: bytes
    extend_head: bytes
    settle_head: bytes

    def reserve(
        self, request_id: bytes, amount: int, tokens: int, detail: bytes, *, dry: bool
    ) -> bytes:
        """The whole RESERVE command. Raises ValueError for what would not fit into it."""
        if len(request_id) != ID_BYTES or not (0 <= amount < MAX_EXACT and 0 <= tokens < MAX_EXACT):
            raise ValueError(f"cannot reserve {amount} for {tokens} tokens as {request_id!r}")
        return self.reserve_head + _TAIL % (
            request_id, amount, tokens, dry, len(detail), detail,
        )  # fmt: skip

    def look(self, amount: int, tokens: int) -> bytes:
        """The RESERVE command that takes nothing and tells what is there. Raises ValueError as `reserve` does."""
        if not (0 <= amount < MAX_EXACT and 0 <= tokens < MAX_EXACT):
            raise ValueError(f"cannot reserve {amount} for {tokens} tokens")
        return self.reserve_head + _TAIL % (_NOBODY, amount, tokens, _LOOK, 0, b"")

    def extend(self, request_id: bytes, amount: int, tokens: int, *, fill: bool) -> bytes:
        """The whole EXTEND command: what the reservation is to hold in all.

        With `fill`, as much of it as there is.
        """
        amount, tokens = min(amount, MAX_EXACT - 1), min(tokens, MAX_EXACT - 1)
        return self.extend_head + _EXTEND_TAIL % (request_id, amount, tokens, fill)

    def settle(
        self, request_id: bytes, amount: int, tokens: int, event: bytes, *, keep_request: bool
    ) -> bytes:
        """The whole SETTLE command.

        A cost is always recorded, so amounts out of bounds are brought to the bound.
        """
        return self._settle(request_id, amount, tokens, event, int(keep_request))

    def void(self, request_id: bytes, event: bytes) -> bytes:
        """The SETTLE command that gives a reservation back whole, if it is one."""
        return self._settle(request_id, 0, 0, event, _VOID)

    def _settle(
        self, request_id: bytes, amount: int, tokens: int, event: bytes, mode: int
    ) -> bytes:
        if len(request_id) != ID_BYTES:
            raise ValueError(f"no request id: {request_id!r}")
        if not (0 <= amount < MAX_EXACT and 0 <= tokens < MAX_EXACT):
            amount = min(max(amount, 0), MAX_EXACT - 1)
            tokens = min(max(tokens, 0), MAX_EXACT - 1)
        return self.settle_head + _TAIL % (
            request_id, amount, tokens, mode, len(event), event,
        )  # fmt: skip


def prepare(
    scripts: Scripts,
    token: Token,
    model: str,
    *,
    generation: int,
    run_id: bytes,
    now_ms: int,
    lease_s: float,
    sweep_s: float,
    outbox_s: float,
) -> Prepared:
    """The commands for calls of `model` with `token`, for the run `run_id` of the store."""
    windows = windows_of(token, model, now_ms)
    shard, account = token.shard, str(token.account_id)
    scope_ids = token.scope_ids
    records, deadlines = key(shard, "r", account), key(shard, "x")
    books = [key(shard, "b", scope_id) for scope_id in scope_ids]
    # Both scripts have three keys and the books in front of the heads.
    heads, rings, packed = window_keys(shard, scope_ids, windows, 3 + len(books))

    outbox = [key(shard, "o")] if outbox_s else []
    names = _text(account) + _text(" ".join(scope_ids))
    scopes = [n for pair in zip(token.versions, token.concurrency, strict=True) for n in pair]
    taking_keys = [records, deadlines, key(shard, "e"), *books, *heads, *rings]
    taking = b"".join(
        (
            _RESERVE_HEAD.pack(run_id, generation, token.capped, lease_s * 1000),
            names,
            _RESERVE_SCOPES.pack(*scopes),
            packed,
        )
    )
    return Prepared(
        token.account_id,
        shard,
        run_id,
        windows,
        _head(scripts["reserve"], taking_keys, taking, _TAIL_ARGS),
        _head(scripts["extend"], taking_keys, taking, _EXTEND_TAIL_ARGS),
        _head(
            scripts["settle"],
            [records, key(shard, "p", account), deadlines, *books, *heads, *rings, *outbox],
            b"".join(
                (
                    names,
                    _SETTLE_TIMES.pack(sweep_s * 1000, outbox_s * 1000),
                    packed,
                )
            ),
            _TAIL_ARGS,
        ),
    )


def window_keys(
    shard: int, scope_ids: Sequence[str], windows: Sequence[Window], before: int
) -> tuple[list[bytes], list[bytes], bytes]:
    """The heads of windows, the w of their scopes, and how many they are with a WINDOW of each.

    `before` is how many keys of the script stand in front of the heads.
    """
    heads = [key(shard, "h", f"{scope_ids[w.scope]}:{w.id}") for w in windows]
    limited = sorted({w.scope for w in windows})
    rings = [key(shard, "w", scope_ids[scope]) for scope in limited]
    # Lua counts from 1.
    numbers = {scope: before + len(heads) + n for n, scope in enumerate(limited, start=1)}
    packed = bytes((len(windows),)) + b"".join(w.pack(numbers[w.scope]) for w in windows)
    return heads, rings, packed


def key(shard: int, kind: str, name: str | None = None) -> bytes:
    """A key of the quota store; `kind` is one of e, b, h, w, r, p, x, o.

    The tag keeps a shard in one slot.
    """
    text = f"q:{{s{shard:03d}}}:{kind}"
    return (text if name is None else f"{text}:{name}").encode("ascii")


def _text(text: str) -> bytes:
    data = text.encode("ascii")
    return bytes((len(data),)) + data


def _head(script: Script, keys: list[bytes], constant: bytes, tail_args: int) -> bytes:
    args = [b"EVALSHA", script.sha, str(len(keys)).encode(), *keys, constant]
    parts = [b"*%d\r\n" % (len(args) + tail_args)]
    parts += [b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args]
    return b"".join(parts)
