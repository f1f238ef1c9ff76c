"""A short `python -m tests.edges_run`: slow connections are held, bombs are refused, and the worker does not grow."""

import pytest

from tests.e2e.product import linux_only
from tests.edges_run import MOST_GROWN_BYTES, edges

pytestmark = [linux_only, pytest.mark.timeout(300)]


async def test_slow_connections_are_held_and_bombs_are_refused_within_their_memory():
    figures = await edges(slow=60, seconds=1, rounds=1, shed_delay_s=0)
    assert figures["slow_connections_held"] == 60
    assert figures["bombs_refused"] == figures["bombs"] > 10, figures["bombs_that_passed"]
    assert figures["bombs_grown_mb"] * 1e6 < MOST_GROWN_BYTES, figures["each_bomb"]
