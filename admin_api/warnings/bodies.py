"""The bodies of webhooks."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, StrictStr, field_validator

from admin_api.bodies import Body
from gateway.domain.rejection import BrokenRule
from gateway.domain.rules import Rule


class WebhookBody(Body):
    """A webhook to be made."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://hooks.example.com/tollhouse"}]}
    )

    url: Annotated[StrictStr, Field(max_length=2048, pattern=r"^https?://[!-~]+$")]
    """Where events are sent, by POST."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            is_sound = bool(parts.hostname) and parts.port != 0
            is_sound = is_sound and parts.username is None and not parts.fragment
        except ValueError:  # the port is no number, or an address in brackets is none
            is_sound = False
        if not is_sound:
            raise BrokenRule(Rule.NO_WEBHOOK_URL)
        return value
