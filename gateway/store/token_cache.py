"""Tokens by key, kept for a short while in this process.

Bounded by memory; what was not called with for long goes first. One look-up per key at a time; unknown keys are
remembered briefly. What this cache says may be old: the
token's version is compared again inside the reserve script, and a refusal that was decided on an old row is decided
again on a fresh one.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.domain import key as keys
from gateway.domain.errors import StoreUnavailable
from gateway.domain.pepper import Pepper
from gateway.domain.token import Token

_UNKNOWN_S = 5.0
_OUTAGE_S = 60.0
_MAX_UNKNOWN = 10_000
_REFRESH_S = 1.0
_MOST_TERMS = 256
_MOST_SPARED = 64

# What CPython 3.11 takes, by tracemalloc: objects, their places in the indexes, and each rule of a token's own.
_ENTRY_BYTES = 1220
_RULE_BYTES = 120


class Room:
    """About how much memory all entries of a cache take."""

    __slots__ = ("taken_bytes",)

    def __init__(self) -> None:
        self.taken_bytes = 0


class Entry:
    """A token with what was prepared for its calls. `terms` belongs to the relay.

    `name`: the SHA-256 of the key, of which digests are made. `used`: it was called with since the cache last looked
    for what can go.
    """

    __slots__ = ("_bytes", "_room", "loaded_at", "name", "terms", "token", "used")

    def __init__(self, name: bytes, token: Token, loaded_at: float) -> None:
        self.name = name
        self.token = token
        self.loaded_at = loaded_at
        self.used = False
        self.terms: dict[Any, Any] = {}
        self._bytes = _size_of(token)
        self._room: Room | None = None

    def keep(self, name: object, terms: object, size_bytes: int) -> None:
        """Keep terms, which take so much, until there are others of that name."""
        if len(self.terms) >= _MOST_TERMS:
            self.terms.clear()  # names are the caller's: where any is served, they could be endless
            self._become(_size_of(self.token))
        if name not in self.terms:
            self._become(self._bytes + size_bytes)
        self.terms[name] = terms

    def enter(self, room: Room) -> None:
        """Take room from now on."""
        self._room = room
        room.taken_bytes += self._bytes

    def leave(self) -> None:
        """Take none any more: only calls that run still have it."""
        if self._room is not None:
            self._room.taken_bytes -= self._bytes
            self._room = None

    def _become(self, size_bytes: int) -> None:
        if self._room is not None:
            self._room.taken_bytes += size_bytes - self._bytes
        self._bytes = size_bytes


class TokenCache:
    """`find` looks up whichever there is of a key's digests; times are seconds of `clock` (monotonic)."""

    def __init__(
        self,
        find: Callable[[Sequence[bytes]], Awaitable[Token | None]],
        pepper: Pepper,
        *,
        fresh_s: float,
        most_bytes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._pepper = pepper
        self._fresh_s = fresh_s
        self._most_bytes = most_bytes
        self._clock = clock
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._room = Room()
        self._by_token: dict[int, set[bytes]] = {}
        self._by_account: dict[int, set[bytes]] = {}
        self._unknown: dict[bytes, float] = {}
        self._flights: dict[bytes, asyncio.Future[Entry | None]] = {}
        self.hits = 0
        """Look-ups that were answered from memory."""
        self.misses = 0
        """Those that asked Postgres."""

    @property
    def taken_bytes(self) -> int:
        """About how much memory the entries take."""
        return self._room.taken_bytes

    def get(self, key: str) -> Entry | None:
        """The entry of a key, where it is known and fresh."""
        entry = self._entries.get(keys.sha256_of(key))
        if entry is not None and self._clock() - entry.loaded_at < self._fresh_s:
            entry.used = True
            self.hits += 1
            return entry
        return None

    async def fetch(self, key: str) -> Entry | None:
        """The entry of a key, looked up where needed; None for a key that opens nothing.

        Raises `StoreUnavailable` when Postgres does not answer and the key was not seen in the last minute.
        """
        name = keys.sha256_of(key)
        until = self._unknown.get(name)
        if until is not None and self._clock() < until:
            return None
        return await self._fly(name)

    def is_unknown(self, key: str) -> bool:
        """Whether the key was looked up a moment ago and opened nothing."""
        until = self._unknown.get(keys.sha256_of(key))
        return until is not None and self._clock() < until

    async def refresh(self, entry: Entry) -> bool:
        """Look an entry's token up again, at most once a second; whether it has changed.

        Raises `StoreUnavailable` as `fetch` does.
        """
        if self._clock() - entry.loaded_at < _REFRESH_S:
            return False
        fresh = await self.renew(entry)
        return fresh is None or fresh.token != entry.token

    async def renew(self, entry: Entry) -> Entry | None:
        """Look an entry's token up again in any case: it is known to have changed.

        Raises `StoreUnavailable` as `fetch` does.
        """
        return await self._fly(entry.name)

    def drop(self, token_id: int) -> None:
        """Forget a token whose row changed."""
        for name in tuple(self._by_token.get(token_id, ())):
            self._forget(name)

    def drop_account(self, account_id: int) -> None:
        """Forget the tokens of an account of which something changed that binds them."""
        for name in tuple(self._by_account.get(account_id, ())):
            self._forget(name)

    def drop_user(self, user_id: int) -> None:
        """Forget a user's tokens: what they all depend on changed."""
        entries = self._entries.values()
        for token_id in {e.token.id for e in entries if e.token.user_id == user_id}:
            self.drop(token_id)

    def clear(self) -> None:
        """Forget everything: after a gap in which changes may have been missed."""
        self._entries.clear()
        self._room = Room()
        self._by_token.clear()
        self._by_account.clear()
        self._unknown.clear()

    async def _fly(self, name: bytes) -> Entry | None:
        flight = self._flights.get(name)
        if flight is not None:
            return await asyncio.shield(flight)
        flight = asyncio.ensure_future(self._look_up(name))
        self._flights[name] = flight
        flight.add_done_callback(lambda done: self._landed(name, done))
        # Shielded: the caller who started a look-up may leave while others wait for it.
        return await asyncio.shield(flight)

    def _landed(self, name: bytes, flight: asyncio.Future[Entry | None]) -> None:
        self._flights.pop(name, None)
        if not flight.cancelled():
            flight.exception()  # whoever asked may have left; then nobody else looks at it

    async def _look_up(self, name: bytes) -> Entry | None:
        self.misses += 1
        try:
            token = await self._find(self._pepper.digests(name))
        except StoreUnavailable:
            entry = self._entries.get(name)
            if entry is not None and self._clock() - entry.loaded_at < _OUTAGE_S:
                return entry
            raise
        self._forget(name)
        if token is None:
            if len(self._unknown) >= _MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown[name] = self._clock() + _UNKNOWN_S
            return None
        entry = Entry(name, token, self._clock())
        self._make_room()
        self._entries[name] = entry
        entry.enter(self._room)
        for index, number in self._indexes(token):
            index.setdefault(number, set()).add(name)
        return entry

    def _make_room(self) -> None:
        """Forget the oldest entries until there is room; those in use are spared once, so many at a time."""
        spared = 0
        while self._entries and self._room.taken_bytes >= self._most_bytes:
            name, entry = next(iter(self._entries.items()))
            if entry.used and spared < _MOST_SPARED:
                entry.used = False
                self._entries.move_to_end(name)
                spared += 1
            else:
                self._forget(name)

    def _forget(self, name: bytes) -> None:
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        entry.leave()
        for index, number in self._indexes(entry.token):
            names = index[number]
            names.discard(name)
            if not names:
                del index[number]

    def _indexes(self, token: Token) -> tuple[tuple[dict[int, set[bytes]], int], ...]:
        return (self._by_token, token.id), (self._by_account, token.account_id)


def _size_of(token: Token) -> int:
    blocks = token.allow | token.deny
    rules = len(token.limits) + len(token.models or ()) + len(blocks.v4) + len(blocks.v6)
    return _ENTRY_BYTES + len(token.name) + _RULE_BYTES * rules
