"""Large bodies are read of thin copies: what is found is what their whole reading finds."""

import base64
import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.anthropic_ask import MessagesForm
from gateway.domain.ask import Ask, Changes, Form, Path, edited, read_ask, rewrite
from gateway.domain.errors import Refusal
from gateway.domain.gemini_ask import ContentForm
from gateway.domain.large_ask import read_in_steps
from gateway.domain.openai_ask import OpenAIForm
from gateway.domain.passage_ask import PassageForm
from gateway.domain.splice import Pieces, member_of

CHAT = OpenAIForm(("max_completion_tokens", "max_tokens"), usage_option=True, entries="messages")
RESPONSES = OpenAIForm(("max_output_tokens",), entries="input", plain=("prompt",))
EMBEDDINGS = OpenAIForm(plain=("input",))
PATH = Path("m", stream=False)
IMAGE = base64.b64encode(random.Random(1).randbytes(600_000)).decode()

LONG = (
    "data:image/png;base64," + IMAGE[:40_000],
    "https://images.example/" + IMAGE[:20_000],
    IMAGE[:70_000],
    IMAGE[:17_000] + ":",
    "compact" + IMAGE[:30_000] + "compact",
    "a line\n" * 6000,
    'He said "hi". ' * 3000,
    "é" * 20_000,
    "\x7f" * 20_000,
    "\ud83d" + "a" * 20_000,
    "," + "1," * 20_000,
)
TEXTS = st.sampled_from((*LONG, "", "hi", "file-1", "image/png", "http://x", "base64"))
DATA = st.just(LONG[0]) | st.just(LONG[0]) | TEXTS
NAMES = st.sampled_from(
    (
        *("model", "messages", "input", "prompt", "content", "contents", "parts", "text", "type"),
        *("image_url", "url", "inlineData", "mimeType", "data", "source", "role", "file_id"),
        *("user", "metadata", "prediction", "context_management", "tools", "stream_options"),
        *("max_tokens", "generationConfig", "system", "conversation", "service_tier", LONG[2]),
    )
)
VALUES = st.recursive(
    TEXTS | st.integers(0, 300) | st.none() | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


def openai_part(text: str) -> st.SearchStrategy[Any]:
    image = {"type": "image_url", "image_url": {"url": text}}
    return st.just(image) | st.sampled_from(
        (
            {"type": "input_image", "image_url": text},
            {"type": "text", "text": text},
            {"type": "input_audio", "input_audio": {"data": text, "format": "wav"}},
            {"type": "file", "file": {"file_data": text}},
        )
    )


def anthropic_part(text: str) -> st.SearchStrategy[Any]:
    image = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": text},
    }
    return st.just(image) | st.sampled_from(
        (
            {"type": "tool_result", "content": [image]},
            {"type": "document", "source": {"type": "base64", "data": text}},
            {"type": "document", "source": {"type": "text", "data": text}},
            {"type": "text", "text": text},
        )
    )


def gemini_part(text: str) -> st.SearchStrategy[Any]:
    kinds = st.just("image/png") | st.sampled_from(
        ("image/png", "IMAGE/x", "audio/wav", "text/plain", "video/mp4")
    )
    return kinds.map(lambda kind: {"inlineData": {"mimeType": kind, "data": text}}) | st.just(
        {"text": text}
    )


def asked(part: Any, member: str, inner: str, extra: dict[str, Any]) -> st.SearchStrategy[Any]:
    parts = st.lists(DATA.flatmap(part), min_size=1, max_size=4)
    others = st.just({}) | st.dictionaries(NAMES, VALUES, max_size=2)
    return st.tuples(parts, others).map(
        lambda made: {"model": "m", **extra, member: [{"role": "user", inner: made[0]}], **made[1]}
    )


BODIES = {
    CHAT: asked(openai_part, "messages", "content", {"max_tokens": 9}),
    RESPONSES: asked(openai_part, "input", "content", {"store": True}),
    MessagesForm(): asked(anthropic_part, "messages", "content", {"max_tokens": 9}),
    ContentForm(): asked(gemini_part, "contents", "parts", {"generationConfig": {}}),
    EMBEDDINGS: st.dictionaries(NAMES, VALUES, min_size=1, max_size=4),
    PassageForm(): st.dictionaries(NAMES, VALUES, min_size=1, max_size=4),
}
FORMS = st.sampled_from((*BODIES,))
WRONG = st.sampled_from((b'"', b"\\", b'\\"', b"\n", b"\xff", b"}", b",", b'":"', b"\\u006d"))


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, Form]:
    """A body as different clients write it, some of them wrongly, and the form that it is read by."""
    form = draw(FORMS)
    separators = draw(st.sampled_from(((",", ":"), (", ", ": "), ("\n , ", " :\t"))))
    asked = draw(BODIES[form] | FORMS.flatmap(BODIES.__getitem__))
    text = json.dumps(asked, separators=separators, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        text = text.replace("/", "\\/")
    body = text.encode("utf-8", "surrogatepass")
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        at = draw(st.integers(0, len(body)))
        wrong = draw(WRONG)
        body = body[:at] + wrong + body[at + draw(st.sampled_from((0, len(wrong), 30_000))) :]
    end = draw(st.integers(0, len(body))) if draw(st.integers(0, 9)) == 0 else len(body)
    return body[:end], form


class Watched:
    """A form that notes how much it is given to read."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.sizes: list[int] = []

    def read(self, body: bytes, path: Path) -> Ask:
        self.sizes.append(len(body))
        return self.form.read(body, path)


def read(body: bytes, form: Any) -> Ask | Refusal:
    steps = read_in_steps(body, form, PATH)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(written())
def test_what_is_found_in_steps_is_what_is_found_at_once(made: tuple[bytes, Form]):
    body, form = made
    assert read(body, form) == read_ask(body, form, PATH)


def content(*parts: Any, **members: Any) -> str:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": parts}], **members})


AUDIO = {"type": "input_audio", "input_audio": {"data": LONG[2], "format": "wav"}}
PICTURE = {"type": "image_url", "image_url": {"url": LONG[0]}}
HIDDEN = {"edits": [{"type": IMAGE[:9000] + "compact" + IMAGE[:9000]}]}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        pytest.param(CHAT, content(PICTURE, AUDIO), id="some of the cuts are images"),
        pytest.param(CHAT, content(prediction={"content": LONG[2]}), id="a prediction was cut"),
        pytest.param(
            MessagesForm(), content(context_management=HIDDEN, max_tokens=1), id="a word is hidden"
        ),
        pytest.param(
            CHAT,
            content(
                AUDIO, metadata={LONG[0]: "", LONG[0] + "B": "", **{f"{n}": "" for n in range(15)}}
            ),
            id="names that begin alike",
        ),
        pytest.param(
            CHAT, content(IMAGE[:50_000] + "É", x=0)[:-2] + "1" * 5000 + "}", id="an escaped letter"
        ),
    ],
)
def test_where_a_cut_could_hide_something_the_body_is_read_as_it_stands(form: Form, text: str):
    body = text.replace("\\u00c9", "\\u006d").encode()
    assert read(body, form) == read_ask(body, form, PATH)


IMAGES = [{"type": "image_url", "image_url": {"url": LONG[0]}}, {"type": "text", "text": "What?"}]
SOURCE = {"type": "base64", "media_type": "image/png", "data": LONG[2]}
PDF = {"type": "document", "source": {**SOURCE, "media_type": "application/pdf"}}
INLINE = {"inlineData": {"mimeType": "image/png", "data": LONG[2]}}


@pytest.mark.parametrize(
    ("form", "body"),
    [
        (CHAT, {"model": "m", "messages": [{"role": "user", "content": IMAGES}]}),
        (CHAT, {"model": "m", "messages": [{"role": "user", "content": IMAGE}]}),
        (MessagesForm(), {"model": "m", "messages": [{"role": "user", "content": [PDF]}]}),
        (ContentForm(), {"contents": [{"parts": [INLINE, INLINE]}]}),
        (PassageForm(), {"model": "m", "image": IMAGE}),
    ],
)
@pytest.mark.parametrize("escaped", [False, True])
def test_a_body_of_images_or_of_one_document_is_never_read_whole(form, body, escaped):
    data = json.dumps(body).replace("/", "\\/" if escaped else "/").encode()
    watched = Watched(form)
    assert read(data, watched) == read_ask(data, form, PATH)
    assert max(watched.sizes) < len(data) // 4


def test_a_body_of_many_texts_is_read_once():
    data = json.dumps({"model": "m", "messages": [{"content": "Hi, you. " * 99}] * 999}).encode()
    watched = Watched(CHAT)
    assert read(data, watched) == read_ask(data, CHAT)
    assert watched.sizes == [len(data)]


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(("model", "messages", "max_tokens", "stream_options", "n")),
    st.sets(
        st.sampled_from(("model", "messages", "max_tokens", "stream_options", "n")), min_size=1
    ),
    st.sets(st.sampled_from(("model", "max_tokens", "max_completion_tokens", "stream_options"))),
    st.sampled_from((None, 2)),
)
def test_a_change_leaves_every_other_member_the_bytes_that_it_was(order, there, changed, indent):
    members = {
        "model": "max_tokens",
        "messages": [{"content": [IMAGES[1], {"type": "image_url", "image_url": IMAGE}]}],
        "max_tokens": None,
        "stream_options": {"a": "}"},
        "n": 1,
    }
    asked = {name: members[name] for name in order if name in there | {"messages"}}
    body = json.dumps(asked, indent=indent).encode()
    changes = dict.fromkeys(changed, b'{"model":7}')
    found = edited(body, changes)
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    assert decode(bytes(found)) == decode(rewrite(body, changes))
    assert len(found) == len(bytes(found))


def test_a_large_body_is_not_copied_for_a_change():
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": IMAGE}]}).encode()
    found = CHAT.write(body, Changes("other", 7, "max_tokens", ask_usage=True))
    assert isinstance(found, Pieces)
    assert max(len(piece) for piece in found if isinstance(piece, bytes)) < 100
    assert json.loads(bytes(found)) == json.loads(body) | {
        "model": "other",
        "max_tokens": 7,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("name", ["model", "max_tokens"])
def test_a_member_that_cannot_be_found_with_certainty_is_written_anew(name):
    escaped = b'{"\\u006dodel":"m","messages":"%b","x":{"model":1},"max_tokens":1,"a":"max_tokens"}'
    body = escaped % IMAGE.encode()
    changes = {name: b'"other"'}
    assert edited(body, changes) == rewrite(body, changes)


def test_a_member_is_found_whole_however_long_it_is():
    body = json.dumps({"a": IMAGE, "b": {"c": IMAGE[:20_000]}, "d": 1}).encode()
    assert json.loads(bytes(member_of(body, "b") or b"")) == {"c": IMAGE[:20_000]}
    assert bytes(member_of(body, "d") or b"") == b"1"
    assert member_of(body, "e") is None
