"""What is in `data` of the answers about webhooks."""

from admin_api.answers import Answer


class WebhookObject(Answer):
    """A webhook."""

    id: int
    url: str
    created_time: int
    """Unix seconds."""


class CreatedWebhook(WebhookObject):
    """A webhook that was made now."""

    secret: str
    """What calls are signed with; not shown again."""
