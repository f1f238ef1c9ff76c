"""Gemini's answers, whole and as streams: read from its API, and written for its SDK."""

import base64
import json
from typing import Any

import pytest
from google.genai import models, types
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation import contents as codec
from gateway.domain.translation.answers import (
    Answer,
    Choice,
    Counted,
    Delta,
    Ended,
    Failed,
    Fault,
    Finish,
    Finished,
    Logprob,
    PartEnded,
    PartStarted,
    Started,
    TextDelta,
)
from gateway.domain.translation.conversation import (
    Citation,
    Declined,
    Part,
    Text,
    Thought,
    ToolCall,
)
from gateway.domain.translation.proofs import read_thought
from gateway.domain.usage import Usage
from tests.unit.translation.strategies_gemini import PROVED, batches, contents_answers
from tests.unit.translation.streams import deltas_of, events, fold, keep_order

USAGE = {
    "promptTokenCount": 10,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 6,
    "totalTokenCount": 20,
}
READ_USAGE = Usage(10, 10, reasoning_tokens=6)


def chunk(*parts: Any, finish: str = "", **members: Any) -> bytes:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return json.dumps(
        {
            "candidates": [candidate],
            "modelVersion": "gemini-3-pro",
            "responseId": "r1",
            **members,
        }
    ).encode()


def stream_of(*chunks: bytes) -> list[Delta]:
    reader = codec.reader()
    deltas = [delta for each in chunks for delta in reader.event(b"", each)]
    deltas += reader.end()
    keep_order(deltas)
    return deltas


# Reading


def test_a_whole_answer_is_read():
    body = chunk(
        {"text": "Hm.", "thought": True},
        {"text": "It "},
        {"text": "rains."},
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "g", "id": "x"}},
        finish="STOP",
        usageMetadata=USAGE,
    )
    assert codec.read_answer(body) == Answer(
        id="r1",
        model="gemini-3-pro",
        choices=(
            Choice(
                (
                    Thought("Hm."),
                    Text("It rains."),
                    ToolCall("call_r1_0_0", "f", '{"a": 1}', "c2ln"),
                    ToolCall("x", "g", "{}"),
                ),
                Finish.TOOL_CALLS,
            ),
        ),
        usage=READ_USAGE,
    )


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("SAFETY", Finish.CONTENT_FILTER),
        ("RECITATION", Finish.CONTENT_FILTER),
        ("OTHER", Finish.CONTENT_FILTER),
        ("A_NEW_ONE", Finish.CONTENT_FILTER),
        ("MALFORMED_FUNCTION_CALL", Finish.MALFORMED),
        ("CONTINUATION", Finish.PAUSED),
    ],
)
def test_why_an_answer_ended_is_read(reason, finish):
    assert codec.read_answer(chunk({"text": "a"}, finish=reason)).choices[0].finish is finish
    deltas = stream_of(chunk({"text": "a"}, finish=reason))
    assert Finished(0, finish) in deltas


def test_a_question_that_is_held_back_is_an_answer_of_nothing():
    body = b'{"promptFeedback":{"blockReason":"SAFETY"},"responseId":"r1"}'
    assert codec.read_answer(body).choices == (Choice((), Finish.CONTENT_FILTER),)
    held = [Started("r1", ""), Finished(0, Finish.CONTENT_FILTER), Ended()]
    assert stream_of(body) == held


def test_candidates_are_choices_in_the_order_of_their_index():
    candidates = [
        {"index": index, "content": {"parts": [{"text": text}]}, "finishReason": "STOP"}
        for index, text in ((1, "b"), (0, "a"))
    ]
    choices = codec.read_answer(json.dumps({"candidates": candidates}).encode()).choices
    assert [choice.parts for choice in choices] == [(Text("a"),), (Text("b"),)]


def test_sources_and_probabilities_are_read():
    body = json.loads(chunk({"text": "It rains."}, finish="STOP"))
    body["candidates"][0] |= {
        "groundingMetadata": {
            "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}],
            "groundingSupports": [
                {"segment": {"endIndex": 9, "text": "It rains."}, "groundingChunkIndices": [0]}
            ],
        },
        "logprobsResult": {
            "chosenCandidates": [{"token": "It", "logProbability": -0.5}],
            "topCandidates": [{"candidates": [{"token": "He", "logProbability": -2.5}]}],
        },
    }
    read = codec.read_answer(json.dumps(body).encode())
    cited = (Citation("https://a.example", "A", start=0, end=9),)
    probable = (Logprob("It", -0.5, (("He", -2.5),)),)
    assert read.choices == (
        Choice((Text("It rains.", citations=cited),), Finish.STOP, logprobs=probable),
    )
    written = codec.write_answer(read, model="m", now=0)
    seen(written)
    assert codec.read_answer(written).choices == read.choices


def test_a_stream_is_read_as_parts_that_follow_each_other():
    deltas = stream_of(
        chunk({"text": "Hm", "thought": True}, usageMetadata={"promptTokenCount": 10}),
        chunk({"text": ".", "thought": True}, {"text": "It "}),
        chunk({"text": "rains."}, {"functionCall": {"name": "f", "args": {}}}),
        chunk({"text": "", "thoughtSignature": "c2ln"}, finish="STOP", usageMetadata=USAGE),
    )
    assert deltas == [
        Started("r1", "gemini-3-pro", usage=Usage(10, 0)),
        PartStarted(0, "thought"),
        TextDelta(0, "Hm"),
        TextDelta(0, "."),
        PartEnded(0),
        PartStarted(0, "text"),
        TextDelta(0, "It "),
        TextDelta(0, "rains."),
        PartEnded(0),
        PartStarted(0, "tool", "call_r1_0_0", "f"),
        TextDelta(0, "{}"),
        PartEnded(0),
        Finished(0, Finish.TOOL_CALLS),
        Counted(READ_USAGE),
        Ended(),
    ]


def test_models_that_finish_each_event_are_finished_once():
    deltas = stream_of(chunk({"text": "a"}, finish="STOP"), chunk({"text": "b"}, finish="STOP"))
    assert fold(deltas).choices == (Choice((Text("ab"),), Finish.STOP),)


@pytest.mark.parametrize("chunks", [[], [chunk({"text": "a"})], [b"{}"]])
def test_a_stream_that_is_cut_is_no_answer(chunks):
    with pytest.raises(BadAnswer):
        stream_of(*chunks)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"candidates":[]}',
        b'{"candidates":[{"index":-1}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":[]}}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"inlineData":{"data":"QUJD"}}]}}]}',
        b'{"error":{"code":500,"message":"x","status":"INTERNAL"}}',
        b'{"candidates":' + b"[" * 9999,
    ],
)
def test_what_is_no_answer_is_told(body):
    with pytest.raises(BadAnswer):
        codec.read_answer(body)


def test_what_is_null_is_as_good_as_unsaid():
    part = {"text": "a", "thought": None, "functionCall": None, "thoughtSignature": None}
    part["inlineData"] = None
    candidate = {"content": {"parts": [part]}, "finishReason": None, "index": None}
    candidate |= {"groundingMetadata": None, "citationMetadata": {"citations": None}}
    answer = {"candidates": [candidate], "responseId": None, "modelVersion": None}
    read = codec.read_answer(json.dumps({**answer, "promptFeedback": None, "error": None}).encode())
    assert read == Answer(id="", model="", choices=(Choice((Text("a"),), Finish.STOP),))


def test_usage_that_cannot_be_believed_is_as_good_as_none():
    body = chunk({"text": "a"}, finish="STOP", usageMetadata={"promptTokenCount": -1})
    assert codec.read_answer(body).usage is None


# Faults


@pytest.mark.parametrize(
    ("status", "error", "fault"),
    [
        (
            400,
            {"code": 400, "message": "Bad.", "status": "INVALID_ARGUMENT"},
            Fault("invalid_request", "Bad.", "INVALID_ARGUMENT"),
        ),
        (
            400,
            {
                "message": "API key not valid.",
                "status": "INVALID_ARGUMENT",
                "details": [{"@type": "x/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
            },
            Fault("authentication", "API key not valid.", "API_KEY_INVALID"),
        ),
        (
            400,
            {
                "message": "Bad.",
                "status": "INVALID_ARGUMENT",
                "details": [{"fieldViolations": [{"field": "contents", "description": "x"}]}],
            },
            Fault("invalid_request", "Bad.", "INVALID_ARGUMENT", "contents"),
        ),
        (
            429,
            {"message": "Quota.", "status": "RESOURCE_EXHAUSTED"},
            Fault("rate_limit", "Quota.", "RESOURCE_EXHAUSTED"),
        ),
        (
            503,
            {"message": "Busy.", "status": "UNAVAILABLE"},
            Fault("overloaded", "Busy.", "UNAVAILABLE"),
        ),
        (
            504,
            {"message": "Late.", "status": "DEADLINE_EXCEEDED"},
            Fault("timeout", "Late.", "DEADLINE_EXCEEDED"),
        ),
        (
            413,
            {"message": "Long.", "status": "INVALID_ARGUMENT"},
            Fault("too_large", "Long.", "INVALID_ARGUMENT"),
        ),
    ],
)
def test_an_error_is_read_by_its_status_and_its_words(status, error, fault):
    body = json.dumps({"error": error}).encode()
    assert codec.read_fault(status, body) == fault
    assert codec.read_fault(status, b"[%b]" % body) == fault


def test_an_error_of_another_form_is_read_by_its_status():
    assert codec.read_fault(429, b"<html>").kind == "rate_limit"
    assert codec.read_fault(500, b"{}").kind == "internal"
    assert codec.read_fault(400, b"").kind == "invalid_request"


def test_an_error_in_the_middle_of_a_stream_ends_it():
    reader = codec.reader()
    reader.event(b"", chunk({"text": "a"}, usageMetadata={"promptTokenCount": 3}))
    error = b'{"error":{"code":503,"message":"Busy.","status":"UNAVAILABLE"}}'
    fault = Fault("overloaded", "Busy.", "UNAVAILABLE")
    assert reader.event(b"", error) == [Counted(Usage(3, 0)), Failed(fault)]


# Writing


def seen(body: bytes) -> types.GenerateContentResponse:
    """What the SDK makes of an answer; it passes over members that it does not know."""
    members = models._GenerateContentResponse_from_mldev(json.loads(body))
    return types.GenerateContentResponse._from_response(response=members, kwargs={})


def test_a_whole_answer_is_written_as_the_sdk_reads_it():
    parts: tuple[Part, ...] = (
        Thought("Hm.", "proof"),
        Text("It rains."),
        ToolCall("x", "f", '{"a":1}', "c2ln"),
    )
    answer = Answer(
        id="r1", model="other", choices=(Choice(parts, Finish.TOOL_CALLS),), usage=READ_USAGE
    )
    response = seen(codec.write_answer(answer, model="gemini-3-pro", now=0))
    assert response.text == "It rains."
    assert response.function_calls == [types.FunctionCall(id="x", name="f", args={"a": 1})]
    assert (response.response_id, response.model_version) == ("r1", "gemini-3-pro")
    (candidate,) = response.candidates
    assert candidate.finish_reason is types.FinishReason.STOP
    thought, _, call = candidate.content.parts
    assert call.thought_signature == b"sig"
    proof = base64.urlsafe_b64encode(thought.thought_signature).decode()
    assert read_thought("Hm.", proof) == Thought("Hm.", "proof")
    assert response.usage_metadata.thoughts_token_count == 6


def test_arguments_that_are_no_object_are_a_malformed_call():
    answer = Answer(
        id="r", model="m", choices=(Choice((ToolCall("x", "f", "{oops"),), Finish.TOOL_CALLS),)
    )
    (candidate,) = seen(codec.write_answer(answer, model="m", now=0)).candidates
    assert candidate.finish_reason is types.FinishReason.MALFORMED_FUNCTION_CALL
    writer = codec.writer(model="m", now=0)
    deltas = [PartStarted(0, "tool", "x", "f"), TextDelta(0, "{oops"), PartEnded(0)]
    written = writer.write([*deltas, Finished(0, Finish.TOOL_CALLS), Ended()])
    ((_, data),) = events(written)
    (candidate,) = seen(data).candidates
    assert candidate.finish_reason is types.FinishReason.MALFORMED_FUNCTION_CALL


def test_arguments_over_several_lines_are_one_line_of_an_event():
    writer = codec.writer(model="m", now=0)
    deltas = [PartStarted(0, "tool", "x", "f"), TextDelta(0, '{\n"a":\r\n "b c"}'), PartEnded(0)]
    ((_, data),) = events(writer.write(deltas))
    assert b'"args":{"a":"b c"}' in data


def test_a_refusal_is_text_that_a_filter_stands_behind():
    answer = Answer(id="r", model="m", choices=(Choice((Declined("No."),), Finish.DECLINED),))
    response = seen(codec.write_answer(answer, model="m", now=0))
    assert response.candidates[0].content.parts[0].text == "No."
    assert response.candidates[0].finish_reason is types.FinishReason.SAFETY


def test_the_last_event_has_finish_reasons_and_usage_and_some_content():
    writer = codec.writer(model="m", now=0)
    first = writer.write([Started("r1", "x"), PartStarted(0, "text"), TextDelta(0, "Hi")])
    ((_, data),) = events(first)
    assert seen(data).text == "Hi"
    assert seen(data).candidates[0].finish_reason is None
    rest = [PartEnded(0), Finished(0, Finish.LENGTH), Counted(READ_USAGE)]
    assert writer.write(rest) == b""
    ((_, data),) = events(writer.write([Ended()]))
    last = seen(data)
    assert last.candidates[0].finish_reason is types.FinishReason.MAX_TOKENS
    assert last.candidates[0].content.parts == [types.Part(text="")]
    assert (last.response_id, last.usage_metadata.total_token_count) == ("r1", 20)


def test_a_stream_that_fails_tells_it_and_ends_nothing():
    writer = codec.writer(model="m", now=0)
    written = writer.write([TextDelta(0, "Hi"), Failed(Fault("overloaded", "Busy."))])
    (_, said), (_, failed) = events(written)
    assert seen(said).text == "Hi"
    assert json.loads(failed) == {
        "error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}
    }


# Whatever it is


def texts_of(*responses: types.GenerateContentResponse) -> dict[tuple[int, bool], str]:
    """What each candidate says, and what it thinks."""
    texts: dict[tuple[int, bool], str] = {}
    for response in responses:
        for candidate in response.candidates:
            for part in candidate.content.parts:
                of = candidate.index, bool(part.thought)
                texts[of] = texts.get(of, "") + (part.text or "")
    return {of: text for of, text in texts.items() if text}


@settings(max_examples=60, deadline=None)
@given(contents_answers(PROVED), st.integers(1, 5), st.integers(1, 5))
def test_the_sdk_reads_whatever_is_written_whole_or_as_a_stream(answer, pieces, size):
    whole = seen(codec.write_answer(answer, model="m", now=0))
    writer = codec.writer(model="m", now=0)
    deltas = list(deltas_of(answer, pieces))
    written = b"".join(writer.write(batch) for batch in batches(deltas, size))
    chunks = [seen(data) for _, data in events(written)]
    assert texts_of(*chunks) == texts_of(whole)
    assert chunks[-1].usage_metadata == whole.usage_metadata
