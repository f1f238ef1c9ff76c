"""What the scripts that take something answer, as typed values.

Pure; the raw forms are listed at the top of `lua/reserve.lua` and `lua/extend.lua`.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple

import hiredis

from gateway.domain.errors import StoreNotAsked, StoreUnavailable
from gateway.domain.limits import Metric
from gateway.domain.token import SCOPES
from gateway.store.windows import read_window_id


class Rule(StrEnum):
    """Which kind of limit refused."""

    QUOTA = "QUOTA"
    """What is left would not do even if nothing were held."""
    TOO_BIG = "TOOBIG"
    """The call alone is above a window's limit: refused for good."""
    HELD = "HELD"
    """Only what other calls hold makes it too little."""
    CONCURRENCY = "CONC"
    WINDOW = "WINDOW"


class Obstacle(StrEnum):
    """Why the script decided nothing."""

    EPOCH = "EPOCH"
    """The shard is not open for this run of the store: `QuotaStore.reopen`, then prepare again."""
    PAUSE = "PAUSE"
    """The store was lost; capped calls wait `value` ms."""
    GENERATION = "GEN"
    """The catalog is at generation `value`, the caller's is older."""
    LOAD = "LOAD"
    """The book of scope `value` (0..3) is missing or old: `QuotaStore.load`, then again."""
    STALE = "STALE"
    """The caller's row of scope `value` (0..3) is old: read it again, prepare again."""
    PERIOD = "PERIOD"
    """A calendar window's period is over: prepare with `now_ms=value`."""
    DUPLICATE = "DUP"
    """This id is reserved already and still live: it counts as reserved."""
    DONE = "DONE"
    """This id is settled already."""
    GONE = "GONE"
    """This id has no reservation any more: another worker took it over when its lease was over."""
    DOWN = "DOWN"
    """The store was not asked, or answered with an error: nothing was reserved."""
    UNKNOWN = "UNKNOWN"
    """No reply: the call may or may not have been reserved, or may be yet."""


class Rate(NamedTuple):
    """A window after this call, for `x-ratelimit-*`: `reset_ms` until it would be empty."""

    limit: int
    remaining: int
    reset_ms: int


class Reserved(NamedTuple):
    """Taken. `free_nusd` is what the tightest grant has left, None where no scope has one.

    `requests`, `tokens` are the windows with the least remaining, None where there is none. `shadows` are the
    refusals of limits in the shadow.
    """

    free_nusd: int | None
    requests: Rate | None = None
    tokens: Rate | None = None
    shadows: tuple["Refused", ...] = ()


class Refused(NamedTuple):
    """Nothing was taken, because of `rule` of `scope` (a word of `SCOPES`).

    QUOTA, HELD: nano-dollars used, held, limit; `free` is what the tightest grant would have left
    with this call's amount taken (below zero). CONCURRENCY: used = live calls. WINDOW, TOO_BIG:
    metric and window, used = what is counted, or what the call alone would count; `retry_ms`
    (WINDOW only) is exact if nothing else happens. Where `has_burst`, `limit` is the burst.
    """

    rule: Rule
    scope: str
    used: int
    limit: int
    held: int = 0
    metric: Metric | None = None
    window: str | None = None
    retry_ms: int | None = None
    free: int = 0
    has_burst: bool = False


class Again(NamedTuple):
    """Nothing was decided. `value` is what the obstacle names; `cause` is for our log."""

    obstacle: Obstacle
    value: int = 0
    cause: str = ""


class Extended(NamedTuple):
    """The reservation holds `amount_nusd` in all now."""

    amount_nusd: int


Reply = Reserved | Refused | Again
_RATES: Final = 8
"""The members of an OK with the tightest windows."""
EPOCH_REPLY: Final[list[bytes]] = [b"EPOCH"]
"""What the script would answer to a caller of another run of the store."""


def read_reply(reply: object) -> Reply:
    """The meaning of a raw reply to `reserve`; whatever the script does not answer is DOWN."""
    if isinstance(reply, list) and reply:
        word = reply[0]
        if word == b"OK":
            return _reserved(reply)
        read = _READERS.get(word)
        if read is not None:
            return read(reply)
    if isinstance(reply, StoreNotAsked | hiredis.ReplyError):
        return Again(Obstacle.DOWN, cause=str(reply))
    if isinstance(reply, StoreUnavailable):
        return Again(Obstacle.UNKNOWN, cause=str(reply))
    return Again(Obstacle.DOWN, cause=f"unknown reply {reply!r}")


def read_extended(reply: object) -> Extended | Refused | Again:
    """The meaning of a raw reply to `extend`."""
    if isinstance(reply, list) and reply and reply[0] == b"OK":
        return Extended(reply[1])
    read = read_reply(reply)
    return (
        Again(Obstacle.DOWN, cause=f"unknown reply {reply!r}")
        if isinstance(read, Reserved)
        else read
    )


def _reserved(reply: list[Any]) -> Reserved:
    free = None if reply[1] == b"" else reply[1]
    if len(reply) == 2:  # noqa: PLR2004 -- under no window
        return Reserved(free)
    shadows: tuple[Refused, ...] = ()
    if len(reply) > _RATES:
        reply, shadows = reply[:_RATES], read_shadows(reply[_RATES:])
    _, _, limit, remaining, reset_ms, token_limit, token_remaining, token_reset_ms = reply
    return Reserved(
        free,
        None if limit == b"" else Rate(limit, remaining, reset_ms),
        None if token_limit == b"" else Rate(token_limit, token_remaining, token_reset_ms),
        shadows,
    )


def read_shadows(refusals: list[Any]) -> tuple[Refused, ...]:
    """What limits in the shadow would have refused."""
    return tuple(_window(each) if each[0] == b"WINDOW" else _too_big(each) for each in refusals)


def _again(reply: list[Any]) -> Again:
    return Again(Obstacle(reply[0].decode()), reply[1] if len(reply) > 1 else 0)


def _money(reply: list[Any]) -> Refused:
    word, scope, used, held, limit, free = reply
    return Refused(Rule(word.decode()), SCOPES[scope], used, limit, held, free=free)


def _concurrency(reply: list[Any]) -> Refused:
    _, scope, live, limit = reply
    return Refused(Rule.CONCURRENCY, SCOPES[scope], live, limit)


def _window(reply: list[Any]) -> Refused:
    _, scope, name, used, limit, retry_ms = reply
    metric, window, has_burst = read_window_id(name.decode())
    return Refused(
        Rule.WINDOW, SCOPES[scope], used, limit, 0, metric, window, retry_ms, has_burst=has_burst
    )


def _too_big(reply: list[Any]) -> Refused:
    _, scope, name, limit, cost = reply
    metric, window, has_burst = read_window_id(name.decode())
    return Refused(
        Rule.TOO_BIG, SCOPES[scope], cost, limit, 0, metric, window, None, has_burst=has_burst
    )


_READERS: Final[dict[bytes, Callable[[list[Any]], Refused | Again]]] = {
    b"QUOTA": _money,
    b"HELD": _money,
    b"CONC": _concurrency,
    b"WINDOW": _window,
    b"TOOBIG": _too_big,
    b"EPOCH": _again,
    b"PAUSE": _again,
    b"GEN": _again,
    b"LOAD": _again,
    b"STALE": _again,
    b"PERIOD": _again,
    b"GONE": _again,
    b"DUP": _again,
    b"DONE": _again,
}
