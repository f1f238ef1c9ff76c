"""Every sentence of a refusal has a word of its own, and whoever refuses gives what it is filled with."""

import ast
import re
from collections.abc import Iterator
from string import Formatter

import pytest

from gateway.domain.cases import Case, refusal
from gateway.domain.errors import Reason
from tests.documents import ROOT

SOURCES = [
    path
    for path in sorted((ROOT / "gateway").rglob("*.py"))
    if re.search(r"^from gateway\.domain\.cases import", path.read_text(), re.MULTILINE)
]


def filled(case: Case) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(case.template) if name}


def made() -> Iterator[tuple[str, Case, set[str]]]:
    """Where a case is named with what fills it: the place, the case, and the names."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            found = re.fullmatch(r"Case\.([A-Z_]+)", ast.unparse(node.args[0]))
            if found is None:
                continue
            if getattr(node.func, "id", "") == "Invalid":
                yield (
                    f"{path}:{node.lineno}",
                    Case[found[1]],
                    {each.arg or "" for each in node.keywords},
                )
            elif (
                len(node.args) > 1 and isinstance(node.args[1], ast.Dict) and all(node.args[1].keys)
            ):
                keys = {ast.literal_eval(key) for key in node.args[1].keys if key is not None}
                yield f"{path}:{node.lineno}", Case[found[1]], keys


def test_each_case_has_a_word_and_a_sentence_and_none_is_unused():
    used = {name for path in SOURCES for name in re.findall(r"\bCase\.([A-Z_]+)", path.read_text())}
    assert used == {*Case.__members__}
    for case in Case:
        assert case == case.name.lower()
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", case)


def test_whoever_refuses_gives_what_the_sentence_is_filled_with():
    found = list(made())
    assert found
    for place, case, names in found:
        assert names == filled(case), place


@pytest.mark.parametrize("case", Case)
def test_a_sentence_is_filled_with_nothing_left_open(case):
    told = refusal(case, {name: ["a", "b"] if name == "paths" else 7 for name in filled(case)})
    assert isinstance(told.reason, Reason)
    assert (told.case, told.ground) == (case, case.ground)
    assert "{" not in told.message
    assert ("a or b" in told.message) == ("paths" in told.params)
