"""A real SMTP server on the loop, and what it was handed."""

import asyncio
import contextlib
import email
import email.policy
import re
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email.message import EmailMessage

from aiosmtpd.smtp import SMTP, AuthResult


@dataclass
class Mailbox:
    """What the server does with mail. `answers` are given to the next ones in the place of 250."""

    port: int = 0
    letters: asyncio.Queue = field(default_factory=asyncio.Queue)
    answers: list[str] = field(default_factory=list)
    hangs: bool = False
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    recipients_refused: set[str] = field(default_factory=set)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802
        if address in self.recipients_refused:
            return "550 there is no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        self.arrived.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.answers and (answer := self.answers.pop(0)):
            return answer
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        await self.letters.put(letter)
        return "250 OK"

    def authenticate(self, _server, _session, _envelope, _mechanism, data):
        self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"right", handled=False)

    async def letter(self) -> EmailMessage:
        """The next one that arrives."""
        async with asyncio.timeout(20):
            return await self.letters.get()

    def settings(self, **more):
        """`[mail]` for this server."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "tls": "none",
            "sender": "Tollhouse <no-reply@example.com>",
            **more,
        }


@contextlib.asynccontextmanager
async def running_mail(
    tls: ssl.SSLContext | None = None,
    *,
    whole: ssl.SSLContext | None = None,
    with_login: bool = False,
) -> AsyncIterator[Mailbox]:
    """A server on a free port; with `tls` it insists on STARTTLS, with `whole` it speaks TLS from the start."""
    box = Mailbox()
    loop = asyncio.get_running_loop()
    connections = []

    def protocol():
        made = SMTP(
            box,
            loop=loop,
            tls_context=tls,
            require_starttls=tls is not None,
            authenticator=box.authenticate if with_login else None,
            auth_required=with_login,
            hostname="mail.test",
        )
        connections.append(made)
        return made

    server = await loop.create_server(protocol, "127.0.0.1", ssl=whole)
    box.port = server.sockets[0].getsockname()[1]
    try:
        yield box
    finally:
        server.close()
        for each in connections:
            if each.transport is not None:
                each.transport.abort()
            if each._handler_coroutine is not None:
                each._handler_coroutine.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await each._handler_coroutine


def link_in(letter: EmailMessage, purpose: str) -> str:
    """The secret of the link in a letter."""
    found = re.search(rf"#{purpose}=([\w-]+)", letter.get_content())
    assert found, letter.get_content()
    return found[1]
