"""What handlers read of a request besides body and parameters: what it is about, whether it is repeated."""

import contextlib
import hashlib
from collections.abc import Iterator

from aiohttp import web

from admin_api.arrival import whole_body
from admin_api.context import CALLER, SERVICES
from admin_api.envelope import Code, Declined
from gateway.domain.errors import StoreUnavailable
from gateway.domain.rejection import invalid
from gateway.domain.rules import Rule
from gateway.store.idempotency import Once

_MAX_DIGITS = 19  # of a 64-bit number
_TOO_MANY_DIGITS = 20
_LARGEST = 2**63 - 1
_MAX_IDEMPOTENCY_KEY = 255


def if_match(request: web.Request) -> int | None:
    """The version in `If-Match`, quoted or not; None where any will do."""
    sent = request.headers.get("If-Match", "*").strip()
    if sent == "*":
        return None
    version = sent.removeprefix("W/").strip('"')
    if not (version.isascii() and version.isdigit() and len(version) <= _MAX_DIGITS):
        raise invalid("If-Match", Rule.NO_VERSION, given=sent)
    return int(version)


def wanted_version(request: web.Request, sent: int | None) -> int | None:
    """The version that is to be changed; `If-Match` goes before what the body says."""
    return sent if (match := if_match(request)) is None else match


def number_in_path(request: web.Request, name: str = "id") -> int:
    """A number of the path; one that no row has, where it is longer than any."""
    return min(int(request.match_info[name][:_TOO_MANY_DIGITS]), _LARGEST)


@contextlib.contextmanager
def asking_quota() -> Iterator[None]:
    """For questions to the quota store alone. Raises `Declined` where it does not answer."""
    try:
        yield
    except StoreUnavailable as error:
        raise Declined(
            Code.STORE_UNAVAILABLE,
            "The quota store does not answer, and nothing else knows what is held. Try again.",
            {"Retry-After": "1"},
        ) from error


async def once_of(request: web.Request) -> Once | None:
    """The request as one that is carried out once, where it has an `Idempotency-Key`."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not (1 <= len(key) <= _MAX_IDEMPOTENCY_KEY and key.isascii() and key.isprintable()):
        raise invalid("Idempotency-Key", Rule.NO_IDEMPOTENCY_KEY, most=_MAX_IDEMPOTENCY_KEY)
    body = await whole_body(request)
    asked = hashlib.sha256(f"{request.method} {request.path.rstrip('/')}\n".encode() + body)
    services = request.app[SERVICES]
    # With the pepper, since a body can hold a password, which many guesses a second would find.
    digests = services.pepper.digests(asked.digest())
    return Once(request[CALLER].user.id, key, digests, services.seal)
