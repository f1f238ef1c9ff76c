"""Pictures, recordings and documents: as the URLs that OpenAI's dialect has them in, and as bytes. Pure."""

import base64
import binascii

from gateway.domain.ask import Invalid
from gateway.domain.cases import Case
from gateway.domain.translation.conversation import Data, File


def data_of_url(url: str, param: str) -> Data:
    """What a URL holds itself (RFC 2397), or where it leads. Raises `Invalid`."""
    if not url.startswith("data:"):
        return Data(url=url)
    head, comma, packed = url[5:].partition(",")
    kind, coding, rest = head.rpartition(";base64")
    if not (comma and coding) or rest:
        raise Invalid(
            Case.MEMBER_UNREADABLE, param, why=f"{param!r} must be data:<media type>;base64,<data>."
        )
    return Data(media_type=kind.partition(";")[0].lower(), base64=packed)


def url_of_data(data: Data) -> str:
    """A URL that holds or leads to it."""
    return data.url or f"data:{data.media_type};base64,{data.base64}"


def text_of_file(file: File) -> str | None:
    """A document of plain text as that; None of another."""
    if not file.data.media_type.startswith("text/") or not file.data.base64:
        return None
    try:
        return base64.b64decode(file.data.base64, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def file_of_text(text: str, name: str, cache: str) -> File:
    """A document of plain text."""
    packed = base64.b64encode(text.encode()).decode()
    return File(Data("text/plain", packed), name, cache)
