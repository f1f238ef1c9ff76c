"""Writes docs/errors.md, and the table of docs/metrics.md, from the code. `--check` fails where they differ.

Statuses, types and bodies come from the code. Only what a caller can do about a reason is said here, and a reason that
nothing is said about stops the script.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Literal, NamedTuple

import orjson

from admin_api.envelope import STATUS, Code
from gateway.domain.errors import Reason, Refusal
from gateway.domain.families import FAMILIES
from gateway.domain.rejection import Problem
from gateway.domain.rules import Rule
from gateway.relay.envelopes import WIRE, body_of, event_of

DOCS = Path(__file__).parents[1] / "docs"

REMEDIES: dict[Reason, str] = {
    Reason.INVALID_REQUEST: "The body cannot be read, or the call alone is above a limit. `param` names the member.",
    Reason.UNSUPPORTED_PARAMETER: "The cost cannot be bounded. Leave the parameter out, or use an uncapped key.",
    Reason.MODEL_NOT_PRICED: "Operator: set a price in `[[models]]`. Or use an uncapped key.",
    Reason.INVALID_API_KEY: "Send `Authorization: Bearer sk-…` with a key of this gateway.",
    Reason.KEY_DISABLED: "The key's owner can enable it again.",
    Reason.KEY_EXPIRED: "The key's owner can move the expiry, or make another key.",
    Reason.ACCOUNT_DISABLED: "An administrator can enable account and user, an owner can take a member back.",
    Reason.EMAIL_NOT_VERIFIED: "Not used yet.",
    Reason.IP_NOT_ALLOWED: "Call from an allowed address, or have the key's lists changed.",
    Reason.MODEL_NOT_ALLOWED: "`GET /v1/models` lists what the key can call; the message says whose list it is.",
    Reason.GROUP_NOT_ALLOWED: "The account has not subscribed to the key's group at this time. Have it prolonged.",
    Reason.ROUTE_NOT_METERED: "Have the operator set a price in `[[routes]]`, or use an uncapped key.",
    Reason.UNKNOWN_URL: "The message tells the right base URL.",
    Reason.OBJECT_NOT_FOUND: "Use the id of an object that this account has made.",
    Reason.MODEL_NOT_FOUND: "No upstream of the key's group serves it. `GET /v1/models` lists what there is.",
    Reason.METHOD_NOT_ALLOWED: "`Allow` names the method.",
    Reason.REQUEST_TIMEOUT: "Send it faster: it has a minute, and for a large body a second more for each 32 KiB.",
    Reason.BODY_TOO_LARGE: "Send less. Operator: `gateway.max_body_bytes`.",
    Reason.UNSUPPORTED_MEDIA_TYPE: "Send the body uncompressed.",
    Reason.RATE_LIMIT_EXCEEDED: "Wait as long as `Retry-After` says; it is exact.",
    Reason.CONCURRENCY_EXCEEDED: "Wait for a running call to end. `Retry-After` is an estimate.",
    Reason.TOO_MANY_CONNECTIONS: "Use open connections again. Operator: `gateway.max_connections_per_address`.",
    Reason.QUOTA_RESERVED: "Money is there but held by running calls. Wait, or ask for less output.",
    Reason.INSUFFICIENT_QUOTA: "Ask for less output, or have the quota raised. Do not retry.",
    Reason.INTERNAL_ERROR: "A fault of the gateway. Its log has it under the `request_id`.",
    Reason.UPSTREAM_ERROR: "The provider broke off, or refused the gateway. Retry; the call may have been executed.",
    Reason.UPSTREAM_UNAVAILABLE: "The provider cannot be reached. Retry.",
    Reason.UPSTREAM_BUSY: "The provider has as many calls as the operator lets it have. Retry.",
    Reason.QUOTA_UNAVAILABLE: "A cap cannot be checked at the moment. Retry after `Retry-After`.",
    Reason.KEY_STORE_UNAVAILABLE: "Keys cannot be looked up at the moment. Retry.",
    Reason.OVERLOADED: "Wait as long as `Retry-After` says; it differs from answer to answer.",
    Reason.SHUTTING_DOWN: "Repeat the call; another worker takes it.",
    Reason.UPSTREAM_TIMEOUT: "The provider did not answer in time. Retry; the call may have been executed.",
}


class Sees(NamedTuple):
    """What comes of a fault. `form`: our own error, our error as the last event of a stream, or the provider's answer.

    `code` is that of our own error. `log` are words that its cause has in the log.
    """

    status: int
    form: Literal["error", "event", "answer"]
    code: Reason | None = None
    charged: Literal["nothing", "an estimate", "exactly"] = "nothing"
    anomaly: str | None = None
    log: str = ""


class Fault(NamedTuple):
    """A fault of an upstream. `next`: another upstream that serves the model is asked instead, if there is one."""

    whole: Sees
    stream: Sees
    next: bool = False


def _alike(sees: Sees, *, next_is_asked: bool = False) -> Fault:
    return Fault(sees, sees, next_is_asked)


def _unreachable(log: str) -> Fault:
    sees = Sees(502, "error", Reason.UPSTREAM_UNAVAILABLE, log=log)
    return _alike(sees, next_is_asked=True)


def _declined(status: int) -> Fault:
    return _alike(Sees(status, "answer"), next_is_asked=True)


def _no_answer(log: str, *, next_is_asked: bool = False) -> Fault:
    sees = Sees(502, "error", Reason.UPSTREAM_ERROR, log=log)
    return _alike(sees, next_is_asked=next_is_asked)


def _cut(log: str, code: Reason = Reason.UPSTREAM_ERROR, status: int = 502) -> Fault:
    return Fault(
        Sees(status, "error", code, "an estimate", "upstream_cut", log),
        Sees(200, "event", code, "an estimate", "upstream_cut", log),
    )


_TIMEOUT = Reason.UPSTREAM_TIMEOUT

FAULTS: dict[str, Fault] = {
    "refuses the connection": _unreachable("Connection"),
    "has a name that does not resolve": _unreachable("gaierror"),
    "speaks plainly where TLS is spoken": _unreachable("SSL"),
    "is silent before the head": _alike(Sees(504, "error", _TIMEOUT, log="did not answer in time")),
    "is silent in the middle": _cut("stopped answering", _TIMEOUT, 504),
    "resets the connection before the first byte": _no_answer("the connection"),
    "resets the connection after the first byte": _cut("the connection"),
    "cuts its answer short": _cut("closed the connection"),
    "ends its answer before its end": _cut("before its end|less than an answer"),
    "sends an event of broken JSON": _alike(
        Sees(200, "event", Reason.UPSTREAM_ERROR, "an estimate", "upstream_cut", "malformed event")
    ),
    "answers 200 with a web page": _no_answer("web page"),
    "answers 200 with nothing": _cut("before its end|less than an answer"),
    "answers 200 with an error": Fault(
        Sees(200, "answer", None, "an estimate", "no_usage"),
        Sees(200, "event", Reason.UPSTREAM_ERROR, "an estimate", "upstream_cut", "before its end"),
    ),
    "answers 429": _declined(429),
    "answers 429 with Retry-After": _declined(429),
    "answers 500": _declined(500),
    "answers 502": _declined(502),
    "answers 503": _declined(503),
    "answers 529": _declined(529),
    "redirects": _no_answer("status 302"),
    "refuses the operator's key": _no_answer("credentials", next_is_asked=True),
    "sends a huge header": _no_answer("head too large"),
    "sends a header without an end": _no_answer("head too large"),
    "sends byte by byte, within the timeouts": _alike(Sees(200, "answer", None, "exactly")),
}
"""Faults of upstreams ("The upstream …"). tests/integration/test_upstream_faults.py proves each row."""

TEXT = """\
# Errors

<!-- Written by tools/docs.py; `make test` fails where it differs from the code. -->

Every refusal names the rule and the remedy in its message. `code` is the *reason*: one closed set, the same in the log
(`"reason"`). Programs should look at status and code, never at the message.

## Calls

Status and type by reason. The form follows from the path: OpenAI's, unless it begins with `/v1/messages` (Anthropic) or
`/v1beta/` (Gemini).

{calls}

* `insufficient_quota` is 402 where the operator set `quota.exhausted_status = 402`.
* `Retry-After` (and `retry-after-ms`) come with the reasons that waiting helps against.
* `x-should-retry: false` comes with {never}: the official SDKs then do not repeat the call.
* `x-request-id` comes with every answer, and is the `request_id` of the body and of the ledger's row.
* An error that the *provider* answered (other than 401, 403 and what another upstream can be asked about) is passed on
  as it is, with its own status and body.

In OpenAI's form:

```json
{openai}
```

In Anthropic's:

```json
{anthropic}
```

In Gemini's:

```json
{gemini}
```

A stream that has begun has its status already. It ends with an event, and without the terminator that a whole stream
has:

```text
{event}
```

### When a provider fails

What the caller of a call with one upstream sees, and what it is charged. Where *next* is asked, another upstream of the
key's group that serves the model answers instead, and the caller sees nothing of it. The cause is in the logs, never in
what the caller sees.

{faults}

What broke off is charged as an estimate (`anomaly` is `upstream_cut`), because the provider may bill it. What was never
answered, or answered with an error, costs nothing.

## Admin API

`{{"success": false, "message": …, "code": …}}` with these statuses:

{admin}

### Rules

Where fields are at fault, `errors` tells each: `code` is the rule, `params` is what stands in braces, `message` is
the field and the filled sentence. [token-api.md](token-api.md#errors) says more.

{rules}
"""


def errors_document() -> str:
    """The whole document. Raises `SystemExit` for a reason without a remedy."""
    if missing := set(Reason) - set(REMEDIES):
        raise SystemExit(f"tools/docs.py says nothing about {', '.join(sorted(missing))}")
    request_id = "01a1fe32-45bc-7308-82da-1138870581f3"
    refusal = Refusal(
        Reason.INSUFFICIENT_QUOTA,
        "The quota of this token is $1.00: $0.90 used, $0.00 held by running calls. …",
        scope="token",
        details={"used_nusd": 900_000_000, "held_nusd": 0, "limit_nusd": 1_000_000_000},
    )
    cut = Refusal(Reason.UPSTREAM_ERROR, "The upstream of 'gpt-5.4' closed the connection. …")
    never = [f"`{reason}`" for reason, wire in WIRE.items() if wire.retry is False]
    return TEXT.format(
        calls=_calls(),
        never=", ".join(never),
        openai=_pretty(body_of(refusal, "openai", request_id)),
        anthropic=_pretty(body_of(refusal, "anthropic", request_id)),
        gemini=_pretty(body_of(refusal, "gemini", request_id)),
        event=event_of(cut, "openai", request_id).decode().strip(),
        faults=_faults(),
        admin=_admin(),
        rules=_rules(),
    )


def _calls() -> str:
    rows = [
        "| Status | Code | OpenAI `type` | Anthropic `type` | Gemini `status` | What to do |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {wire.status} | `{reason}` | `{wire.openai}` | `{wire.anthropic}` | `{wire.gemini}` | {REMEDIES[reason]} |"
        for reason, wire in WIRE.items()
    ]
    return "\n".join(rows)


def _faults() -> str:
    rows = [
        "| The upstream … | Without a stream | A stream | Charged | Another upstream |",
        "|---|---|---|---|---|",
    ]
    for name, fault in FAULTS.items():
        cells = (_seen(fault.whole), _seen(fault.stream), _charged(fault))
        rows.append(f"| {name} | {' | '.join(cells)} | {'next' if fault.next else ''} |")
    return "\n".join(rows)


def _seen(sees: Sees) -> str:
    if sees.form == "answer":
        return f"{sees.status}, as the provider answered"
    if sees.form == "error":
        return f"{sees.status} `{sees.code}`"
    return f"{sees.status}, what came, an event `{sees.code}`"


def _charged(fault: Fault) -> str:
    whole, stream = fault.whole.charged, fault.stream.charged
    return whole if whole == stream else f"{whole}; a stream {stream}"


def _admin() -> str:
    by_status: dict[int, list[Code | Problem]] = {}
    for code, status in STATUS.items():
        by_status.setdefault(status, []).append(code)
    rows = ["| Status | Codes |", "|---|---|"]
    for status, codes in sorted(by_status.items()):
        rows.append(f"| {status} | {', '.join(f'`{code}`' for code in codes)} |")
    return "\n".join(rows)


def _rules() -> str:
    rows = ["| Code | Sentence |", "|---|---|"]
    rows += [f"| `{rule}` | {_without_conversions(rule.template)} |" for rule in Rule]
    return "\n".join(rows)


def _without_conversions(template: str) -> str:
    return re.sub(r"!\w}", "}", template)


def _pretty(body: bytes) -> str:
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()


_FIGURES = re.compile(
    r"(?<=\n\| Name \| Kind \| Labels \| Is \|\n\|---\|---\|---\|---\|\n).*?(?=\n\n)", re.DOTALL
)


def metrics_document() -> str:
    """The page with its table anew; all else of it is written by hand."""
    rows = [
        f"| `{family.name}` | {family.kind} | {', '.join(f'`{label}`' for label in family.labels)} | {family.means} |"
        for family in FAMILIES.values()
    ]
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    return _FIGURES.sub(lambda _: "\n".join(rows), page)


DOCUMENTS = {"errors.md": errors_document, "metrics.md": metrics_document}


def main() -> int:
    """Write, or check; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    parser.add_argument("--file", type=Path, help="one of them alone, by its name, there")
    given = parser.parse_args()
    status = 0
    for file in [given.file] if given.file else [DOCS / name for name in DOCUMENTS]:
        document = DOCUMENTS[file.name]()
        if not given.check:
            file.write_text(document, encoding="utf-8")
        elif not (file.is_file() and file.read_text(encoding="utf-8") == document):
            print(f"{file} is not what the code says: run tools/docs.py", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
