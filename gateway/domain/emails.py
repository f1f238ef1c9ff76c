"""What is an e-mail address here: those that every mail server takes. Pure."""

import re
from typing import Final

MAX_CHARACTERS: Final = 254  # https://www.rfc-editor.org/errata/eid1690

# Dot-atoms of RFC 5322 section 3.2.3, in ASCII: what stands in a header must be neither quoted nor encoded.
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
PATTERN: Final = rf"^{_LOCAL}(?:\.{_LOCAL})*@{_LABEL}(?:\.{_LABEL})*$"
"""Of an address, but for its length; also for schemas."""

_EMAIL = re.compile(PATTERN.removesuffix("$") + r"\Z")
_MAX_LOCAL_CHARACTERS = 64


def is_email(text: str) -> bool:
    """Whether mail can be sent there. Domains of other alphabets are written as `xn--`."""
    return (
        len(text) <= MAX_CHARACTERS
        and text.find("@") <= _MAX_LOCAL_CHARACTERS
        and _EMAIL.match(text) is not None
    )


def domain_of(email: str) -> str:
    """What stands behind the `@`, in lower case."""
    return email.rpartition("@")[2].lower()
