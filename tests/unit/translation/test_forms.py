"""What a form writes it reads again: requests, answers, streams, and what was used."""

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.dialects.anthropic import MessagesMeter
from gateway.domain.dialects.gemini import ContentMeter
from gateway.domain.dialects.meter import Meter
from gateway.domain.dialects.openai import OpenAIMeter
from gateway.domain.translation import chat, contents, messages, responses
from gateway.domain.translation.answers import Answer, Choice, Finish
from gateway.domain.translation.codec import Codec, Losses
from gateway.domain.translation.conversation import Conversation, Text
from gateway.domain.usage import Usage
from tests.unit.translation import strategies, strategies_gemini
from tests.unit.translation.streams import deltas_of, events, fold, keep_order, read, written


class Form(NamedTuple):
    codec: Codec
    meter: type[Meter]
    conversations: st.SearchStrategy[Conversation]
    answers: st.SearchStrategy[Answer]


FORMS = {
    "chat": Form(
        *(chat.codec, OpenAIMeter, strategies.chat_conversations(), strategies.chat_answers())
    ),
    "messages": Form(
        messages.codec,
        MessagesMeter,
        strategies.messages_conversations(),
        strategies.messages_answers(),
    ),
    "contents": Form(
        contents.codec,
        ContentMeter,
        strategies_gemini.contents_conversations(),
        strategies_gemini.contents_answers(),
    ),
    "responses": Form(
        responses.codec,
        OpenAIMeter,
        strategies_gemini.responses_conversations(),
        strategies_gemini.responses_answers(),
    ),
}
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
some = settings(max_examples=60, deadline=None)


@every_form
def test_a_request_that_is_written_is_read_as_it_was(form: Form):
    @some
    @given(form.conversations)
    def holds(asked: Conversation) -> None:
        body = form.codec.write_request(asked, Losses())
        again = form.codec.read_request(body, Losses(), model=asked.model, stream=asked.stream)
        assert again == asked

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
