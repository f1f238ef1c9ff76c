"""E-mail, handed to the operator's server (RFC 5321): one connection for each, encrypted as `[mail]` says."""

import ssl
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Final

import aiosmtplib

from admin_api.delivery.courier import NotSent
from gateway.admin_settings import MailSettings
from gateway.domain.emails import domain_of
from gateway.store.outbox_queue import Message

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_PERMANENT: Final = 500


class Mailer:
    """Sends through the server of `settings`. Raises `OSError` for a `ca_file` that cannot be read."""

    def __init__(self, settings: MailSettings, password: str) -> None:
        self._settings = settings
        self._password = password
        self._port = settings.port or _PORTS[settings.tls]
        try:
            self._tls = ssl.create_default_context(cafile=settings.ca_file or None)
        except OSError as error:
            raise OSError(f"mail.ca_file: {settings.ca_file}: {error.strerror or error}") from error

    async def send(self, message: Message) -> None:
        """Hand one over. Raises `NotSent`; for good where the server says that there is no such address."""
        settings = self._settings
        try:
            await aiosmtplib.send(
                self._letter(message),
                hostname=settings.host,
                port=self._port,
                username=settings.username or None,
                password=self._password or None,
                use_tls=settings.tls == "tls",
                start_tls=settings.tls == "starttls",
                tls_context=None if settings.tls == "none" else self._tls,
                timeout=settings.timeout_s,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [each.code for each in error.recipients]
            raise NotSent(_reason(error), for_good=min(codes) >= _PERMANENT) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise NotSent(_reason(error)) from error

    def _letter(self, message: Message) -> EmailMessage:
        """The same at each attempt, so that a mailbox can tell one that comes twice."""
        letter = EmailMessage()
        letter["From"] = self._settings.sender
        letter["To"] = message.target
        letter["Subject"] = message.content["subject"]
        letter["Date"] = format_datetime(message.created_at)
        domain = domain_of(parseaddr(self._settings.sender)[1])
        letter["Message-ID"] = f"<{message.unique_id}@{domain}>"
        letter["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic answers
        letter.set_content(message.content["text"])
        return letter


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
