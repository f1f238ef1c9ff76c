"""The operator's logo: a small picture of theirs, read at the start and served as it is."""

from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from gateway.config import ConfigError

_MOST_BYTES: Final = 65_536
_PNG: Final = b"\x89PNG\r\n\x1a\n"


class Logo(NamedTuple):
    """The picture, its type, and an address that changes with it."""

    content: bytes
    content_type: str
    address: str


def read_logo(path: str) -> Logo | None:
    """The file of `console.logo`; None where none is named. Raises `ConfigError` with the rule and the remedy."""
    if not path:
        return None
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError([f"console.logo: {path}: cannot be read: {error.strerror}"]) from None
    if len(content) > _MOST_BYTES:
        raise ConfigError([f"console.logo: {path}: is larger than {_MOST_BYTES} bytes"])
    content_type = _type_of(content)
    if content_type is None:
        raise ConfigError([f"console.logo: {path}: is neither an SVG nor a PNG file"])
    return Logo(content, content_type, f"/console/logo?v={sha256(content).hexdigest()[:12]}")


def _type_of(content: bytes) -> str | None:
    if content.startswith(_PNG):
        return "image/png"
    try:
        text = content.decode().lstrip("\ufeff \t\r\n")
    except UnicodeDecodeError:
        return None
    return "image/svg+xml" if text.startswith("<") and "<svg" in text else None
