"""Bodies of the admin API: each is of its route's type, or every mistake in it is told as one that can be stored."""

from pydantic import ValidationError

from admin_api.bodies import _parse
from admin_api.envelope import Declined
from admin_api.mistakes import Mistakes, mistakes_of
from admin_api.routes import ROUTES
from gateway.domain.rejection import Rejected
from tests.fuzz.target import Target

_KINDS = tuple({route.body: None for route in ROUTES if route.body is not None})
_MOST_TOLD = 100_000


def keeps(data: bytes) -> None:
    try:
        document = _parse(data)
    except (Declined, Rejected) as error:
        str(error).encode()
        return
    for kind in _KINDS:
        try:
            kind.model_validate(document)
        except ValidationError as error:
            _are_told(mistakes_of(error, kind), tuple(kind.model_fields))


def _are_told(mistakes: Mistakes, fields: tuple[str, ...]) -> None:
    try:
        mistakes.raise_any(fields)
    except Rejected as rejected:
        assert rejected.mistakes
        assert len(rejected.message.encode()) < _MOST_TOLD
        assert rejected.message.isprintable()
        return
    raise AssertionError("the type found something, and nobody was told")


TARGET = Target(
    "bodies",
    keeps,
    (
        *(
            b'"name":"t"',
            b'"quota_usd":1.5',
            b'"remain_quota":-1',
            b'"models":["m"]',
            b'"limits":[',
        ),
        *(
            b'{"metric":"usd","window":"5h","limit":1}',
            b'"allow_ips":"10.0.0.0/8"',
            b'"url":',
            b",",
        ),
        *(
            b'"base_url":"https://a.example"',
            b'"password":',
            b'"role":"user"',
            b'"expired_time":-1',
        ),
        *(
            b'"metadata":{',
            b"null",
            b"true",
            b"1e400",
            b"1e-400",
            b"9" * 30,
            b"NaN",
            b"{",
            b"}",
            b"[",
        ),
        *(
            b"]",
            b'"',
            b"\\ud800",
            b"\\u0000",
            b"\\u202e",
            b"\xff",
            b"\xef\xbb\xbf",
            b":",
            b"[" * 40,
        ),
        *(
            b'"version":1',
            b'"email":"a@b"',
            b'"amount_usd":',
            b'"tiers":[{',
            b'"headers":{"X":"y"}',
        ),
    ),
)
