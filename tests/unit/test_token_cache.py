"""Which keys a worker remembers, where it cannot remember all."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.domain.key import create_key, digests
from gateway.domain.pepper import Pepper
from gateway.domain.token import Token
from gateway.store.token_cache import Entry, TokenCache
from tests.quota_rig import token

PEPPER = Pepper(b"pepper")
ROOM_FOR = 10


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Keys:
    """Any key opens a token of its own; how often was Postgres asked?"""

    def __init__(self) -> None:
        self.asked = 0

    async def find(self, _digests: Sequence[bytes]) -> Token:
        self.asked += 1
        return replace(token(), id=self.asked)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def cache(keys: Keys) -> TokenCache:
    size = Entry(b"", token(), 0.0)._bytes
    return TokenCache(keys.find, PEPPER, fresh_s=10, most_bytes=ROOM_FOR * size, clock=Clock())


async def called(cache: TokenCache, key: str) -> Entry:
    entry = cache.get(key) or await cache.fetch(key)
    assert entry is not None
    return entry


async def test_keys_in_use_survive_a_stream_of_keys_that_come_once(
    cache: TokenCache, keys: Keys
) -> None:
    used = [create_key() for _ in range(ROOM_FOR // 2)]
    for _ in range(200):
        for key in used:
            await called(cache, key)
        await called(cache, create_key())
    assert keys.asked == 200 + len(used)


async def test_keys_that_are_not_used_any_more_go(cache: TokenCache) -> None:
    past = [create_key() for _ in range(ROOM_FOR)]
    for key in past * 2:
        await called(cache, key)
    for _ in range(3 * ROOM_FOR):
        await called(cache, create_key())
    assert not any(cache.get(key) for key in past)


async def test_what_is_kept_for_a_keys_models_counts(cache: TokenCache) -> None:
    many = create_key()
    entry = await called(cache, many)
    others = [create_key() for _ in range(ROOM_FOR - 1)]
    for key in others:
        await called(cache, key)
    assert all(cache.get(key) for key in others)
    entry.keep("model", "terms", ROOM_FOR * entry._bytes)
    new = create_key()
    await called(cache, new)
    assert cache.get(new)
    assert not cache.get(many)


async def test_models_of_a_key_that_is_forgotten_take_no_room(cache: TokenCache) -> None:
    """A call that runs has it still."""
    entry = await called(cache, create_key())
    cache.drop(entry.token.id)
    entry.keep("model", "terms", 10**9)
    kept = [create_key() for _ in range(ROOM_FOR)]
    for key in kept:
        await called(cache, key)
    cache.clear()
    for key in kept:
        await called(cache, key)
    assert all(cache.get(key) for key in kept)


async def test_room_is_made_where_every_key_is_in_use(cache: TokenCache) -> None:
    for _ in range(20 * ROOM_FOR):
        key = create_key()
        await called(cache, key)
        await called(cache, key)
    assert len(cache._entries) == ROOM_FOR


class NoKeys:
    """No key opens anything; by which digests was it asked?"""

    def __init__(self) -> None:
        self.asked: list[Sequence[bytes]] = []

    async def find(self, digests: Sequence[bytes]) -> None:
        self.asked.append(digests)


async def test_with_two_peppers_an_unknown_key_is_looked_up_once_and_remembered() -> None:
    nobody, pepper, key = NoKeys(), Pepper(b"new", b"old"), create_key()
    cache = TokenCache(nobody.find, pepper, fresh_s=10, most_bytes=10_000, clock=Clock())
    assert await cache.fetch(key) is None
    assert await cache.fetch(key) is None
    assert cache.is_unknown(key)
    assert nobody.asked == [digests(key, pepper)]
