"""Two peppers at a time: what is made with which, and what is recognised."""

import pytest

from gateway.config import ConfigError, read_pepper
from gateway.domain import key as keys
from gateway.domain.pepper import Pepper

OLD, NEW = bytes(range(32)), bytes(range(64, 96))


def test_new_digests_are_the_new_peppers_and_those_of_the_old_one_are_recognised():
    both, text = Pepper(NEW, OLD), keys.create_key()
    assert keys.digest(text, both) == keys.digest(text, Pepper(NEW))
    assert keys.digests(text, both) == (
        keys.digest(text, Pepper(NEW)),
        keys.digest(text, Pepper(OLD)),
    )
    assert keys.digests(text, Pepper(NEW)) == (keys.digest(text, Pepper(NEW)),)


def test_a_version_is_the_peppers_own_wherever_it_stands():
    old, new = Pepper(OLD).version, Pepper(NEW).version
    assert old != new
    assert tuple(Pepper(NEW, OLD).versions) == (new, old)
    assert tuple(Pepper(OLD, NEW).versions) == (old, new)
    assert min(old, new) >= 0
    assert max(old, new) < 2**31  # a column of four bytes


def test_a_pepper_prints_nothing_of_itself():
    shown = repr(Pepper(NEW, OLD))
    assert OLD.hex() not in shown
    assert repr(NEW) not in shown


def test_both_peppers_are_read_from_the_environment_or_from_files(tmp_path):
    file = tmp_path / "pepper_previous"
    file.write_text(OLD.hex() + "\n")
    here = {"TOLLHOUSE_PEPPER": NEW.hex()}
    assert tuple(read_pepper(here).versions) == (Pepper(NEW).version,)
    for previous in (
        {"TOLLHOUSE_PEPPER_PREVIOUS": OLD.hex()},
        {"TOLLHOUSE_PEPPER_PREVIOUS_FILE": str(file)},
    ):
        assert tuple(read_pepper(here | previous).versions) == tuple(Pepper(NEW, OLD).versions)


@pytest.mark.parametrize(
    ("previous", "problem"),
    [
        ({"TOLLHOUSE_PEPPER_PREVIOUS": "hunter2"}, "must be 64 hexadecimal digits"),
        ({"TOLLHOUSE_PEPPER_PREVIOUS": NEW.hex()}, "the same as TOLLHOUSE_PEPPER"),
        ({"TOLLHOUSE_PEPPER_PREVIOUS_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_a_previous_pepper_that_is_none_is_refused(previous, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        read_pepper({"TOLLHOUSE_PEPPER": NEW.hex()} | previous)
    assert "TOLLHOUSE_PEPPER_PREVIOUS" in str(caught.value)
    assert "hunter2" not in str(caught.value)
