"""Embeddings between Gemini's way and OpenAI's."""

import json
from typing import Any

import httpx
import pytest
from openai import OpenAI, omit

from gateway.domain.ask import Invalid
from gateway.domain.dialects.gemini import ContentMeter
from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.dialects.openai import OpenAIMeter
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.contents.embeddings import (
    answered_by_gemini,
    answered_by_openai,
    asked_of_gemini,
    asked_of_openai,
)
from gateway.domain.usage import Usage

LISTED = {
    "object": "list",
    "data": [{"index": 1, "embedding": [2.0]}, {"index": 0, "embedding": [1.5, -0.25]}],
    "usage": {"prompt_tokens": 3, "total_tokens": 3},
}
EMBEDDED = {
    "embeddings": [{"values": [1.5, -0.25]}, {"values": [2.0]}],
    "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3},
}


def encoded(members: Any) -> bytes:
    return json.dumps(members).encode()


def text(said: str, **members: Any) -> dict[str, Any]:
    return {"model": "models/m", "content": {"parts": [{"text": said}]}, **members}


def asked(members: Any, drop: str = "", *, is_batch: bool = True) -> Any:
    losses = Losses(frozenset(drop.split()))
    return json.loads(asked_of_openai(encoded(members), losses, model="m", is_batch=is_batch))


def test_what_is_asked_of_gemini_is_asked_of_openai():
    both = {"requests": [text("a", outputDimensionality=8), text("b", output_dimensionality=8)]}
    told = {"model": "m", "input": ["a", "b"], "encoding_format": "float", "dimensions": 8}
    assert asked(both) == told
    assert asked(text("a"), is_batch=False) == {
        "model": "m",
        "input": ["a"],
        "encoding_format": "float",
    }


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"requests": [text("a", taskType="CLUSTERING")]}, "requests[0].taskType"),
        ({"requests": [text("a", title="A")]}, "requests[0].title"),
        ({"requests": [{"content": {"parts": []}}]}, "requests[0].content"),
        (
            {"requests": [text("a", outputDimensionality=8), text("b")]},
            "requests.outputDimensionality",
        ),
        ({"requests": [text("a", whatever=1)]}, "requests[0].whatever"),
    ],
)
def test_what_openai_cannot_be_asked_is_refused(members, param):
    with pytest.raises(Uncarried) as refused:
        asked(members)
    assert refused.value.param == param


def test_a_task_may_be_left_out():
    assert asked({"requests": [text("a", taskType="CLUSTERING")]}, "task_type")["input"] == ["a"]


def test_what_openai_answers_is_told_in_geminis_way_and_costs_the_same():
    told = answered_by_openai(encoded(LISTED), is_batch=True)
    assert json.loads(told) == EMBEDDED
    assert ContentMeter().whole(told) == Usage(3, 0)
    one = json.loads(answered_by_openai(encoded(LISTED), is_batch=False))
    assert one["embedding"] == {"values": [1.5, -0.25]}


def test_what_is_asked_of_openai_is_asked_of_gemini():
    body = encoded({"model": "x", "input": ["a", "b"], "dimensions": 8})
    told, in_base64 = asked_of_gemini(body, Losses(), model="m")
    requests = [text(said, outputDimensionality=8) for said in "ab"]
    assert (json.loads(told), in_base64) == ({"requests": requests}, False)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": [[1]]}, "input"),
        ({"input": "a", "user": "u"}, "user"),
    ],
)
def test_what_gemini_cannot_be_asked_is_refused(members, param):
    with pytest.raises(Uncarried) as refused:
        asked_of_gemini(encoded({"model": "x", **members}), Losses(), model="m")
    assert refused.value.param == param


@pytest.mark.parametrize("in_base64", [False, True])
def test_the_sdk_reads_what_gemini_answers_and_it_costs_the_same(in_base64):
    told = answered_by_gemini(encoded(EMBEDDED), model="m", in_base64=in_base64)
    assert OpenAIMeter().whole(told) == Usage(3, 0)
    answer = httpx.MockTransport(lambda _: httpx.Response(200, json=json.loads(told)))
    with OpenAI(api_key="k", http_client=httpx.Client(transport=answer)) as client:
        coding = omit if in_base64 else "float"
        found = client.embeddings.create(model="m", input=["a", "b"], encoding_format=coding)
    assert [each.embedding for each in found.data] == [[1.5, -0.25], [2.0]]
    assert (found.model, found.usage.prompt_tokens) == ("m", 3)


def test_an_answer_without_usage_tells_none():
    told = answered_by_gemini(b'{"embedding":{"values":[1.0]}}', model="m", in_base64=False)
    assert "usage" not in json.loads(told)
    assert OpenAIMeter().whole(told) is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data":[]}', b'{"embeddings":[]}', b"\xff"])
def test_what_is_no_answer_is_told(body):
    with pytest.raises(BadAnswer):
        answered_by_openai(body, is_batch=True)
    with pytest.raises(BadAnswer):
        answered_by_gemini(body, model="m", in_base64=True)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}"])
def test_what_is_no_body_is_told(body):
    with pytest.raises(Invalid):
        asked_of_openai(body, Losses(), model="m", is_batch=True)
    with pytest.raises(Invalid):
        asked_of_gemini(body, Losses(), model="m")
