"""What people are told by e-mail: texts, and the links in them, written in the transaction of what they tell of."""

from typing import Final

from admin_api.context import Services
from admin_api.envelope import Code, Declined
from admin_api.status import base_urls
from gateway.store.links import LIFETIMES, Purpose, write_link
from gateway.store.outbox import enqueue_mail
from gateway.store.postgres import Connection

_VERIFY: Final = """\
Somebody, hopefully you, says that this address is theirs in {name} at {admin_url}.

If it was you, confirm it here:

{link}

The link works once, for {hours} hours. If it was not you, do nothing.
"""
_RESET: Final = """\
Somebody, hopefully you, wants a new password in {name} at {admin_url}.

If it was you, choose it here:

{link}

The link works once, for {hours} hour(s). If it was not you, do nothing: your password stays as it is.
"""
_CHANGED: Final = """\
The password of {username} in {name} at {admin_url} was changed, by a link that was sent to this address. All
sessions have ended.

If it was not you, tell an administrator.
"""
_INVITE: Final = """\
You are invited to {name} at {admin_url}. Make yourself a user here:

{link}

The link works until {until} (UTC).
"""


def require_mail(services: Services) -> None:
    """Raises `Declined` where no e-mail can be sent."""
    if not services.dispatch.has_mail:
        raise Declined(
            Code.MAIL_NOT_SET_UP,
            "This installation sends no e-mail ([mail] in its configuration): ask an administrator.",
        )


def link_to(services: Services, purpose: str, secret: str) -> str:
    """Where people go with a secret. It stands behind `#`, which browsers do not send: no log has it."""
    _, admin_url = base_urls(services.config)
    return f"{admin_url}/link#{purpose}={secret}"


async def write_verification(
    connection: Connection, services: Services, user_id: int, email: str
) -> None:
    """Ask whether an address is its user's. The caller wakes the dispatch after the commit."""
    await _write_with_link(connection, services, "verify", user_id, email)


async def write_reset(connection: Connection, services: Services, user_id: int, email: str) -> None:
    """Send a link for a new password. Likewise."""
    await _write_with_link(connection, services, "reset", user_id, email)


async def write_password_changed(
    connection: Connection, services: Services, username: str, email: str
) -> None:
    """Tell that a password was changed. Likewise."""
    text = _CHANGED.format(username=username, **_installation(services))
    await enqueue_mail(connection, services.seal, email, "Your password was changed", text)


async def write_invitation(
    connection: Connection, services: Services, email: str, secret: str, until: str
) -> None:
    """Send an invite. Likewise."""
    told = _installation(services)
    text = _INVITE.format(link=link_to(services, "invite", secret), until=until, **told)
    subject = f"An invitation to {told['name']}"
    await enqueue_mail(connection, services.seal, email, subject, text)


async def _write_with_link(
    connection: Connection, services: Services, purpose: Purpose, user_id: int, email: str
) -> None:
    secret = await write_link(connection, purpose, user_id, email, services.pepper)
    subject, text = _LETTERS[purpose]
    filled = text.format(
        link=link_to(services, purpose, secret),
        hours=int(LIFETIMES[purpose].total_seconds() // 3600),
        **_installation(services),
    )
    await enqueue_mail(connection, services.seal, email, subject, filled)


def _installation(services: Services) -> dict[str, str]:
    """What this installation is called, and where it is."""
    _, admin_url = base_urls(services.config)
    return {"name": services.config.console.name, "admin_url": admin_url}


_LETTERS: Final[dict[Purpose, tuple[str, str]]] = {
    "verify": ("Confirm your e-mail address", _VERIFY),
    "reset": ("A new password", _RESET),
}
