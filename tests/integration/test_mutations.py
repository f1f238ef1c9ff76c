"""A proof is worth what it can catch: bugs are seeded into the scripts and the worker, and each must be found.

A bug is text that is replaced in a script or a statement, or a function of the product that is replaced. `laws` are
those that it may break first; which one did is in the test's properties.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest import mock

import pytest

from gateway.relay import housekeeping
from gateway.relay.announcing import Announcer
from gateway.relay.housekeeping import Housekeeping
from gateway.store import ledger
from gateway.store.ledger import Posted
from gateway.store.scripts import Script, Scripts, load_scripts
from tests.accounting_laws import Broken
from tests.accounting_machine import AccountingMachine, run_machine
from tests.accounting_rig import (
    BEAT_S,
    LEASE_S,
    PAUSE_S,
    SHARDS,
    SWEEP_S,
    Fate,
    Stores,
    open_stores,
)
from tests.quota_rig import CLOCK

pytestmark = pytest.mark.interpreted

EXAMPLES = 100
"""Runs within which each must be found; most are in the first few."""


@dataclass(frozen=True)
class Mutation:
    """`edits` are (text, other text) of `script`; `patches` are (owner, name, other value)."""

    name: str
    laws: frozenset[str]
    script: str = ""
    edits: tuple[tuple[str, str], ...] = ()
    patches: tuple[tuple[Any, str, Any], ...] = ()

    def scripts(self) -> Scripts:
        scripts = load_scripts(clock=CLOCK)
        if self.script:
            text = scripts[self.script].text.decode()
            for old, new in self.edits:
                text = replaced(text, old, new)
            sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest().encode()
            scripts[self.script] = Script(self.script, text.encode(), sha)
        return scripts

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, value in self.patches:
                stack.enter_context(mock.patch.object(owner, name, value))
            yield


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def in_script(name: str, laws: set[str], script: str, *edits: tuple[str, str]) -> Mutation:
    return Mutation(name, frozenset(laws), script, edits)


def in_python(name: str, laws: set[str], *patches: tuple[Any, str, Any]) -> Mutation:
    return Mutation(name, frozenset(laws), patches=patches)


async def nothing(*_: Any) -> int:
    return 0


async def tell_nothing(*_: Any) -> Counter[int]:
    return Counter()


async def confirm_first(self: Housekeeping) -> None:
    """The sweeper, the wrong way round."""
    for shard in range(SHARDS):
        if found := await self._quota.overdue(shard):
            charges = [housekeeping._charge(each) for each in found]
            self._poster._confirm_all(charges, Posted({}, frozenset()))
            await self._poster.post(charges)


MUTATIONS = (
    in_script(
        "no pause after a loss",
        {"uncounted", "overspend"},
        "epoch",
        ("local pause_end = now_ms + tonumber(ARGV[2])", "local pause_end = now_ms"),
    ),
    in_script(
        "a confirmation sets used",
        {"falls", "uncounted", "behind"},
        "confirm",
        ("if used > book[USED] then book[USED] = used end", "book[USED] = used"),
    ),
    in_script(
        "a confirmation leaves used alone",
        {"uncounted", "behind"},
        "confirm",
        ("if used > book[USED] then book[USED] = used end", ""),
    ),
    in_script(
        "a settlement counts as often as it comes",
        {"sums"},
        "settle",
        (
            "if call('HSETNX', KEYS[2], request_id, charge) == 0 then return 'ALREADY' end",
            "call('HSET', KEYS[2], request_id, charge)",
        ),
    ),
    in_script(
        "books of an earlier run of the store are taken as they are",
        {"uncounted", "overspend"},
        "reserve",
        ("if loaded ~= run_id or version < wanted then", "if version < wanted then"),
    ),
    in_python(
        "running calls are not announced",
        {"uncounted", "overspend"},
        (Announcer, "_announce", tell_nothing),
    ),
    in_script(
        "a book that is loaded forgets what is held and pending",
        {"sums"},
        "load",
        (
            "local book, sum = books[i], sums[scope_of(KEYS[i])]",
            "local book, sum = books[i], sums[scope_of(KEYS[i])] and { 0, 0, 0 }",
        ),
    ),
    in_python("nobody reaps and sweeps", {"left"}, (Housekeeping, "sweep", nothing)),
    in_script(
        "any call passes where something is left",
        {"overspend"},
        "reserve",
        ("if unheld < 0 then", "if granted - used - pending <= 0 then"),
        (
            "elseif left < 0 and HELD < rank then",
            "elseif granted - used - pending - reserved <= 0 and HELD < rank then",
        ),
    ),
    in_script(
        "an extension asks no grant",
        {"overspend"},
        "extend",
        ("if left < more then", "if false then"),
    ),
    in_python(
        "charges are not told again after a loss",
        {"uncounted", "overspend"},
        (Announcer, "_restate", tell_nothing),
    ),
    in_script(
        "what was never reserved is voided all the same",
        {"stranger"},
        "settle",
        ("if ARGV[5] == '2' and not record then", "if false then"),
    ),
    in_script(
        "a void does not keep out the reservation that comes after it",
        {"inexact"},
        "settle",
        ("call('ZADD', KEYS[3], 'NX', now_ms + sweep_ms, member)", ""),
    ),
    in_python(
        "a charge that is posted again is added to used again",
        {"ledger"},
        (
            ledger,
            "_POST",
            replaced(
                ledger._POST,
                "group_id, amount FROM new) each",
                "group_id, amount FROM staging) each",
            ),
        ),
    ),
    in_python(
        "an exact figure that comes late corrects nothing",
        {"inexact"},
        (ledger, "FIND_LATE", replaced(ledger.FIND_LATE, "AND s.amount <> l.amount", "AND false")),
    ),
    in_python(
        "the sweeper confirms before Postgres has it",
        {"uncounted", "missing"},
        (Housekeeping, "sweep", confirm_first),
    ),
    in_script(
        "a reservation that is made anew is not added to its books",
        {"sums"},
        "announce",
        ("reserved, live = reserved + sum[1], live + sum[2]", ""),
    ),
    in_script(
        "a limit in the shadow refuses",
        {"shadow"},
        "reserve",
        (
            "if in_shadow then\n      shadow = { 'WINDOW', scope, id, total, room, open_at - now_ms }\n    elseif",
            "if",
        ),
    ),
    in_script(
        "a settlement corrects a window's head and not its bucket",
        {"window"},
        "settle",
        (
            "if closed then call('HINCRBY', KEYS[ring], string.format('%s|%d', id, closed), by) end",
            "",
        ),
    ),
)


# What random runs come upon too seldom is told step by step. The laws are required after each step.


def late_confirmation(machine: AccountingMachine) -> None:
    """Two workers post one after the other; the first one's confirmation comes last."""
    first, second = one_call(machine, 0), one_call(machine, 1)
    machine.finish(first, None, is_twice=False)
    machine.finish(second - 1, None, is_twice=False)
    yield_to_laws(machine)
    machine.post(0, Fate.LATE, is_answered=True, then=False)
    machine.post(1, None, is_answered=True, then=False)
    yield_to_laws(machine)
    machine.advance(SWEEP_S + 1.5)


def rolled_back(machine: AccountingMachine) -> None:
    """A second call is charged and posted, and the store goes back to before it."""
    for _ in range(2):
        machine.run(machine.stores.save())
        machine.finish(one_call(machine, 0), None, is_twice=False)
        machine.post(0, None, is_answered=True, then=False)
        yield_to_laws(machine)
    machine.lose(is_rolled_back=True, after=PAUSE_S + BEAT_S)


def flushed_while_running(machine: AccountingMachine) -> None:
    one_call(machine, 0)
    yield_to_laws(machine)
    machine.lose(is_rolled_back=False, after=PAUSE_S + BEAT_S)


def flushed_before_posting(machine: AccountingMachine) -> None:
    machine.finish(one_call(machine, 0), None, is_twice=False)
    yield_to_laws(machine)
    machine.lose(is_rolled_back=False, after=PAUSE_S + BEAT_S)


def swept_while_postgres_is_away(machine: AccountingMachine) -> None:
    one_call(machine, 0)
    machine.advance(BEAT_S)
    yield_to_laws(machine)
    machine.crash(0)
    let_leases_end(machine)
    machine.interrupt(0, "Postgres")
    machine.sweep(1)


def voided_before_it_came(machine: AccountingMachine) -> None:
    """A reservation is on its way for so long that it is given up and voided; then it arrives."""
    one_call(machine, 0)  # books are loaded, so that the next one is decided on
    machine.reserve(0, 1, 100, Fate.LATE, is_twice=False)
    machine.run(machine.stores.workers[0].beat())
    yield_to_laws(machine)
    machine.advance(1.0)


def stopped_beyond_its_lease(machine: AccountingMachine) -> None:
    """A worker's call is charged in full without it; then it goes on, and knows better."""
    one_call(machine, 0)
    machine.advance(BEAT_S)
    yield_to_laws(machine)
    machine.interrupt(0, "process")
    let_leases_end(machine)
    machine.sweep(1)
    yield_to_laws(machine)
    machine.recover()
    machine.finish(0, None, is_twice=False)
    machine.post(0, None, is_answered=True, then=False)


def never_arrived(machine: AccountingMachine) -> None:
    """A reservation is lost on its way, and voided."""
    one_call(machine, 0)
    machine.reserve(0, 1, 100, Fate.LOST, is_twice=False)
    machine.advance(2 * BEAT_S)
    machine.post(0, None, is_answered=True, then=False)


def written_and_unheard(machine: AccountingMachine) -> None:
    """Postgres writes charges, its answer is lost, and they are posted again."""
    machine.finish(one_call(machine, 0), None, is_twice=False)
    for is_answered in (False, True):
        machine.post(0, None, is_answered=is_answered, then=False)
        yield_to_laws(machine)


def more_than_is_left(machine: AccountingMachine) -> None:
    for amount in (100, 150, 150):
        machine.reserve(0, 1, amount, None, is_twice=False)
        yield_to_laws(machine)


def extended_beyond_what_is_left(machine: AccountingMachine) -> None:
    one_call(machine, 0)
    one_call(machine, 0)
    for place in range(2):
        machine.extend(place, 200, any_part=False, fate=None)
        yield_to_laws(machine)


def settled_twice(machine: AccountingMachine) -> None:
    machine.finish(one_call(machine, 0), None, is_twice=True)


def asked_at_once_after_a_loss(machine: AccountingMachine) -> None:
    one_call(machine, 0)
    yield_to_laws(machine)
    machine.lose(is_rolled_back=False, after=0)


def let_leases_end(machine: AccountingMachine) -> None:
    later = machine.stores.clock.now_ms + round((LEASE_S + 1) * 1000)
    machine.run(machine.stores.set_time(later))


def one_call(machine: AccountingMachine, number: int) -> int:
    """A worker's call that has produced something; its place among the live ones."""
    machine.reserve(number, 1, 100, None, is_twice=False)
    place = len(machine.live()) - 1
    machine.produce(place, 50)
    return place


def yield_to_laws(machine: AccountingMachine) -> None:
    machine.wrote = True
    machine.laws_hold()


STORIES: dict[str, Callable[[AccountingMachine], None]] = {
    "no pause after a loss": asked_at_once_after_a_loss,
    "a settlement counts as often as it comes": settled_twice,
    "any call passes where something is left": more_than_is_left,
    "an extension asks no grant": extended_beyond_what_is_left,
    "what was never reserved is voided all the same": never_arrived,
    "a charge that is posted again is added to used again": written_and_unheard,
    "a confirmation sets used": late_confirmation,
    "books of an earlier run of the store are taken as they are": rolled_back,
    "running calls are not announced": flushed_while_running,
    "charges are not told again after a loss": flushed_before_posting,
    "a void does not keep out the reservation that comes after it": voided_before_it_came,
    "an exact figure that comes late corrects nothing": stopped_beyond_its_lease,
    "the sweeper confirms before Postgres has it": swept_while_postgres_is_away,
}


def tell(
    stores: Stores, runner: asyncio.Runner, story: Callable[[AccountingMachine], None]
) -> None:
    """A story to its end, as the machine runs one."""
    machine = AccountingMachine(stores, runner)
    machine.begin([])
    story(machine)
    yield_to_laws(machine)
    machine.teardown()


@contextmanager
def stores_with(
    postgres_dsn: str, valkey_url: str, scripts: Scripts
) -> Iterator[tuple[Stores, asyncio.Runner]]:
    with asyncio.Runner() as runner:
        opened = open_stores(postgres_dsn, valkey_url, scripts)
        stores = runner.run(opened.__aenter__())
        try:
            yield stores, runner
        finally:
            runner.run(opened.__aexit__(None, None, None))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
@pytest.mark.timeout(300)
def test_a_seeded_bug_is_found(mutation: Mutation, postgres_dsn, valkey_url, record_property):
    story = STORIES.get(mutation.name)
    run = (
        partial(run_machine, examples=EXAMPLES, shrink=False)
        if story is None
        else partial(tell, story=story)
    )
    with (
        mutation.applied(),
        stores_with(postgres_dsn, valkey_url, mutation.scripts()) as (stores, runner),
        pytest.raises(Broken) as caught,
    ):
        run(stores, runner)
    record_property("broke", caught.value.law)
    assert caught.value.law in mutation.laws, caught.value


def test_without_a_bug_every_story_ends_well(postgres_dsn, valkey_url):
    scripts = load_scripts(clock=CLOCK)
    with stores_with(postgres_dsn, valkey_url, scripts) as (stores, runner):
        for story in STORIES.values():
            tell(stores, runner, story)
