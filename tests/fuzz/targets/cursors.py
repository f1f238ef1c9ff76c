"""Query strings of lists, and the cursors in them: read into values that a database takes, or refused by name."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from multidict import MultiDict

from admin_api.logs import queries as log
from admin_api.logs import refusal_queries as refusals
from admin_api.paging import page_in
from admin_api.wallets.queries import accounts_of, codes_of, history_of
from admin_api.warnings.queries import warning_filter_of
from gateway.domain.rejection import Rejected
from tests.fuzz.target import Target

_MOST_ROWS = 100
_BIGINT = 2**63


def keeps(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    parameters = MultiDict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape"))
    for pages in (False, True):
        query = _read(log.log_query_of, parameters, 7, pages=pages)
        if query is not None:
            assert 1 <= query.size <= _MOST_ROWS
            assert query.offset < log.MAX_ROWS_OF_PAGES
            if query.before is not None:
                _comes_back(log.log_query_of, log.cursor_of(query.before), query.before)
    query = _read(refusals.refusal_query_of, parameters, 7)
    if query is not None and query.before is not None:
        assert max(query.before.hour, query.before.token_id) < _BIGINT
        _comes_back(refusals.refusal_query_of, refusals.cursor_of(query.before), query.before)
    history = _read(history_of, parameters, 7)
    if history is not None:
        assert -_BIGINT < history[1] < _BIGINT
    _read(warning_filter_of, parameters, 7)
    page = _read(page_in, parameters)
    if page is not None:
        assert 1 <= page.size <= _MOST_ROWS
        assert 0 <= page.offset < _BIGINT
        _read(accounts_of, parameters, page, 7)
        _read(codes_of, parameters, page)


def _read(read: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    try:
        return read(*arguments, **named)
    except Rejected as rejected:
        assert rejected.mistakes
        assert len(rejected.message) < 20_000
        rejected.message.encode()
        return None


def _comes_back(read: Callable[..., Any], cursor: str, place: Any) -> None:
    named = {"pages": False} if read is log.log_query_of else {}
    assert read(MultiDict({"cursor": cursor}), 7, **named).before == place


TARGET = Target(
    "cursors",
    keeps,
    (
        *(
            b"cursor=",
            b"&cursor=",
            b"AAAAAAAAAAAAAAAAAAAAAA",
            b"MCAwIGE",
            b"==",
            b"=",
            b"&",
            b"-",
            b"_",
        ),
        *(
            b"limit=",
            b"p=",
            b"page_size=",
            b"user_id=all",
            b"&token_id=",
            b"&start=",
            b"&end=",
            b"&tag=",
        ),
        *(
            b"9" * 15,
            b"9" * 19,
            b"-1",
            b"+1",
            b"%00",
            b"%d9%a1",
            b"\xff",
            b"%ff",
            b"a:b",
            b"&status=5xx",
        ),
        *(
            b"&request_id=",
            b"0" * 32,
            b"&type=2",
            b"&model=",
            b"&reason=invalid_api_key",
            b"&state=used",
        ),
        *(
            b"%E2%80%A8",
            b"%0a",
            b"%ed%a0%80",
            b"&by=token",
            b"99999999999",
            b"&min_amount_nusd=",
            b"?",
        ),
    ),
)
