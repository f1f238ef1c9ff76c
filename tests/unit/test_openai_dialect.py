"""Usage as providers write it, and what is not believed."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.catalog import Price
from gateway.domain.dialects.meter import BadUsage
from gateway.domain.dialects.openai import OpenAIMeter, RerankMeter
from gateway.domain.usage import Usage, cost_nusd


def read_usage(payload: bytes) -> Usage | None:
    return OpenAIMeter().whole(payload)


def read_event_usage(payload: bytes) -> tuple[Usage | None, bool]:
    meter = OpenAIMeter()
    alone = meter.event(payload)
    return meter.usage, alone


def answer(usage: object, **members: object) -> bytes:
    return orjson.dumps({"id": "x", **members, "usage": usage})


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}, Usage(3, 4)),
        ({"input_tokens": 3, "output_tokens": 4}, Usage(3, 4)),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(3, 0)),  # embeddings
        # Thoughts that the completion leaves out and the total has.
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 60}, Usage(3, 57)),
        ({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 5}, Usage(3, 4)),
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
                "prompt_tokens": 30,
                "completion_tokens": 40,
                "prompt_tokens_details": {
                    "cached_tokens": 10,
                    "cache_write_tokens": 20,
                    "audio_tokens": 9,
                    "image_tokens": 21,
                },
                "completion_tokens_details": {
                    "reasoning_tokens": 10,
                    "audio_tokens": 11,
                    "image_tokens": 12,
                    "accepted_prediction_tokens": 36,
                    "rejected_prediction_tokens": 4,
                },
            },
            Usage(30, 40, 10, 20, 10, 9, 21, 11, 12, 4),
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
        (
            {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"audio_tokens": 0}},
            Usage(1, 2, audio_output_tokens=0),
        ),
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
        {"completion_tokens": 4},
        {"prompt_tokens": 4},
        {"prompt_tokens": None, "completion_tokens": 4},
        {"prompt_tokens": 4, "completion_tokens": None},
        {"prompt_tokens": 1, "completion_tokens": 2_000_000_000_000},
        {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2**31},
        {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": "none"},
        "none",
        5,
        [],
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": 2**31},
        {"prompt_tokens": 1.5},
        {"prompt_tokens": "7"},
        {"prompt_tokens": True},
        *(
            {"prompt_tokens": 3, "completion_tokens": 3, kind: details}
            for kind, details in (
                ("prompt_tokens_details", {"cached_tokens": 4}),
                ("prompt_tokens_details", {"cached_tokens": -1}),
                ("prompt_tokens_details", {"cached_tokens": 2, "cache_write_tokens": 2}),
                ("prompt_tokens_details", {"audio_tokens": 2, "image_tokens": 2}),
                ("prompt_tokens_details", {"image_tokens": "1"}),
                ("completion_tokens_details", {"reasoning_tokens": 4}),
                ("completion_tokens_details", {"reasoning_tokens": 2, "audio_tokens": 2}),
                ("completion_tokens_details", {"image_tokens": -1}),
                ("completion_tokens_details", {"rejected_prediction_tokens": 4}),
                ("completion_tokens_details", {"accepted_prediction_tokens": -1}),
            )
        ),
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


def test_a_ranking_is_all_input():
    assert RerankMeter().whole(answer({"total_tokens": 815})) == Usage(815, 0)
    assert RerankMeter().whole(answer({"prompt_tokens": 1, "total_tokens": 9})) == Usage(9, 0)
    assert RerankMeter().whole(b'{"meta":{}}') is None
    with pytest.raises(BadUsage):
        RerankMeter().whole(answer({"total_tokens": -1}))


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


counts = (
    st.integers(-3, 60)
    | st.integers(-(2**70), 2**70)
    | st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
)
details = counts | st.dictionaries(
    st.sampled_from(
        [
            "cached_tokens",
            "cache_write_tokens",
            "audio_tokens",
            "image_tokens",
            "reasoning_tokens",
            "accepted_prediction_tokens",
            "rejected_prediction_tokens",
        ]
    ),
    counts,
)
usages = counts | st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ["prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens"],
            st.integers(0, 60) | counts,
        ),
        **dict.fromkeys(
            [
                "prompt_tokens_details",
                "completion_tokens_details",
                "input_tokens_details",
                "output_tokens_details",
            ],
            details,
        ),
    },
)
DEAREST = 90
PRICE = Price(10, 20, 1, 12, reasoning_nusd=30, audio_input_nusd=80, image_output_nusd=DEAREST)


@given(usages)
def test_whatever_stands_for_usage_is_believable_or_bad(usage):
    payload = json.dumps({"usage": usage}).encode()
    try:
        read = read_usage(payload)
    except BadUsage:
        return
    if read is None:
        assert usage is None
        return
    assert all(0 <= (count or 0) < 2**31 for count in read)
    assert read.cached_input_tokens + read.cache_write_tokens <= read.input_tokens
    assert read.reasoning_tokens <= read.output_tokens
    cost = cost_nusd(read, PRICE)
    assert 0 <= cost <= -(-read.total_tokens * DEAREST // 1_000_000)
