"""What a caller is told whose request no handler has seen: whole answers, which quote nothing of what came."""

import time

from gateway.bounded_server import Unfit
from gateway.domain.catalog import Dialect
from gateway.domain.errors import Reason, Refusal
from gateway.domain.routes import dialect_of
from gateway.relay import envelopes
from gateway.relay.answer import status_line
from gateway.relay.record import RequestIds, uuid_text

_REFUSALS = {
    Unfit.NO_REQUEST: Refusal(
        Reason.INVALID_REQUEST,
        "What came is no HTTP request that can be read here, or its head is too large: at most 128 fields of "
        "8,190 bytes each.",
    ),
    Unfit.NO_HOST: Refusal(
        Reason.INVALID_REQUEST, "The header 'Host' is missing; a request names it once."
    ),
    Unfit.TOO_SLOW: Refusal(
        Reason.REQUEST_TIMEOUT, "The request did not come to its end in time: it has a minute."
    ),
    Unfit.TOO_MANY: Refusal(
        Reason.TOO_MANY_CONNECTIONS,
        "More connections are open from your address than it may have (the operator's "
        "gateway.max_connections_per_address). Use open ones again; a proxy belongs in gateway.trusted_proxies.",
        retry_after_s=1,
    ),
    Unfit.FAULT: Refusal(Reason.INTERNAL_ERROR, "Something went wrong here; it is on record."),
}
_ids = RequestIds()


def unread(unfit: Unfit, dialect: Dialect = "openai") -> bytes:
    """The answer, after which the connection is closed."""
    refusal = _REFUSALS[unfit]
    request_id = uuid_text(_ids.next(time.time()))
    body = envelopes.body_of(refusal, dialect, request_id)
    return (
        b"%bcontent-type: application/json\r\ncontent-length: %d\r\n%bx-request-id: %b\r\nconnection: close\r\n\r\n%b"
        % (
            status_line(envelopes.status_of(refusal)),
            len(body),
            envelopes.headers_of(refusal),
            request_id.encode(),
            body,
        )
    )


def one_too_many(begun: bytes) -> bytes:
    """The answer to a connection that is one too many, in the dialect of what it asks."""
    words = begun[:200].split(b" ", 2)
    path = words[1].decode("latin-1") if len(words) > 1 else ""
    return unread(Unfit.TOO_MANY, dialect_of(path.partition("?")[0]))
