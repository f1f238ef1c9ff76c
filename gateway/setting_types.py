"""What settings are made of: the base of every section, and the types that several share. Pure."""

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0)]
Usd = Annotated[
    Decimal, Field(ge=0, lt=1_000_000_000_000)
]  # beyond that, arithmetic has other bounds


class Section(BaseModel):
    """A part of the configuration: what it does not know is refused."""

    # What was given may be a secret in the wrong place.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
