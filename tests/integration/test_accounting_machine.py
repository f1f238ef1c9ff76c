"""The cap holds and nothing is lost, whatever happens in whatever order: the state machine on the real stores."""

import asyncio

import pytest

from gateway.store.scripts import load_scripts
from tests.accounting_machine import EXAMPLES, run_machine
from tests.accounting_rig import open_stores
from tests.quota_rig import CLOCK


@pytest.mark.timeout(0 if EXAMPLES else 300)
def test_every_charge_is_counted_once_and_no_grant_is_overspent(postgres_dsn, valkey_url):
    with asyncio.Runner() as runner:
        opened = open_stores(postgres_dsn, valkey_url, load_scripts(clock=CLOCK))
        stores = runner.run(opened.__aenter__())
        try:
            run_machine(stores, runner, examples=EXAMPLES or 60)
        finally:
            runner.run(opened.__aexit__(None, None, None))
