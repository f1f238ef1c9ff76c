"""One audit, made by a process of its own that gives way to the calls: comparing a million scopes takes a while."""

import asyncio
import contextlib
import os
import sys

import msgspec

from gateway.audit_process import UNREADABLE, VARIABLE, Task
from gateway.domain.errors import StoreUnavailable
from gateway.giving_way import lower

_COMMAND = (sys.executable, "-m", "gateway.audit_process")
_LAST_WORDS_BYTES = 2000


class AuditFailed(Exception):
    """There is no report. The message says why."""


class Totals(msgspec.Struct, frozen=True):
    """What is read of the report's totals."""

    held_nusd: int
    live: int
    overspend_nusd: int
    unmetered_nusd: int


class Found(msgspec.Struct, frozen=True):
    """What is read of a difference."""

    kind: str
    scope: str
    account_id: int | None
    figures: dict[str, int | None]
    request_ids: list[str]
    count: int


class Told(msgspec.Struct, frozen=True):
    """What is read of a report (gateway/audit_report.py). `differences` are the first of them."""

    duration_s: float
    totals: Totals
    counts: dict[str, int]
    differences: list[Found]


async def run_audit(task: Task) -> Told:
    """Let a process audit, and wait for its report. It ends with this task, and with this process.

    Raises `StoreUnavailable` where it could not read a store, and `AuditFailed` where it ended otherwise or took
    longer than it may.
    """
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        env=_environment(task),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        await lower(process.pid)
        async with asyncio.timeout(task.most_s):
            told, said = await _read(process)
            status = await process.wait()
    except TimeoutError:
        raise AuditFailed(f"given up after {task.most_s:g} s") from None
    finally:
        await _end(process)
    words = said[-_LAST_WORDS_BYTES:].decode(errors="replace").strip()
    if status == UNREADABLE:
        raise StoreUnavailable(words)
    if status:
        raise AuditFailed(f"its process ended with status {status}: {words}")
    try:
        return msgspec.json.decode(told, type=Told)
    except msgspec.DecodeError as error:
        raise AuditFailed(f"its report cannot be read: {error}") from None


async def _read(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """Its output and its messages, to their ends. Its input stays open: that tells it that we live."""
    assert process.stdout is not None
    assert process.stderr is not None
    output, messages = await asyncio.gather(process.stdout.read(), process.stderr.read())
    return output, messages


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    assert process.stdin is not None
    process.stdin.close()


def _environment(task: Task) -> dict[str, str]:
    """Ours, without settings and secrets of Tollhouse that an audit has no use for."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOLLHOUSE_")}
    return kept | {VARIABLE: msgspec.json.encode(task).decode()}
