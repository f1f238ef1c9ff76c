"""What is in `data` of answers about registration and invites: types as in `admin_api/answers.py`."""

from typing import Literal

from admin_api.answers import Answer, Page, Seconds


class Registered(Answer):
    """A new user."""

    id: int
    username: str
    email: str
    email_verification_sent: bool
    """Whether a link was sent that shows the address to be theirs."""


class Invite(Answer):
    """An invite. What was handed out is not shown again."""

    id: int
    user_id: int
    """Who made it."""
    username: str
    """Their name."""
    role: Literal["owner", "admin", "operator", "viewer", "user"]
    group: str
    account_id: int | None
    """The wallet that people join; null: each gets their own."""
    grant_usd: float | None
    """What is on that; null: what the operator gives to whoever registers."""
    email: str | None
    """Whom it was sent to."""
    uses: int
    """How many people may use it."""
    used: int
    """How many have."""
    created_time: Seconds
    expired_time: Seconds
    revoked: bool


class CreatedInvite(Invite):
    """A new invite, with what is handed out, this once."""

    invite: str
    """For `POST /api/user/register`."""
    link: str
    """The same as a link for people."""


class InvitePage(Page):
    """A page of invites; one beyond the end is empty."""

    items: list[Invite]
