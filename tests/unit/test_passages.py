"""What passages cost, what they are called, and what is read of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ask import Ask, Changes, Path, read_ask
from gateway.domain.errors import Refusal
from gateway.domain.passage_ask import PassageForm, boundary_of
from gateway.domain.passages import Metering, Rule, ids_in, name_of, names_a_model, rule_of

ANY = frozenset()


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/v1/files", "/v1/files", True),
        ("/v1/files", "/v1/files/x", False),
        ("/v1/files/*", "/v1/files/x", True),
        ("/v1/files/*", "/v1/files/x/content", False),
        ("/v1/files/**", "/v1/files", True),
        ("/v1/files/**", "/v1/files/x/content", True),
        ("/v1/files/**", "/v1/filesystem", False),
        ("/v1/a.b/**", "/v1/aXb", False),
    ],
)
def test_a_rule_fits_whole_parts_of_a_path(pattern, path, fits):
    assert Rule(pattern, ANY, Metering.FREE).fits("GET", path) is fits


def test_a_rule_with_methods_fits_only_these():
    rule = Rule("/v1/x", frozenset({"POST"}), Metering.FREE)
    assert (rule.fits("POST", "/v1/x"), rule.fits("GET", "/v1/x")) == (True, False)


def test_the_first_of_the_operators_rules_decides():
    own = (
        Rule("/v1/batches", frozenset({"POST"}), Metering.CALL, 5),
        Rule("/v1/**", ANY, Metering.NEVER),
    )
    assert rule_of("POST", "/v1/batches", own) is own[0]
    assert rule_of("GET", "/v1/files", own) is own[1]
    assert rule_of("GET", "/v1/files").metering is Metering.FREE


@pytest.mark.parametrize(
    ("path", "name", "ids"),
    [
        ("/v1/files/file-abc", "files", ("file-abc",)),
        ("/v1/threads/thread_a1/runs/run_2/steps", "threads/runs/steps", ("thread_a1", "run_2")),
        ("/v1/never_heard_of", "other", ("never_heard_of",)),
        ("/v1/images/generations", "images/generations", ()),
    ],
)
def test_names_and_ids_of_a_path(path, name, ids):
    assert (name_of(path), ids_in(path)) == (name, ids)


def test_where_forms_name_a_model():
    assert names_a_model("/v1/audio/transcriptions")
    assert names_a_model("/v1/videos")
    assert not names_a_model("/v1/files")


TYPE = "multipart/form-data; boundary=xyz"


def form(*parts: bytes, boundary: bytes = b"xyz") -> bytes:
    return (
        b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts)
        + b"--"
        + boundary
        + b"--\r\n"
    )


def field(name: bytes, value: bytes) -> bytes:
    return b'Content-Disposition: form-data; name="%b"\r\n\r\n%b' % (name, value)


def read(body: bytes, content_type: str = TYPE) -> Ask | Refusal:
    return read_ask(body, PassageForm(boundary_of(content_type)), Path())


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"--abc"),
        ('Multipart/Form-Data; charset=x; boundary="a b"', None),
        ('multipart/form-data; boundary="abc"; x=y', b"--abc"),
        ("application/json", None),
    ],
)
def test_the_boundary_is_the_one_that_was_announced(content_type, boundary):
    assert boundary_of(content_type) == boundary


def test_a_form_names_its_model():
    body = form(field(b"purpose", b"x"), field(b"model", b"whisper-1"))
    found = read(body)
    assert isinstance(found, Ask)
    assert found.model == "whisper-1"
    assert PassageForm(b"--xyz").write(body, Changes("other")) == form(
        field(b"purpose", b"x"), field(b"model", b"other")
    )


def test_a_model_in_a_file_or_before_the_first_part_is_none():
    inside = b'Content-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + field(
        b"model", b"x"
    )
    found = read(b"--abc\r\n" + field(b"model", b"fake") + b"\r\n" + form(inside))
    assert isinstance(found, Ask)
    assert found.model == ""


@pytest.mark.parametrize(
    "body",
    [
        form(field(b"model", b"a"), field(b"model", b"b")),
        form(b"Content-Disposition: form-data; name*=utf-8''model\r\n\r\na"),
        form(b'Content-Disposition: form-data; name="a"; name="model"\r\n\r\na'),
        form(b"Content-Disposition: form-data\r\n\r\na"),
        form(b'Content-Disposition: form-data; name="mo\\"del"\r\n\r\na'),
        b"no part at all",
    ],
)
def test_a_form_that_readers_could_disagree_on_is_refused(body):
    assert isinstance(read(body), Refusal)


def test_a_form_names_objects():
    body = form(field(b"file_id", b"f-1"), field(b"source[file_ids][]", b"f-2"), field(b"x", b"y"))
    found = read(body)
    assert isinstance(found, Ask)
    assert found.about == ("f-1", "f-2")


def test_a_form_of_no_end_of_parts_is_refused():
    found = read(form(*[field(b"x", b"y")] * 1001))
    assert isinstance(found, Refusal)
    assert "more than 1000 parts" in found.message
    tiny = b"--x" + b"\r\n--x" * 3_000_000 + b"\r\n\r\n"
    assert isinstance(read(tiny, "multipart/form-data; boundary=x"), Refusal)


def test_json_may_name_a_model_once():
    found = read(b'{"model":"m","stream":true}', "application/json")
    assert isinstance(found, Ask)
    assert (found.model, found.stream) == ("m", True)
    assert isinstance(read(b'{"model":"m","model":"n"}', ""), Refusal)
    assert isinstance(read(b"[]", ""), Refusal)
    assert read(b"{}", "").model == ""  # type: ignore[union-attr]


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    found = read(body)
    assert isinstance(found, Ask | Refusal)
