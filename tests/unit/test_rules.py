"""The table of rules: one word, one sentence and the right params for each, and nothing of a secret in any."""

import ast
import re
from collections.abc import Iterator
from string import Formatter

import pytest

from gateway.domain.rejection import BrokenRule, Mistake, Problem, Rejected, invalid, mistake, shown
from gateway.domain.rules import Rule
from tests.documents import ROOT

SOURCES = [
    path
    for directory in ("gateway", "admin_api")
    for path in sorted((ROOT / directory).rglob("*.py"))
    if re.search(r"from gateway\.domain\.rules import .*\bRule\b", path.read_text())
]
MAKERS = {"invalid", "rejected", "mistake", "BrokenRule"}


def filled(rule: Rule) -> set[str]:
    """The names that a sentence is filled with."""
    return {name for _, name, _, _ in Formatter().parse(rule.template) if name}


def made() -> Iterator[tuple[str, Rule, set[str]]]:
    """Where mistakes are made with all params named: the place, the rule, and their names."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in MAKERS:
                continue
            names = [each.arg for each in node.keywords]
            for given in node.args:
                found = re.fullmatch(r"Rule\.([A-Z_]+)", ast.unparse(given))
                if found and None not in names:
                    yield f"{path}:{node.lineno}", Rule[found[1]], {*filter(None, names)}


def test_each_rule_has_a_word_and_a_sentence_and_none_is_unused():
    used = {name for path in SOURCES for name in re.findall(r"\bRule\.([A-Z_]+)", path.read_text())}
    assert used == {*Rule.__members__}
    for rule in Rule:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", rule)
        assert rule == rule.name.lower()
        assert not rule.template.endswith(".")
        assert rule.template[0].islower() or not rule.template[0].isalpha()
    assert len({rule.template for rule in Rule}) == len(Rule)


def test_a_mistake_is_made_with_all_that_its_sentence_names():
    found = [*made()]
    assert len(found) > 60
    wrong = [(place, rule, names) for place, rule, names in found if names != filled(rule)]
    assert not wrong


def test_a_message_is_the_field_and_the_filled_sentence():
    told = mistake("count", Rule.TOO_LARGE, most=100, given=101)
    assert told.message == "count: must be at most 100, it is 101."
    choices = mistake("order", Rule.NOT_ONE_OF, choices=["asc", "desc"], given="up")
    assert choices.message == "order: must be one of asc, desc; it is 'up'."
    typed = BrokenRule(Rule.WRONG_TYPE, expected=["string", "array"], given="integer")
    assert typed.at("x").message == "x: must be of type string or array, not integer."
    both = mistake("a", Rule.QUOTAS_DISAGREE, fields=["a", "b"])
    assert both.message.startswith("a: a and b disagree;")
    whole = mistake(None, Rule.TOKEN_LIMIT, most=5)
    assert whole.message.startswith("You have 5 tokens or more")
    asked = mistake("t", Rule.MILLISECONDS, seconds=5)
    assert asked.message.endswith("did you mean 5?")
    assert str(Rejected(Problem.INVALID_FIELD, told, whole)) == f"{told.message} {whole.message}"


def test_what_was_sent_cannot_write_the_sentence():
    told = invalid("group", Rule.NO_GROUP, given="{given.__class__}{0}").mistakes[0]
    assert told.message == "group: there is no group '{given.__class__}{0}'."


@pytest.mark.parametrize(
    ("sent", "repeated"),
    [
        ("plain é", "plain é"),
        ("a\x00b\n\ud800", "a\\x00b\\n\\ud800"),
        ("x" * 100, "x" * 64 + "…"),
        ("sk-" + "A" * 49, "sk-…"),
        ("Bearer tht_" + "A" * 40 + " and more", "Bearer tht_… and more"),
        ("x" * 56 + " sk-" + "A" * 49, "x" * 56 + " sk-…"),
        ("task-force-alpha", "task-force-alpha"),
    ],
)
def test_what_is_repeated_is_short_printable_and_no_secret(sent, repeated):
    assert shown(sent) == repeated
    told: Mistake = mistake(sent, Rule.NO_GROUP, given=sent)
    assert (told.field, told.params) == (repeated, {"given": repeated})


def test_a_number_that_readers_of_json_do_not_hold_is_a_text():
    assert mistake("a", Rule.NEGATIVE, given=-(2**53)).params == {"given": str(-(2**53))}
    assert mistake("a", Rule.NEGATIVE, given=-(2**53) + 1).params == {"given": -(2**53) + 1}
