"""What kind of error an upstream's status stands for, where its body does not say more. Pure."""

from http import HTTPStatus
from typing import Final

from gateway.domain.translation.answers import Fault, FaultKind

_KINDS: Final[dict[int, FaultKind]] = {
    401: "authentication",
    402: "permission",
    403: "permission",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    429: "rate_limit",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",  # https://docs.claude.com/en/api/errors
}
_FIRST_OF_SERVERS: Final = 500


def kind_of(status: int) -> FaultKind:
    """The kind of an error that has this status."""
    return _KINDS.get(status, "internal" if status >= _FIRST_OF_SERVERS else "invalid_request")


def bare(status: int) -> Fault:
    """The error that a status tells by itself."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "no reason given"
    return Fault(kind_of(status), f"The upstream answered {status} ({phrase}).")
