"""Lines of the ledger for tests: only what a test is about is named, the rest is an ordinary answered call."""

from gateway.domain.token import Token
from gateway.relay.record import instant_text
from gateway.store.ledger import COLUMNS, copy_text

_ORDINARY = dict.fromkeys(COLUMNS, b"0") | {
    "kind": b"c",
    "upstream": b"scripted",
    "dialect": b"openai",
    "route": b"chat_completions",
    "status": b"200",
    "ttfb_ms": b"1",
    "duration_ms": b"2",
    "address": b"127.0.0.1",
    "estimated": b"f",
    "anomaly": b"\\N",
    "price_version": b"1",
}


def ledger_line(
    token: Token, request_id: bytes, at_s: float, model: str = "m", **fields: int | bytes
) -> bytes:
    """A line as a worker writes it, in COPY's text form."""
    given = {name: b"%d" % v if isinstance(v, int) else v for name, v in fields.items()}
    values = (
        _ORDINARY
        | {
            "request_id": request_id,
            "account_id": b"%d" % token.account_id,
            "token_id": b"%d" % token.id,
            "user_id": b"%d" % token.user_id,
            "group_id": b"%d" % token.group.id,
            "model": copy_text(model),
            "started_at": instant_text(at_s),
        }
        | given
    )
    return b"\t".join(values[name] for name in COLUMNS) + b"\n"
