"""What looks like a secret, and texts without it. Pure.

The last line of defence, at the sink of every log: what writes a line has no secret at hand in the first place. Known
are, by their form, our own keys and tokens, those of providers and clouds, passwords in URLs and 32 bytes in
hexadecimal digits (pepper, encryption key); by their names, values of headers and parameters that carry secrets.
"""

import re
from typing import Final, NamedTuple

HIDDEN: Final = "***"


class _Look(NamedTuple):
    """Where to look: `pattern` is searched only where one of `signs` (lower case) is, since that takes longer."""

    signs: tuple[str, ...]
    pattern: re.Pattern[str]
    shown: str = HIDDEN


_OWN: Final = ("sk-", "tht_", "whsec_", "AIza")
_LOOKS: Final = (
    _Look(
        ("sk-", "tht_", "whsec_", "aiza", "akia", "asia"),
        re.compile(
            r"sk-[0-9A-Za-z_-]{40,}|(?<![0-9A-Za-z])sk-[0-9A-Za-z_-]{8,}|tht_[0-9A-Za-z]{8,}"
            r"|whsec_[0-9A-Za-z+/=]{8,}|AIza[0-9A-Za-z_-]{20,}|A[KS]IA[0-9A-Z]{16}"
        ),
    ),
    _Look(("@",), re.compile(r"(?<=://:)[^@/\s]+(?=@)|(?<=:)[^:@/\s]+(?=@)")),
    _Look(
        ("bearer ", "basic "), re.compile(r"(?i)\b(bearer|basic) [^\s\"'&;,\\]+"), rf"\1 {HIDDEN}"
    ),
    _Look(
        ("key=", "token=", "code=", "state=", "password=", "tollhouse="),
        re.compile(
            r"(?i)((?:[?&](?:key|api_key|token|access_token|code|state|password)|\b(?:__Host-)?tollhouse)=)"
            r"[^\s\"'&;,\\]+"
        ),
        rf"\1{HIDDEN}",
    ),
    _Look(
        ("-key", "authorization", "cookie"),
        re.compile(
            r"(?i)(\b(?:x-api-key|x-goog-api-key|(?:proxy-)?authorization|(?:set-)?cookie)[\"']?:\s*[\"']?)"
            r"(?!basic |bearer )[^\s\"'&;,\\]+"
        ),
        rf"\1{HIDDEN}",
    ),
)
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]{64,}")
_SIGNS_IN_LINES = tuple(sign.encode() for sign in _OWN)


def redact(text: str) -> str:
    """The text without anything that looks like a secret."""
    lower = text.lower()
    for look in _LOOKS:
        if any(sign in lower for sign in look.signs):
            text = look.pattern.sub(look.shown, text)
    return _HEXADECIMAL.sub(HIDDEN, text)


def redact_line(line: bytes) -> bytes:
    """A line of the log of calls, likewise; one that has nothing of ours or of providers is told at little cost."""
    if any(sign in line for sign in _SIGNS_IN_LINES):
        return redact(line.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return line
