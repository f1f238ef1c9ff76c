"""Every parser keeps what it promises, of the inputs that are known to be nasty and of some new ones."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.every import TARGETS
from tests.fuzz.target import CORPUS, Target

every_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
_SOME = 60


@every_target
def test_a_parser_keeps_its_promise_of_what_is_known(target: Target):
    for data in target.known():
        target.keeps(data)


@every_target
def test_a_parser_keeps_its_promise_of_what_is_new(target: Target):
    @settings(max_examples=_SOME, deadline=None, suppress_health_check=list(HealthCheck))
    @given(target.inputs())
    def try_one(data: bytes) -> None:
        target.keeps(data)

    try_one()


def test_each_target_has_known_inputs_and_each_input_a_target():
    assert {path.name for path in CORPUS.iterdir()} == {target.name for target in TARGETS}
    assert all(len(target.known()) > 3 for target in TARGETS)
