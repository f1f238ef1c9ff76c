"""What settings are made of: the base of every section, and the types that several share. Pure."""

import re
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from gateway.domain.network import parse_blocks

Seconds = Annotated[float, Field(gt=0)]
Usd = Annotated[
    Decimal, Field(ge=0, lt=1_000_000_000_000)
]  # beyond that, arithmetic has other bounds
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)?")
_ClientHeader = Literal["x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"]
_LISTEN = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*):(\d{1,5})")


def _check_variable(value: str) -> str:
    """Refuse what names no variable: a secret that stands in its place would be told wherever the variable is."""
    if not _VARIABLE.fullmatch(value):
        raise ValueError(
            'must be the name of an environment variable, such as "OPENAI_API_KEY", which holds the secret'
        )
    return value


Variable = Annotated[str, AfterValidator(_check_variable)]
"""The name of the environment variable that holds a secret; empty: there is none."""


def check_listen(value: str) -> str:
    """Refuse what names no host and port."""
    if not (match := _LISTEN.fullmatch(value)) or int(match[2]) > 65535:  # noqa: PLR2004
        raise ValueError('must be "host:port", such as "127.0.0.1:8080" or "[::]:8080"')
    return value


class Section(BaseModel):
    """A part of the configuration: what it does not know is refused."""

    # What was given may be a secret in the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Listener(Section):
    """What the sections of both ports have in common."""

    proxy_protocol: bool = False
    trusted_proxies: tuple[str, ...] = ()
    client_header: _ClientHeader = "x-forwarded-for"

    _check_proxies = field_validator("trusted_proxies")(parse_blocks)

    @model_validator(mode="after")
    def _check_proxy_protocol(self) -> Self:
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError(
                "proxy_protocol = true needs trusted_proxies: the header is read from these alone"
            )
        return self
