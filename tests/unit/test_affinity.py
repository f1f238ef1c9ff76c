"""A conversation keeps to one of several keys."""

import json
from types import MappingProxyType
from urllib.parse import urlsplit

from gateway.domain.affinity import beginning_of, rank
from gateway.domain.catalog import Upstream
from gateway.relay.upstream_state import UpstreamState

KEYS = ("a", "b", "c", "d")


def body(*texts: str, system: str = "Be brief.") -> bytes:
    messages = [{"role": "system", "content": system}]
    messages += [{"role": "user", "content": text} for text in texts]
    return json.dumps({"model": "m", "messages": messages}).encode()


def test_every_turn_of_a_conversation_begins_alike():
    assert beginning_of(body("Hello"), 1) == beginning_of(body("Hello", "and then?"), 1)
    alone, longer = ({"messages": [{"role": "user", "content": "Hi"}] * n, "n": n} for n in (1, 2))
    assert beginning_of(json.dumps(alone).encode(), 1) == beginning_of(
        json.dumps(longer).encode(), 1
    )
    assert beginning_of(body("Hello"), 1) != beginning_of(body("Hello", system="Rhyme."), 1)
    assert beginning_of(body("Hello"), 1) != beginning_of(body("Hello"), 2)
    assert beginning_of(b"", 1) == beginning_of(b"", 1)


def test_who_leaves_moves_nobody_else():
    conversations = range(2000)
    before = {each: min(KEYS, key=lambda key: rank(each, key)) for each in conversations}
    after = {each: min(KEYS[1:], key=lambda key: rank(each, key)) for each in conversations}
    assert all(after[each] == before[each] for each in conversations if before[each] != "a")
    shares = [list(before.values()).count(key) for key in KEYS]
    assert min(shares) > 300


def state() -> UpstreamState:

    upstream = Upstream(
        "u", "openai", urlsplit("http://u/v1"), KEYS, MappingProxyType({}), affinity=True
    )
    return UpstreamState(upstream, lambda: 0.0)


def test_a_conversation_has_its_key_until_that_is_set_aside():
    of = state()
    own = of.seat(0.0, (), 5)
    assert {of.seat(0.0, (), 5).number for _ in range(5)} == {own.number}
    of.set_aside(own, 429, 10.0, 0.0)
    other = of.seat(1.0, (), 5)
    assert other.number != own.number
    assert of.seat(1.0, (), 5) is other
    assert of.seat(20.0, (), 5) is own


def test_without_one_keys_take_turns():
    of = state()
    assert sorted(of.seat(0.0).number for _ in range(4)) == [1, 2, 3, 4]
