"""The cap holds and nothing is lost, whatever happens in whatever order: the state machine on the real stores."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.store.scripts import load_scripts
from tests.accounting_machine import EXAMPLES, AccountingMachine, run_machine
from tests.accounting_rig import BEAT_S, PAUSE_S, Stores, open_stores
from tests.quota_rig import CLOCK

pytestmark = pytest.mark.interpreted


@contextmanager
def opened(postgres_dsn: str, valkey_url: str) -> Iterator[tuple[Stores, asyncio.Runner]]:
    with asyncio.Runner() as runner:
        stores = open_stores(postgres_dsn, valkey_url, load_scripts(clock=CLOCK))
        try:
            yield runner.run(stores.__aenter__()), runner
        finally:
            runner.run(stores.__aexit__(None, None, None))


@pytest.mark.timeout(0 if EXAMPLES else 300)
@pytest.mark.parametrize(
    "double_faults",
    [
        pytest.param(False, id="with single faults"),
        pytest.param(True, id="with double faults by no more than their bound"),
    ],
)
def test_every_charge_is_counted_once_and_no_grant_is_overspent(
    double_faults, postgres_dsn, valkey_url
):
    with opened(postgres_dsn, valkey_url) as (stores, runner):
        run_machine(stores, runner, examples=EXAMPLES or 60, double_faults=double_faults)


def test_a_worker_that_is_cut_off_while_its_store_is_lost_tells_what_that_may_have_cost(
    postgres_dsn, valkey_url
):
    """The bound is not loose: the same money is spent twice, and to the nano-dollar what was declared."""
    with opened(postgres_dsn, valkey_url) as (stores, runner):
        machine = AccountingMachine(stores, runner, double_faults=True)
        machine.begin([])
        machine.reserve(0, 3, 150, None, is_twice=False)
        machine.produce(0, 150)
        machine.laws_hold()
        cut_off = stores.workers[0]
        machine.interrupt(0, "way to Valkey")
        machine.lose(is_rolled_back=False, after=PAUSE_S + BEAT_S)
        machine.reserve(1, 3, 150, None, is_twice=False)
        machine.produce(len(machine.live()) - 1, 150)
        machine.laws_hold()
        spent = sum(truth.cost for truth in machine.laws.truths.values())
        ceiling = machine.laws.ceilings["g2.1"]
        assert (spent, machine.laws.bound.overrun["g2.1"]) == (300, 150)
        assert ceiling < spent <= ceiling + 150
        machine.recover()
        machine.advance(2 * BEAT_S)
        assert (cut_off.quota.double_faults, cut_off.quota.double_fault_nusd) == (1, 150)
        machine.teardown()
