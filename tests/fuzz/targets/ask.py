"""Bodies of every dialect: read whole and of thin copies alike, and as every other reader of JSON would.

A byte 1 stands for a text of twenty thousand characters, 2 for an image as long: known inputs stay small.
"""

import json
from typing import Any

import msgspec

from gateway.domain.anthropic_ask import MessagesForm
from gateway.domain.ask import Ask, Changes, Form, Path, read_ask
from gateway.domain.gemini_ask import ContentForm
from gateway.domain.large_ask import read_in_steps
from gateway.domain.openai_ask import OpenAIForm
from gateway.domain.passage_ask import PassageForm
from tests.fuzz.target import Target

_PATH = Path("m", stream=False)
_FORMS: tuple[Form, ...] = (
    OpenAIForm(("max_completion_tokens", "max_tokens"), usage_option=True, entries="messages"),
    OpenAIForm(("max_output_tokens",), entries="input", plain=("prompt",)),
    OpenAIForm(plain=("input",)),
    MessagesForm(),
    ContentForm(),
    PassageForm(),
    PassageForm(b"--b"),
)
_LONG, _IMAGE = b"A line. " * 2500, b"data:image/png;base64," + b"QUJD" * 5000
_CHANGED = Changes("another", 77, ask_usage=True)
_MOST_LONG = 6


def keeps(data: bytes) -> None:
    body = data.replace(b"\1", _LONG, _MOST_LONG).replace(b"\2", _IMAGE, _MOST_LONG)
    for form in _FORMS:
        ask = read_ask(body, form, _PATH)
        assert _in_steps(body, form) == ask
        if isinstance(ask, Ask):
            assert ask.images >= 0
            assert ask.max_output_tokens is None or 0 < ask.max_output_tokens < 2**31
            assert 0 < ask.choices <= 128
            assert -len(_IMAGE) <= ask.size_bytes <= len(body) + 2048
            if not isinstance(form, PassageForm):
                _is_what_others_read(form, ask, body)
                _is_changed_where_it_should(form, ask, body)


def _in_steps(body: bytes, form: Form) -> object:
    steps = read_in_steps(body, form, _PATH)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _both_readers(body: bytes) -> list[dict[str, Any]]:
    """The top of a body by readers that take the last, and the first, of members that are alike."""

    def first(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return dict(reversed(pairs))

    text = body.decode("utf-8", "surrogateescape")
    return [json.loads(text), json.loads(text, object_pairs_hook=first)]


def _is_what_others_read(form: Form, ask: Ask, body: bytes) -> None:
    for read in _both_readers(body):
        if isinstance(form, ContentForm):
            config = read.get("generationConfig") or read.get("generation_config") or {}
            given = config.get("maxOutputTokens") or config.get("max_output_tokens")
            assert ask.max_output_tokens == given
            assert ask.choices == (
                config.get("candidateCount") or config.get("candidate_count") or 1
            )
            continue
        assert read["model"] == ask.model
        assert bool(read.get("stream")) == ask.stream
        given = [read[name] for name in form.max_fields if read.get(name) is not None]
        assert ask.max_output_tokens == max(given, default=None)
        if isinstance(form, OpenAIForm):
            counts = [read[name] for name in ("n", "best_of") if read.get(name) is not None]
            assert ask.choices == max([1, *counts])


def _is_changed_where_it_should(form: Form, ask: Ask, body: bytes) -> None:
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    changes = _CHANGED._replace(
        max_field=ask.max_field or next(iter(form.max_fields), ""), ask_usage=form.usage_option
    )
    if not form.max_fields or ask.max_output_tokens is not None:
        changes = changes._replace(max_output_tokens=None)  # the caller's own stays
    before, after = decode(body), decode(bytes(form.write(body, changes)))
    ours = {"model", "stream_options", "generationConfig", "generation_config", changes.max_field}
    for name in {*before, *after} - ours:
        assert bytes(after[name]) == bytes(before[name])
    again = read_ask(bytes(form.write(body, changes)), form, _PATH)
    assert isinstance(again, Ask)
    assert again.max_output_tokens == (changes.max_output_tokens or ask.max_output_tokens)
    assert again.opaque == ask.opaque


TARGET = Target(
    "ask",
    keeps,
    (
        *(b'"model":"m"', b'"\\u006dodel":"x"', b'"messages":[', b'"content":', b'"max_tokens":1'),
        *(b'"stream":true', b'"n":2', b'"input":', b'"stream_options":{}', b'"tools":[]', b","),
        *(b'{"type":"image_url","image_url":{"url":"\2"}}', b'{"type":"text","text":"\1"}', b":"),
        *(b'"generationConfig":{"maxOutputTokens":5}', b'"role":"user"', b'"inlineData":', b"null"),
        *(b'"mimeType":"image/png"', b"\1", b"\2", b"\\", b'\\"', b"\\ud800", b"\xff", b"{", b"}"),
        *(b"[", b"]", b'"', b" ", b"\n", b"1e3", b"-0", b"NaN", b"9" * 30, b"\xef\xbb\xbf", b"\0"),
        *(b"--b\r\n", b'content-disposition: form-data; name="model"\r\n\r\n', b"--b--", b"\r\n"),
        *(b'"max_completion_tokens":9', b'"file_id":"f"', b'"store":true', b'"prediction":{}'),
        *(b'"candidateCount":2', b'"generation_config":null', b'"metadata":{"a":"b"}', b"[" * 70),
    ),
)
