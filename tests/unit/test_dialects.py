"""Usage as providers write it, and what is not believed."""

import orjson
import pytest

from gateway.domain.usage import Usage
from gateway.relay.dialects import BadUsage, read_event_usage, read_usage


def answer(usage: object, **members: object) -> bytes:
    return orjson.dumps({"id": "x", **members, "usage": usage})


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, Usage(3, 4)),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(3, 0)),  # embeddings
        ({"completion_tokens": 4}, Usage(0, 4)),
        (
            {
                "prompt_tokens": 30,
                "completion_tokens": 40,
                "prompt_tokens_details": {"cached_tokens": 10, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(30, 40, cached_input_tokens=10, reasoning_tokens=20),
        ),
        (
            {
                "input_tokens": 30,
                "output_tokens": 40,
                "input_tokens_details": {"cached_tokens": 30},
                "output_tokens_details": {"reasoning_tokens": 40},
            },
            Usage(30, 40, cached_input_tokens=30, reasoning_tokens=40),
        ),
        (
            {
                "prompt_tokens": 1,
                "completion_tokens": 2,
                "prompt_tokens_details": None,
                "completion_tokens_details": {},
            },
            Usage(1, 2),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
        ({"prompt_tokens": 2**31 - 1, "completion_tokens": 0}, Usage(2**31 - 1, 0)),
    ],
)
def test_usage_is_read(usage, read):
    assert read_usage(answer(usage)) == read


def test_an_event_of_the_responses_api_wraps_the_answer():
    inner = {"id": "r", "usage": {"input_tokens": 5, "output_tokens": 6}}
    event = orjson.dumps({"type": "response.completed", "response": inner})
    assert read_event_usage(event) == (Usage(5, 6), False)


@pytest.mark.parametrize(
    "payload", [b"{}", answer(None), b'{"response":{}}', b'{"response":{"usage":null}}']
)
def test_no_usage_is_none(payload):
    assert read_usage(payload) is None


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"total_tokens": 5},
        "none",
        5,
        [],
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": 2**31},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": "7"},
        {"prompt_tokens": True},
        {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}},
        {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": -1}},
        {"prompt_tokens": 10**30},
    ],
)
def test_usage_that_cannot_be_believed_is_bad(usage):
    body = (
        answer(usage)
        if usage != {"prompt_tokens": 10**30}
        else b'{"usage":{"prompt_tokens":1%s}}' % (b"0" * 30)
    )
    with pytest.raises(BadUsage):
        read_usage(body)


@pytest.mark.parametrize("payload", [b"", b"no JSON", b"[]", b'{"usage":', b"\xff", b"[" * 100_000])
def test_what_is_no_object_of_json_is_bad(payload):
    with pytest.raises(BadUsage):
        read_usage(payload)


@pytest.mark.parametrize(
    ("choices", "alone"), [([], True), ([{"delta": {}}], False), (None, False)]
)
def test_an_event_with_empty_choices_carries_usage_alone(choices, alone):
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    assert read_event_usage(answer(usage, choices=choices)) == (Usage(1, 2), alone)
