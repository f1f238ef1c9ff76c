"""Sources of an answer, and the words that they stand for."""

import json
from typing import Any

import pytest

from gateway.domain.translation import contents, messages
from gateway.domain.translation.answers import Answer, Choice, Finish
from gateway.domain.translation.conversation import Citation, Text

TEXT = "It is warm in Ulm."


def at(start: int | None, end: int | None, title: str = "A") -> Citation:
    return Citation("https://a.example", title, "", start, end)


def answer(*cited: Citation, text: str = TEXT) -> Answer:
    choice = Choice((Text(text, citations=cited),), Finish.STOP)
    return Answer(id="a", model="m", choices=(choice,))


def blocks_of(*cited: Citation, text: str = TEXT) -> list[tuple[str, list[str]]]:
    """The texts that a caller of messages gets, each with the titles of its sources."""
    told = json.loads(messages.write_answer(answer(*cited, text=text), model="m", now=7))
    return [
        (block["text"], [each["title"] for each in block.get("citations", ())])
        for block in told["content"]
    ]


@pytest.mark.parametrize(
    ("cited", "blocks"),
    [
        ((), [(TEXT, [])]),
        ((at(6, 10),), [("It is ", []), ("warm", ["A"]), (" in Ulm.", [])]),
        ((at(None, None),), [(TEXT, ["A"])]),
        ((at(0, 18),), [(TEXT, ["A"])]),
        ((at(None, 5),), [("It is", ["A"]), (" warm in Ulm.", [])]),
        (
            (at(0, 10), at(6, 18, "B")),
            [("It is ", ["A"]), ("warm", ["A", "B"]), (" in Ulm.", ["B"])],
        ),
        ((at(9, 3), at(0, 99, "B"), at(-4, 2, "C")), [(TEXT, ["A", "B", "C"])]),
        (
            (at(6, 10),) * 300,
            [("It is ", ["A"] * 44), ("warm", ["A"] * 300), (" in Ulm.", ["A"] * 44)],
        ),
    ],
    ids=("none", "a part", "not said", "all", "the beginning", "two", "nowhere", "too many"),
)
def test_what_a_source_stands_for_is_a_block_of_a_message(
    cited: tuple[Citation, ...], blocks: list[Any]
):
    assert blocks_of(*cited) == blocks


def test_a_text_that_says_nothing_is_one_block():
    assert blocks_of(at(0, 1), text="") == [("", ["A"])]


def test_gemini_repeats_the_words_that_a_source_stands_for():
    told = json.loads(
        contents.write_answer(answer(at(6, 10), at(None, None, "B")), model="m", now=7)
    )
    grounding = told["candidates"][0]["groundingMetadata"]
    assert grounding["groundingSupports"] == [
        {"segment": {"text": "warm"}, "groundingChunkIndices": [0]}
    ]
    (choice,) = contents.read_answer(json.dumps(told).encode()).choices
    assert choice.parts == (Text(TEXT, citations=(at(6, 10), at(None, None, "B"))),)


def test_words_that_stand_in_a_text_twice_are_no_place():
    told = json.loads(contents.write_answer(answer(at(0, 1), text="aha"), model="m", now=7))
    (choice,) = contents.read_answer(json.dumps(told).encode()).choices
    assert choice.parts == (Text("aha", citations=(at(None, None),)),)
