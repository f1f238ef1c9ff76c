"""The one task of the admin app that owns all ways out of the outbox, and tidies up behind them."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from admin_api.delivery.courier import Courier, NotSent
from admin_api.delivery.mailer import Mailer
from admin_api.delivery.webhooks import Webhooks
from gateway.domain.errors import StoreUnavailable
from gateway.domain.network import Blocks
from gateway.outbound import open_session
from gateway.settings import Config
from gateway.store.links import remove_old_links
from gateway.store.outbox_queue import tidy
from gateway.store.postgres import Pool
from gateway.store.seal import Seal

_log = logging.getLogger(__name__)

_MAILS_AT_ONCE = 4
_CALLS_AT_ONCE = 8
_TIDY_EVERY_S = 3600.0
_LAST_ONES_S = 5.0
_AGAIN_S = 5.0


class Dispatch:
    """Sends what is in the outbox while `open`; e-mail only where `[mail]` is set up.

    Several processes may have one each: a message is taken by one. Raises `OSError` as `Mailer` does.
    """

    def __init__(self, config: Config, mail_password: str, pool: Pool, seal: Seal) -> None:
        self._config = config
        self._pool = pool
        self._seal = seal
        self._mailer = Mailer(config.mail, mail_password) if config.mail.host else None
        self._couriers: list[Courier] = []
        self._webhooks: Webhooks | None = None

    @property
    def has_mail(self) -> bool:
        """Whether e-mail can be sent."""
        return self._mailer is not None

    def wake(self) -> None:
        """Something was written to the outbox, and committed: send it now rather than in a few seconds."""
        for courier in self._couriers:
            courier.wake()

    async def call_now(self, url: str, event: Mapping[str, Any], secret: str) -> int:
        """Call a webhook past the outbox, once; the status of its answer. Raises `NotSent` where there is none."""
        assert self._webhooks is not None, "calls come while it is open"
        timeout_s = self._config.webhooks.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                return await self._webhooks.call(url, f"msg_test_{uuid.uuid4().hex}", event, secret)
        except TimeoutError:
            raise NotSent(f"no answer within {timeout_s:g} s") from None

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Send for as long as the block runs; what is being sent at its end has a few seconds more."""
        webhooks = self._config.webhooks
        allowed = Blocks.of(webhooks.allow_cidrs)
        async with open_session(allowed, webhooks.timeout_s, "webhooks.allow_cidrs") as session:
            self._webhooks = Webhooks(session)
            self._couriers = [
                Courier(
                    *(self._pool, self._seal, "webhook", self._webhooks.send),
                    at_once=_CALLS_AT_ONCE,
                    longest_s=webhooks.timeout_s,
                )
            ]
            if self._mailer is not None:
                self._couriers.append(
                    Courier(
                        *(self._pool, self._seal, "mail", self._mailer.send),
                        at_once=_MAILS_AT_ONCE,
                        longest_s=self._config.mail.timeout_s,
                    )
                )
            running = asyncio.create_task(self._run())
            try:
                yield
            finally:
                await self._end(running)

    async def _run(self) -> None:
        tidying = asyncio.create_task(self._tidy())
        try:
            async with asyncio.TaskGroup() as group:
                for courier in self._couriers:
                    group.create_task(_keep_running(courier))
        finally:
            tidying.cancel()
            await asyncio.gather(tidying, return_exceptions=True)

    async def _end(self, running: asyncio.Task[None]) -> None:
        for courier in self._couriers:
            courier.stop()
        await asyncio.wait([running], timeout=_LAST_ONES_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def _tidy(self) -> None:
        while True:
            try:
                await tidy(self._pool, [courier.kind for courier in self._couriers])
                await remove_old_links(self._pool)
            except StoreUnavailable as error:
                _log.warning("what is old was not removed: %s", error)
            await asyncio.sleep(_TIDY_EVERY_S)


async def _keep_running(courier: Courier) -> None:
    """A fault of ours must not keep everybody's messages until somebody notices."""
    while not courier.is_stopping:
        try:
            await courier.run()
        except Exception:  # noqa: BLE001 -- logged with its traceback
            _log.exception("the sending of %s failed; it begins anew", courier.kind)
            await asyncio.sleep(_AGAIN_S)
