"""Answers of the Responses API, whole and as streams of typed events: for its SDK, and of its API."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation import responses as codec
from gateway.domain.translation.answers import (
    Answer,
    Choice,
    Cited,
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
    Ping,
    Signed,
    Started,
    TextDelta,
)
from gateway.domain.translation.conversation import (
    Citation,
    Declined,
    Text,
    Thought,
    ToolCall,
)
from gateway.domain.translation.proofs import read_thought
from gateway.domain.usage import Usage
from tests.unit.translation.strategies_gemini import (
    PROVED,
    SIGNATURES,
    batches,
    responses_answers,
)
from tests.unit.translation.streams import deltas_of, events, fold

NOW = 1_700_000_000
USAGE = Usage(10, 9, 3, reasoning_tokens=4)
event_types = TypeAdapter(ResponseStreamEvent)


def seen(body: bytes) -> Response:
    return Response.model_validate_json(body)


def stream_of(deltas: list[Delta], size: int = 100) -> list[Any]:
    """The events that are written, each as the SDK's types have it."""
    writer = codec.writer(model="m", now=NOW)
    written = b"".join(writer.write(batch) for batch in batches(deltas, size))
    found = []
    for name, data in events(written):
        event = event_types.validate_json(data)
        assert event.type == name.decode()
        assert event.sequence_number == len(found)
        found.append(event)
    return found


# Writing


def test_a_whole_answer_is_written_as_the_sdk_reads_it():
    cited = (Citation("https://a.example", "A"),)
    parts = (
        Thought("Hm.", "proof"),
        Text("It rains.", citations=cited),
        Declined("No."),
        ToolCall("call_1", "f", '{"a":1}', "c2ln"),
    )
    answer = Answer(
        id="r1",
        model="other",
        choices=(
            Choice(parts, Finish.TOOL_CALLS, logprobs=(Logprob("It", -0.5, (("é", -2.5),)),)),
        ),
        usage=USAGE,
    )
    response = seen(codec.write_answer(answer, model="m", now=NOW))
    assert (response.id, response.model, response.status) == ("resp_r1", "m", "completed")
    assert (response.created_at, response.output_text) == (NOW, "It rains.")
    thought, message, call = response.output
    assert [item.id for item in response.output] == ["rs_r1_0", "msg_r1_1", "fc_r1_2"]
    assert read_thought(thought.summary[0].text, thought.encrypted_content) == parts[0]
    assert message.content[0].annotations[0].end_index == len("It rains.")
    assert message.content[0].logprobs[0].top_logprobs[0].bytes == list("é".encode())
    assert message.content[1].refusal == "No."
    assert (call.call_id, call.name, call.arguments) == ("call_1", "f", '{"a":1}')
    assert call.extra_content == {"google": {"thought_signature": "c2ln"}}
    assert response.usage.output_tokens_details.reasoning_tokens == 4


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        (Finish.STOP, "completed", None),
        (Finish.STOP_SEQUENCE, "completed", None),
        (Finish.LENGTH, "incomplete", "max_output_tokens"),
        (Finish.CONTENT_FILTER, "incomplete", "content_filter"),
        (Finish.DECLINED, "incomplete", "content_filter"),
        (Finish.MALFORMED, "incomplete", None),
    ],
)
def test_a_response_tells_why_it_is_incomplete(finish, status, reason):
    answer = Answer(id="r", model="m", choices=(Choice((Text("a"),), finish),))
    response = seen(codec.write_answer(answer, model="m", now=NOW))
    details = response.incomplete_details
    assert (response.status, details and details.reason) == (status, reason)
    last = stream_of([Started("r", "m"), Finished(0, finish), Ended()])[-1]
    assert last.type == f"response.{status}"


def test_a_stream_is_written_in_the_order_that_openai_keeps():
    told = stream_of(
        [
            Started("r1", "x", created=5),
            PartStarted(0, "thought"),
            TextDelta(0, "Hm."),
            Signed(0, "proof"),
            PartEnded(0),
            Ping(),
            PartStarted(0, "text"),
            TextDelta(0, "It "),
            TextDelta(0, "rains."),
            Cited(0, Citation("https://a.example", "A")),
            PartEnded(0),
            PartStarted(0, "declined"),
            TextDelta(0, "No."),
            PartEnded(0),
            PartStarted(0, "tool", "call_1", "f"),
            TextDelta(0, '{"a":1}'),
            PartEnded(0),
            Finished(0, Finish.TOOL_CALLS),
            Counted(USAGE),
            Ended(),
        ]
    )
    assert [event.type.removeprefix("response.") for event in told] == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done"),
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.annotation.added", "output_text.done", "content_part.done"),
        *("content_part.added", "refusal.delta", "refusal.done", "content_part.done"),
        *("output_item.done", "output_item.added", "function_call_arguments.delta"),
        *("function_call_arguments.done", "output_item.done", "completed"),
    ]
    last = told[-1].response
    assert [item.type for item in last.output] == ["reasoning", "message", "function_call"]
    assert (last.usage.total_tokens, last.created_at) == (19, 5)


def test_a_stream_that_fails_tells_it():
    told = stream_of([Started("r", "m"), Failed(Fault("rate_limit", "Slow down."))])
    error, failed = told[2:]
    assert (error.type, error.message) == ("error", "Slow down.")
    assert (failed.type, failed.response.status) == ("response.failed", "failed")
    assert failed.response.error.code == "rate_limit_exceeded"


@settings(max_examples=50, deadline=None)
@given(responses_answers(PROVED, SIGNATURES), st.integers(1, 5), st.integers(1, 5))
def test_the_sdk_reads_whatever_is_written_and_a_stream_ends_with_the_whole(answer, pieces, size):
    told = stream_of(list(deltas_of(answer, pieces)), size)
    state = ResponseStreamState(input_tools=[], text_format=omit)
    for each in told:
        state.handle_event(each)
    whole = seen(codec.write_answer(answer, model="m", now=NOW))
    assert told[-1].response.model_dump() == whole.model_dump()


# Reading


def event(kind: str, **members: Any) -> bytes:
    return json.dumps({"type": f"response.{kind}", "sequence_number": 0, **members}).encode()


def test_a_stream_of_an_upstream_is_read():
    reader = codec.reader()
    response = {
        "id": "resp_1",
        "model": "m",
        "created_at": 5.0,
        "status": "in_progress",
        "output": [],
    }
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    call = {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "f",
        "arguments": "",
    }
    told = [
        event("created", response=response),
        event("in_progress", response=response),
        event("output_item.added", output_index=0, item={"type": "message", "id": "msg_1"}),
        event("content_part.added", output_index=0, content_index=0, part={"type": "output_text"}),
        event("output_text.delta", output_index=0, content_index=0, delta="Hi", logprobs=[]),
        event("output_text.done", output_index=0, content_index=0, text="Hi"),
        event("output_item.done", output_index=0, item={"type": "message"}),
        event("output_item.added", output_index=1, item=call),
        event("function_call_arguments.done", output_index=1, arguments='{"a":1}'),
        event("output_item.done", output_index=1, item=call),
        event("completed", response={**response, "status": "completed", "usage": usage}),
    ]
    deltas = [delta for each in told for delta in reader.event(b"", each)]
    assert fold([*deltas, *reader.end()]) == Answer(
        id="resp_1",
        model="m",
        choices=(Choice((Text("Hi"), ToolCall("call_1", "f", '{"a":1}')), Finish.TOOL_CALLS),),
        usage=Usage(3, 4),
        created=5,
    )


def test_a_stream_that_is_cut_is_no_answer():
    reader = codec.reader()
    reader.event(b"", event("created", response={"id": "resp_1"}))
    with pytest.raises(BadAnswer):
        reader.end()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (
            event("failed", response={"error": {"code": "server_error", "message": "Oops."}}),
            Fault("internal", "Oops.", "server_error"),
        ),
        (
            b'{"type":"error","code":"rate_limit_exceeded","message":"Slow."}',
            Fault("rate_limit", "Slow.", "rate_limit_exceeded"),
        ),
        (
            b'{"type":"error","error":{"type":"invalid_request_error","message":"Bad.","param":"input"}}',
            Fault("invalid_request", "Bad.", "", "input"),
        ),
    ],
)
def test_an_error_in_the_middle_of_a_stream_is_read(data, fault):
    assert codec.reader().event(b"error", data)[1:] == [Failed(fault)]


def test_an_error_is_read_by_its_status_and_its_words():
    body = (
        b'{"error":{"message":"Slow.","type":"requests","param":null,"code":"rate_limit_exceeded"}}'
    )
    assert codec.read_fault(429, body) == Fault("rate_limit", "Slow.", "rate_limit_exceeded")
    assert codec.read_fault(503, b"<html>").kind == "overloaded"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"\xff", b'{"output":5}', b'{"status":"failed","output":[]}']
)
def test_what_is_no_answer_is_told(body):
    with pytest.raises(BadAnswer):
        codec.read_answer(body)
