"""What is no request, or could be two, is the same to every parser that may read it. Ids: docs/threat-model.md."""

from gateway.relay.plain import MOST_HEAD_BYTES, read_head
from tests.raw_request import (
    REFUSED,
    Raw,
    every_raw_request,
    raw_requests,
    read_by_c,
    read_by_python,
)

# Of aiohttp's parsers the gateway has the one in C; it does not start with the other, which takes all of these.
TAKEN_BY_PYTHON = {
    *("chunk-size-17-digits", "chunk-size-nul-in-the-extension", "chunk-size-overflow"),
    *("chunk-size-quoted-line-break", "chunk-size-return-in-the-extension", "length-endless"),
    *("coding-with-tabs", "trailer-with-a-length", "first-line-unknown-version"),
    *("first-line-eight-bit", "first-line-unknown-method"),
}
# The first is refused later, since it has no version that we speak; the other has one meaning only.
TAKEN_BY_C = {"first-line-no-version", "first-line-two-spaces"}
# To the one in C whatever follows is of the tunnel. It is refused, and its connection closed.
TUNNEL = "first-line-connect"


@every_raw_request
def test_both_of_aiohttps_parsers_find_the_same_requests(raw: Raw):
    """N09: or one of them none at all."""
    by_c, by_python = read_by_c(raw.template), read_by_python(raw.template)
    assert (by_c == REFUSED and by_python != REFUSED) == (raw.name in TAKEN_BY_PYTHON)
    assert (by_python == REFUSED and by_c != REFUSED) == (raw.name in TAKEN_BY_C)
    assert by_c == by_python or REFUSED in {str(by_c), str(by_python)} or raw.name == TUNNEL


@every_raw_request
def test_our_own_reader_takes_none_for_plain_that_could_be_anything_else(raw: Raw):
    """N09."""
    end = raw.template.find(b"\r\n\r\n", 0, MOST_HEAD_BYTES)
    plain = read_head(raw.template[:end]) if end >= 0 else None
    if plain is None:
        return
    requests = read_by_c(raw.template)
    assert requests is not REFUSED
    (only,) = requests
    assert only.body == raw.template[end + 4 :]
    assert (len(only.body), only.fields) == (plain.body_bytes, tuple(plain.fields.items()))


def test_there_are_requests_of_both_kinds():
    kinds = [raw.is_refused for raw in raw_requests()]
    assert (kinds.count(True) > 100, kinds.count(False) > 20) == (True, True)
