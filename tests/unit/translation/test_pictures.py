"""Pictures that a model makes in its answers, and those that a conversation goes on from."""

import json
from typing import Any

import pytest

from gateway.domain.dialects.meter import BadAnswer
from gateway.domain.translation import chat, contents, messages, responses
from gateway.domain.translation.answers import Answer, Choice, Delta, Finish
from gateway.domain.translation.codec import Codec, Losses, Uncarried
from gateway.domain.translation.conversation import (
    Conversation,
    Data,
    Drawing,
    Image,
    Text,
    Turn,
)
from gateway.domain.translation.messages.answers_out import instead_of
from tests.unit.translation.streams import events, fold, read, written

GEMINI = "gemini-3-pro-image"
PICTURE = Image(Data("image/png", "iVBORw0KGgo="), signature="c2ln")
URL = "data:image/png;base64,iVBORw0KGgo="
INLINE = {"mimeType": "image/png", "data": "iVBORw0KGgo="}
SIGNED = {"google": {"thought_signature": "c2ln"}}
USER = Turn("user", (Text("Draw a toll house."),))
IN_CHATS = {
    "type": "image_url",
    "image_url": {"url": URL},
    "index": 0,
    "extra_content": SIGNED,
}
IN_RESPONSES = {
    "id": "ig_r1_1",
    "type": "image_generation_call",
    "status": "completed",
    "result": "iVBORw0KGgo=",
    "output_format": "png",
    "extra_content": SIGNED,
}


def answered(*parts: dict[str, Any]) -> bytes:
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 1290, "totalTokenCount": 1295}
    return json.dumps(
        {"candidates": [candidate], "usageMetadata": usage, "responseId": "r1"}
    ).encode()


DRAWN = answered({"text": "Here:"}, {"inlineData": INLINE, "thoughtSignature": "c2ln"})


def whole(form: Codec) -> Any:
    """What a caller of this form gets of a picture that Gemini has made."""
    answer = contents.read_answer(DRAWN)
    return json.loads(form.write_answer(answer, model="mine", now=7))


def stream(form: Codec) -> list[Any]:
    """The same as a stream."""
    data = [data for _, data in events(written(form, deltas()))]
    return [json.loads(each) for each in data if each != b"[DONE]"]


def deltas() -> list[Delta]:
    reader = contents.reader()
    return [*reader.event(b"", DRAWN), *reader.end()]


def test_chats_have_pictures_beside_the_text():
    message = whole(chat)["choices"][0]["message"]
    assert (message["content"], message["images"]) == ("Here:", [IN_CHATS])
    told = [chunk["choices"][0]["delta"] for chunk in stream(chat)[:-1]]
    assert {"images": [IN_CHATS]} in told


def test_responses_have_them_as_items_of_the_tool_that_draws():
    text, picture = whole(responses)["output"]
    assert (text["content"][0]["text"], picture) == ("Here:", IN_RESPONSES)
    told = stream(responses)
    kinds = [event["type"] for event in told if event.get("output_index") == 1]
    assert kinds == [
        "response.output_item.added",
        *(
            f"response.image_generation_call.{step}"
            for step in ("in_progress", "generating", "completed")
        ),
        "response.output_item.done",
    ]
    assert told[-1]["response"]["output"][1] == IN_RESPONSES


def test_messages_have_no_place_for_them_and_say_so_in_words():
    said = instead_of(PICTURE)
    assert "image/png" in said
    assert [block["text"] for block in whole(messages)["content"]] == ["Here:", said]
    starts = [event["type"] for event in stream(messages)]
    assert starts.count("content_block_start") == starts.count("content_block_stop") == 2
    (choice,) = fold(read(messages, written(messages, deltas()))).choices
    assert choice.parts == (Text("Here:"), Text(said))


def test_pictures_that_a_chat_answers_with_are_contents():
    message = {"role": "assistant", "content": "Here:", "images": [IN_CHATS]}
    body = {"id": "a", "choices": [{"message": message, "finish_reason": "stop"}]}
    told = contents.write_answer(chat.read_answer(json.dumps(body).encode()), model="m", now=7)
    assert json.loads(told)["candidates"][0]["content"]["parts"] == [
        {"text": "Here:"},
        {"inlineData": INLINE, "thoughtSignature": "c2ln"},
    ]
    address = "https://a.example/b.png"
    choice = Choice((Image(Data(url=address)),), Finish.STOP)
    told = contents.write_answer(Answer(id="a", model="m", choices=(choice,)), model="m", now=7)
    (part,) = json.loads(told)["candidates"][0]["content"]["parts"]
    assert part == {"fileData": {"fileUri": address}}


def test_a_conversation_goes_on_from_a_picture_with_its_signature():
    body = {
        "model": "m",
        "modalities": ["image", "text"],
        "image_config": {"aspect_ratio": "16:9"},
        "messages": [
            {"role": "user", "content": "Draw a toll house."},
            {"role": "assistant", "content": "Here:", "images": [IN_CHATS]},
            {"role": "user", "content": "With snow."},
        ],
    }
    asked = chat.read_request(json.dumps(body).encode(), Losses(), model=GEMINI, stream=False)
    assert asked.turns[1].parts == (Text("Here:"), PICTURE)
    told = json.loads(contents.write_request(asked, Losses()))
    assert told["generationConfig"] == {
        "responseModalities": ["IMAGE", "TEXT"],
        "imageConfig": {"aspectRatio": "16:9"},
    }
    text, picture = told["contents"][1]["parts"]
    assert text == {"text": "Here:", "thoughtSignature": "skip_thought_signature_validator"}
    assert picture == {"inlineData": INLINE, "thoughtSignature": "c2ln"}
    again = contents.read_request(json.dumps(told).encode(), Losses(), model=GEMINI, stream=False)
    assert again.turns[1].parts == asked.turns[1].parts


def test_items_that_draw_come_back_with_what_was_drawn():
    def turns_of(item: dict[str, Any]) -> tuple[Turn, ...]:
        body = json.dumps({"model": "m", "input": [{"role": "user", "content": "?"}, item]})
        asked = responses.read_request(body.encode(), Losses(), model="m", stream=False)
        return asked.turns

    assert turns_of(IN_RESPONSES)[1] == Turn("assistant", (PICTURE,))
    with pytest.raises(Uncarried) as refused:
        turns_of({"type": "image_generation_call", "id": "ig_1", "status": "completed"})
    assert refused.value.param == "input[1].result"


@pytest.mark.parametrize(
    ("form", "members", "member"),
    [
        (messages, {"modalities": ("image",)}, "modalities"),
        (responses, {"modalities": ("image",)}, "modalities"),
        (messages, {"drawing": Drawing("16:9")}, "drawing"),
        (responses, {"drawing": Drawing("16:9")}, "drawing"),
        (messages, {"turns": (USER, Turn("assistant", (PICTURE,)))}, "image"),
        (chat, {"turns": (USER, Turn("assistant", (PICTURE,)))}, "image"),
    ],
)
def test_who_draws_nothing_is_not_asked_to(form: Codec, members: dict[str, Any], member: str):
    asked = Conversation(**{"model": "m", "turns": (USER,), "max_output_tokens": 9, **members})
    with pytest.raises(Uncarried) as refused:
        form.write_request(asked, Losses())
    assert refused.value.member == member


def test_a_picture_that_was_only_thought_in_is_none_of_the_answers():
    answer = contents.read_answer(answered({"thought": True, "inlineData": INLINE}))
    assert answer.choices[0].parts == ()


@pytest.mark.parametrize("kind", ["audio/wav", "video/mp4", None])
def test_other_media_are_a_bad_answer(kind: str | None):
    body = answered({"inlineData": {"mimeType": kind, "data": "AAAA"}})
    with pytest.raises(BadAnswer):
        contents.read_answer(body)
    with pytest.raises(BadAnswer):
        contents.reader().event(b"", body)
