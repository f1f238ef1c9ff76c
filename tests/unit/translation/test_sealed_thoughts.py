"""What OpenAI's models have thought, which responses tell encrypted: it comes back to them, and to nobody else."""

import json
from typing import Any

import pytest

from gateway.domain.translation import chat, contents, messages, responses
from gateway.domain.translation.codec import Codec, Losses
from gateway.domain.translation.conversation import (
    Conversation,
    Text,
    Thinking,
    Thought,
    Turn,
)
from tests.unit.translation.streams import fold, keep_order, read, written

SIGNATURE = "responses:rs_1:gAAAAABo"
REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "encrypted_content": "gAAAAABo",
}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Yes."}]}
PARTS = (Thought("Hm.", SIGNATURE), Text("Yes."))
CALLERS = (messages, contents)


def answer(*items: Any) -> bytes:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    told = {"id": "resp_1", "model": "m", "created_at": 5, "status": "completed", "usage": usage}
    return json.dumps({**told, "output": items}).encode()


def stream(*items: dict[str, Any]) -> list[bytes]:
    """The same as events, such as nothing can be left out of."""
    told: list[tuple[str, dict[str, Any]]] = [("created", {"response": {"id": "resp_1"}})]
    for index, item in enumerate(items):
        place = {"output_index": index}
        told.append(("output_item.added", {**place, "item": {"type": item["type"]}}))
        for part, each in enumerate(item.get("summary", ())):
            more = {**place, "summary_index": part, "delta": each["text"]}
            told.append(("reasoning_summary_text.delta", more))
        texts = ({**place, "delta": each["text"]} for each in item.get("content", ()))
        told += [("output_text.delta", more) for more in texts]
        told.append(("output_item.done", {**place, "item": item}))
    told.append(("completed", {"response": {"id": "resp_1", "status": "completed"}}))
    return [json.dumps({"type": f"response.{kind}", **more}).encode() for kind, more in told]


def heard(*items: dict[str, Any]) -> Any:
    reader = responses.reader()
    deltas = [delta for event in stream(*items) for delta in reader.event(b"", event)]
    deltas += reader.end()
    keep_order(deltas)
    return deltas


def asked(form: Codec, parts: tuple[Any, ...], **members: Any) -> Any:
    """What an upstream of this form is sent of a conversation in which the model has said that."""
    turns = (Turn("user", (Text("?"),)), Turn("assistant", parts), Turn("user", (Text("Why?"),)))
    told = Conversation(model="m", turns=turns, max_output_tokens=9, **members)
    return json.loads(form.write_request(told, Losses()))


def test_what_is_encrypted_is_a_signature_of_the_thought():
    (choice,) = responses.read_answer(answer(REASONING, MESSAGE)).choices
    assert choice.parts == PARTS
    assert fold(heard(REASONING, MESSAGE)).choices[0].parts == PARTS


def test_of_a_thought_in_pieces_the_last_is_signed_and_of_one_untold_there_is_a_signature():
    pieces = {**REASONING, "summary": [{"text": "Hm."}, {"text": "So."}]}
    parts = (Thought("Hm."), Thought("So.", SIGNATURE), Text("Yes."))
    for whole, untold in (
        (pieces, parts),
        (REASONING | {"summary": []}, (Thought("", SIGNATURE), PARTS[1])),
    ):
        (choice,) = responses.read_answer(answer(whole, MESSAGE)).choices
        assert choice.parts == untold
        assert fold(heard(whole, MESSAGE)).choices[0].parts == untold


@pytest.mark.parametrize("form", CALLERS, ids=("messages", "contents"))
def test_callers_send_it_back_and_the_upstream_gets_its_item(form: Codec):
    whole = form.read_answer(
        form.write_answer(responses.read_answer(answer(REASONING, MESSAGE)), model="m", now=7)
    )
    streamed = fold(read(form, written(form, heard(REASONING, MESSAGE))))
    for told in (whole, streamed):
        parts = _as_sent_back(form, told.choices[0].parts)
        items = asked(responses, parts)["input"]
        assert [item for item in items if item["type"] == "reasoning"] == [REASONING]
        assert [item["type"] for item in items] == ["message", "reasoning", "message", "message"]


def _as_sent_back(form: Codec, parts: tuple[Any, ...]) -> tuple[Any, ...]:
    """A conversation's turn, written by a client of this form and read by the gateway."""
    if form is messages:
        blocks: list[Any] = []
        for part in parts:
            if isinstance(part, Thought):
                blocks.append(
                    {"type": "thinking", "thinking": part.text, "signature": part.signature}
                )
            else:
                blocks.append({"type": "text", "text": part.text})
        body: dict[str, Any] = {"messages": [{"role": "assistant", "content": blocks}]}
    else:
        answered = responses.read_answer(answer(REASONING, MESSAGE))
        told = json.loads(contents.write_answer(answered, model="m", now=7))
        body = {"contents": [told["candidates"][0]["content"]]}
    found = form.read_request(json.dumps(body).encode(), Losses(), model="m", stream=False)
    return found.turns[0].parts


@pytest.mark.parametrize("form", [chat, messages, contents], ids=("chats", "messages", "contents"))
def test_nobody_else_is_given_it(form: Codec):
    told = json.dumps(asked(form, PARTS))
    assert "gAAAAABo" not in told
    assert "Yes." in told


def test_it_is_asked_for_where_the_model_is_to_think():
    assert "include" not in asked(responses, (Text("a"),))
    assert "include" not in asked(responses, (Text("a"),), thinking=Thinking(is_on=False))
    told = asked(responses, (Text("a"),), thinking=Thinking(effort="low"), logprobs=2)
    assert told["include"] == ["message.output_text.logprobs", "reasoning.encrypted_content"]
