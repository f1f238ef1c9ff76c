"""What a form writes it reads again: requests, answers, streams, and what was used."""

import json
import re
from collections.abc import Callable
from typing import NamedTuple

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from google.genai import models
from google.genai.types import GenerateContentResponse
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.domain.dialects.anthropic import MessagesMeter
from gateway.domain.dialects.gemini import ContentMeter
from gateway.domain.dialects.meter import Meter
from gateway.domain.dialects.openai import OpenAIMeter
from gateway.domain.translation import chat, contents, messages, responses
from gateway.domain.translation.answers import Answer, Choice, Finish, Logprob
from gateway.domain.translation.codec import Codec, Losses
from gateway.domain.translation.conversation import (
    Conversation,
    Declined,
    Image,
    Part,
    Text,
    Thought,
    ToolCall,
)
from gateway.domain.translation.messages.answers_out import instead_of
from gateway.domain.usage import Usage
from tests.unit.translation import strategies, strategies_gemini
from tests.unit.translation.streams import deltas_of, events, fold, keep_order, read, written


class Form(NamedTuple):
    codec: Codec
    meter: type[Meter]
    conversations: st.SearchStrategy[Conversation]
    answers: st.SearchStrategy[Answer]
    whole: Callable[[bytes], object]
    event: Callable[[bytes], object]


def read_by_google(body: bytes) -> object:
    """Whatever Google's SDK makes of an answer or event; it passes over members that it does not know."""
    members = models._GenerateContentResponse_from_mldev(json.loads(body))
    return GenerateContentResponse._from_response(response=members, kwargs={})


FORMS = {
    "chat": Form(
        chat,
        OpenAIMeter,
        strategies.chat_conversations(),
        strategies.chat_answers(),
        TypeAdapter(ChatCompletion).validate_json,
        TypeAdapter(ChatCompletionChunk).validate_json,
    ),
    "messages": Form(
        messages,
        MessagesMeter,
        strategies.messages_conversations(),
        strategies.messages_answers(),
        TypeAdapter(Message).validate_json,
        TypeAdapter(RawMessageStreamEvent).validate_json,
    ),
    "contents": Form(
        contents,
        ContentMeter,
        strategies_gemini.contents_conversations(),
        strategies_gemini.contents_answers(),
        read_by_google,
        read_by_google,
    ),
    "responses": Form(
        responses,
        OpenAIMeter,
        strategies_gemini.responses_conversations(),
        strategies_gemini.responses_answers(),
        TypeAdapter(Response).validate_json,
        TypeAdapter(ResponseStreamEvent).validate_json,
    ),
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
some = settings(max_examples=60, deadline=None)
any_answer = st.one_of(
    strategies.chat_answers(),
    strategies.messages_answers(),
    strategies_gemini.contents_answers(strategies_gemini.PROVED),
)
BLOCK = "content_block_start (content_block_delta )*content_block_stop "
ORDER = re.compile(f"message_start ping ({BLOCK})*message_delta message_stop")


@every_form
def test_a_request_that_is_written_is_read_as_it_was(form: Form):
    @some
    @given(form.conversations)
    def holds(asked: Conversation) -> None:
        losses = Losses()
        body = form.codec.write_request(asked, losses)
        again = form.codec.read_request(body, losses, model=asked.model, stream=asked.stream)
        assert again == asked
        assert losses.dropped == []

    holds()


@every_form
def test_an_answer_that_is_written_is_read_as_it_was(form: Form):
    @some
    @given(form.answers)
    def holds(answer: Answer) -> None:
        body = form.codec.write_answer(answer, model=answer.model, now=7)
        assert form.codec.read_answer(body) == answer

    holds()


@every_form
def test_a_stream_that_is_written_is_read_as_it_was_and_tells_the_whole_answer(form: Form):
    @some
    @given(form.answers, st.integers(1, 4))
    def holds(answer: Answer, pieces: int) -> None:
        deltas = list(deltas_of(answer, pieces))
        assert fold(deltas) == answer
        again = read(form.codec, written(form.codec, deltas))
        keep_order(again)
        assert fold(again) == answer

    holds()


@every_form
def test_what_was_used_is_told_so_that_it_costs_the_same(form: Form):
    @some
    @given(strategies.usages(), st.integers(1, 4))
    def holds(usage: Usage, pieces: int) -> None:
        said = Choice((Text("hello"),), Finish.STOP)
        answer = Answer(id="a", model="m", choices=(said,), usage=usage)
        whole = form.codec.write_answer(answer, model="m", now=7)
        assert form.meter().whole(whole) == usage
        meter = form.meter()
        for _, data in events(written(form.codec, deltas_of(answer, pieces))):
            if data != b"[DONE]":
                meter.event(data)
        assert meter.usage == usage

    holds()


@every_form
def test_whatever_is_answered_its_sdk_knows_whole_and_as_a_stream_and_both_say_the_same(form: Form):
    codec = form.codec

    @some
    @given(any_answer, st.integers(1, 9))
    def holds(answer: Answer, pieces: int) -> None:
        whole = codec.write_answer(answer, model="m", now=7)
        form.whole(whole)
        stream = written(codec, deltas_of(answer, pieces))
        for name, data in events(stream):
            if name != b"ping" and data != b"[DONE]":
                form.event(data)
        told = [essence(each) for each in (codec.read_answer(whole), fold(read(codec, stream)))]
        assert told[0] == told[1]
        first = slice(0, 1 if codec in {messages, responses} else None)
        meant = in_words(answer) if codec is messages else answer
        assert told[0][0] == [said(choice) for choice in meant.choices[first]]

    holds()


def in_words(answer: Answer) -> Answer:
    """The answer with what is said in the place of pictures where there can be none."""

    def parts(choice: Choice) -> tuple[Part, ...]:
        return tuple(
            Text(instead_of(part)) if isinstance(part, Image) else part for part in choice.parts
        )

    choices = tuple(replace(each, parts=parts(each)) for each in answer.choices)
    return replace(answer, choices=choices)


def essence(answer: Answer) -> tuple[list[object], object]:
    """What an answer says, whichever way its parts are cut and put in order."""
    ends = [(choice.finish, choice.stop_sequence) for choice in answer.choices]
    return [said(choice) for choice in answer.choices], ends


def said(choice: Choice) -> object:
    text = "".join(part.text for part in choice.parts if isinstance(part, Text | Declined))
    thought = "".join(part.text for part in choice.parts if isinstance(part, Thought))
    calls = [(p.id, p.name, p.arguments) for p in choice.parts if isinstance(p, ToolCall)]
    pictures = [part for part in choice.parts if isinstance(part, Image)]
    return text, thought, calls, pictures


@some
@given(any_answer)
def test_events_of_a_message_come_in_their_order(answer: Answer):
    told = events(written(messages, deltas_of(answer, 3)))
    assert ORDER.fullmatch(" ".join(name.decode() for name, _ in told))
    assert all(json.loads(data)["type"].encode() == name for name, data in told)
    starts = [json.loads(data)["index"] for name, data in told if b"block_start" in name]
    assert starts == list(range(len(starts)))


@some
@given(any_answer)
def test_chunks_come_in_their_order(answer: Answer):
    *told, done = [data for _, data in events(written(chat, deltas_of(answer, 3)))]
    assert done == b"[DONE]"
    chunks = [json.loads(data) for data in told]
    if answer.usage is not None:
        assert chunks.pop()["choices"] == []
    for number in range(len(answer.choices)):
        choices = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == number]
        assert [each["delta"].get("role") for each in choices][:2] == ["assistant", None]
        assert [bool(each["finish_reason"]) for each in choices] == [
            *[False] * (len(choices) - 1),
            True,
        ]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1


def test_what_only_a_chat_can_tell_is_told_as_it_came():
    probable = (Logprob("he", -0.5, (("he", -0.5), ("she", -1.5))), Logprob("y", 0.0))
    parts = (Text("hey"), ToolCall("c", "f", "{}", signature="G"))
    choice = Choice(parts, Finish.TOOL_CALLS, logprobs=probable)
    answer = Answer(id="a", model="m", choices=(choice,), created=5)
    whole = chat.write_answer(answer, model="m", now=7)
    assert chat.read_answer(whole) == answer
    call = json.loads(whole)["choices"][0]["message"]["tool_calls"][0]
    assert call["extra_content"] == {"google": {"thought_signature": "G"}}
    deltas = list(deltas_of(answer, 3))
    deltas[2] = type(deltas[2])(0, "hey", probable)
    assert fold(read(chat, written(chat, deltas))) == answer
