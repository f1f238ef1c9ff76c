"""The bodies of webhooks."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, StrictStr, field_validator

from admin_api.bodies import Body


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
        parts = urlsplit(value)
        if not parts.hostname or parts.username or parts.fragment:
            raise ValueError("must be an http:// or https:// URL without user and fragment")
        _ = parts.port
        return value
