"""The watch: looks now and then at what is near its bound, and writes to the outbox what is to be told.

What cannot be known at a look (the quota store is away) is known at the next one. A failed look harms nobody, so it
ends nothing.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from admin_api.context import Services
from admin_api.warnings.events import (
    EXPIRY,
    OUT,
    QUOTA,
    Scope,
    scope_of,
    told_of,
    upstream_of,
    upstream_subject,
)
from gateway.domain.errors import StoreUnavailable
from gateway.domain.limits import RINGS
from gateway.domain.marks import DaysBefore, PerCent, Reading, crossing, remember
from gateway.store.outages import read_outages
from gateway.store.outbox import Of, enqueue_mail, enqueue_webhook
from gateway.store.postgres import Connection, reading, transaction
from gateway.store.seal import Unsealable
from gateway.store.warning_log import add_warning
from gateway.store.warnings import (
    Concerned,
    find_concerned,
    find_token,
    read_active,
    read_books,
    read_expiring,
    read_remembered,
    take_turn,
    write_remembered,
)
from gateway.store.webhooks import read_secrets
from gateway.store.windows import Kind, Window, read_window_id

_log = logging.getLogger(__name__)

_BEFORE_THE_FIRST: Final = timedelta(days=1)
_OVERLAP: Final = timedelta(
    minutes=3
)  # of looks: postings that had not committed, clocks that differ
_SHORTEST_QUIET_S: Final = 3600
_OUTAGE_OVER_S: Final = 60
_MOST_LEVELS: Final = 2000  # tokens whose windows are read at one look
# Days before it, nobody waits for a warning by the second; and at each look they are all read that expire within days.
_LOOKS_PER_EXPIRIES: Final = 60
_AT_A_STRETCH: Final = 200  # readings, or tokens; then whoever else waits for this loop has a turn


class Watch:
    """Looks every `[warnings] interval_s`, in turns with the watches of other admin processes.

    No e-mail is written where none can be sent.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sends_mail = services.dispatch.has_mail
        self._settings = services.config.warnings
        self._percent = PerCent(self._settings.percent)
        self._days = DaysBefore(self._settings.days)
        self._looked_at: datetime | None = None
        self._expiries_at: datetime | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch for as long as the block runs."""
        task = asyncio.create_task(self._run(), name="warnings")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def look(self) -> int:
        """Look once; how many warnings were written. Raises `StoreUnavailable`."""
        now = self._services.now()
        since = now - _BEFORE_THE_FIRST if self._looked_at is None else self._looked_at - _OVERLAP
        levels = await self._levels(since)
        async with transaction(self._services.pool) as connection:
            if not await take_turn(connection):
                return 0
            with_expiries = self._expiries_are_due(now)
            readings = [
                *await self._quotas(connection, since),
                *(await self._expiries(connection, now) if with_expiries else ()),
                *await self._outages(connection, now),
                *levels,
            ]
            told = await self._tell(connection, readings, now)
        self._looked_at = now
        if with_expiries:
            self._expiries_at = now
        return told

    async def _run(self) -> None:
        while self._settings.interval_s:
            await asyncio.sleep(self._settings.interval_s)
            try:
                if await self.look():
                    self._services.dispatch.wake()
            except StoreUnavailable as error:
                _log.warning("the watch for warnings waits: %s", error)
            except Exception:  # noqa: BLE001 -- see above
                _log.exception("the watch for warnings failed")

    async def _quotas(self, connection: Connection, since: datetime) -> Iterator[Reading]:
        books = await read_books(connection, since)
        return (Reading(b.subject, QUOTA, b.used, b.granted, self._percent) for b in books)

    def _expiries_are_due(self, now: datetime) -> bool:
        every = timedelta(seconds=self._settings.interval_s * _LOOKS_PER_EXPIRIES)
        return self._expiries_at is None or now - self._expiries_at >= every

    async def _expiries(self, connection: Connection, now: datetime) -> Iterator[Reading]:
        if not self._settings.days:
            return iter(())
        until = now + timedelta(days=max(self._settings.days))
        found = await read_expiring(connection, now, until)
        seconds = int(now.timestamp())
        return (Reading(subject, EXPIRY, seconds, at, self._days) for subject, at in found)

    async def _outages(self, connection: Connection, now: datetime) -> Iterator[Reading]:
        bound = max(1, int(self._settings.upstream_out_s))
        out = await read_outages(connection)
        whole = PerCent((100,))
        return (
            Reading(
                upstream_subject(row["upstream"]),
                OUT,
                max(0, int(now.timestamp()) - row["since"]),
                bound,
                whole,
                quiet_s=_SHORTEST_QUIET_S,
                forgotten_s=_OUTAGE_OVER_S,
            )
            for row in out
        )

    async def _levels(self, since: datetime) -> list[Reading]:
        """What the windows of tokens in use hold."""
        async with reading(self._services.pool) as connection:
            active = await read_active(connection, since)
        if len(active) > _MOST_LEVELS:
            _log.warning(
                "%d tokens are in use: the limits of %d are watched", len(active), _MOST_LEVELS
            )
        found: dict[tuple[str, str], Reading] = {}  # tokens of one account share its windows
        for start in range(0, min(len(active), _MOST_LEVELS), _AT_A_STRETCH):
            levels = await self._services.explainer.levels(active[start : start + _AT_A_STRETCH])
            # What is in the shadow stops nothing.
            found |= {
                (level.scope_id, level.window.id): self._of_window(*level)
                for level in levels
                if not level.window.shadow
            }
        return list(found.values())

    def _of_window(self, subject: str, window: Window, level: int) -> Reading:
        bound = window.second if window.kind is Kind.BURST else window.limit
        length_s = _length_s(window)
        quiet_s = max(_SHORTEST_QUIET_S, length_s)
        return Reading(subject, window.id, level, bound, self._percent, quiet_s, length_s)

    async def _tell(
        self, connection: Connection, readings: Sequence[Reading], now: datetime
    ) -> int:
        """Write what is to be told, and remember what was seen."""
        seconds = int(now.timestamp())
        before = await read_remembered(connection, list({each.subject for each in readings}))
        kept, told = {}, 0
        for n, each in enumerate(readings):
            if n % _AT_A_STRETCH == 0:
                await asyncio.sleep(0)
            name = (each.subject, each.rule)
            known = before.get(name)
            mark = crossing(each, known, seconds)
            if mark is not None:
                await self._write(connection, each, mark, now)
                told += 1
            after = remember(each, known, told=mark is not None, now=seconds)
            if after != known:
                kept[name] = after
        await write_remembered(connection, kept)
        return told

    async def _write(
        self, connection: Connection, found: Reading, mark: int, now: datetime
    ) -> None:
        """Write one warning for everybody whom it concerns."""
        seal = self._services.seal
        scope = None if upstream_of(found.subject) else await self._scope(connection, found.subject)
        told = told_of(found, mark, scope, now)
        concerned = [] if scope is None else await self._concerned(connection, scope)
        warning_id = await add_warning(
            *(connection, told.kind, found.subject, told.event["data"]),
            *([each.user_id for each in concerned], now),
        )
        mails, hooks = await self._receivers(connection, concerned)
        for address, user_id in sorted(mails.items()) if self._sends_mail else ():
            of = Of(warning_id, user_id)
            await enqueue_mail(connection, seal, address, told.subject, told.text, of=of)
        for user_id, url, secret in hooks:
            of = Of(warning_id, user_id)
            await enqueue_webhook(connection, seal, url, told.event, secret=secret, of=of)

    async def _receivers(
        self, connection: Connection, concerned: Sequence[Concerned]
    ) -> tuple[dict[str, int | None], list[tuple[int | None, str, str]]]:
        """Addresses with whose they are, and webhooks as (whose, url, secret); None is the operator's."""
        settings = self._services.config.warnings
        # Who has one of the operator's addresses gets one letter, as themselves.
        mails: dict[str, int | None] = dict.fromkeys(settings.mail)
        hooks: list[tuple[int | None, str, str]] = []
        if settings.webhook_url:
            hooks.append((None, settings.webhook_url, self._services.warnings_secret))
        for each in concerned:
            if each.email:
                mails[each.email] = each.user_id
            try:
                own = await read_secrets(connection, self._services.seal, each.webhook_ids)
            except Unsealable:
                _log.warning("a webhook of user %d: its secret cannot be opened", each.user_id)
            else:
                hooks += [(each.user_id, url, secret) for url, secret in own]
        return mails, hooks

    async def _scope(self, connection: Connection, subject: str) -> Scope:
        scope = scope_of(subject)
        if scope.token_id is None:
            return scope
        token = await find_token(connection, scope.token_id)
        assert token is not None, "tokens stay as rows"
        return dataclasses.replace(
            scope,
            account_id=token["account_id"],
            user_id=token["user_id"],
            token_name=token["name"],
        )

    async def _concerned(self, connection: Connection, scope: Scope) -> list[Concerned]:
        """A token concerns its maker; what others share, those who run the account, too."""
        account_id = None if scope.token_id is not None else scope.account_id
        return await find_concerned(connection, user_id=scope.user_id, account_id=account_id)


def _length_s(window: Window) -> int:
    """How long what a window holds counts, in seconds."""
    if window.kind is Kind.CALENDAR:
        return (window.second - window.first) // 1000
    name = read_window_id(window.id)
    ring = RINGS[name.window]
    return ring.bucket_ms * ring.count // 1000
