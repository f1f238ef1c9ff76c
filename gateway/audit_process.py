"""A worker's own audit, in a process of its own: `python -m gateway.audit_process`.

It is told what to read by `TOLLHOUSE_AUDIT` in its environment, where no list of processes shows it, and writes its
report to standard output. It ends with the worker, whose end is that of its standard input. Exit status 2: a store
cannot be read.
"""

import asyncio
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

import msgspec

from gateway.audit_report import document
from gateway.child import spare_the_collector
from gateway.domain.conservation import Report
from gateway.domain.errors import StoreUnavailable
from gateway.store.conservation import open_auditor
from gateway.store.postgres import SchemaError

VARIABLE = "TOLLHOUSE_AUDIT"
UNREADABLE = 2
NAMED = 5
_FIRST_TO_GO = "1000"


class Task(msgspec.Struct, frozen=True):
    """What is to be audited. `sweep_s` and `strict` are the auditor's; `most_s` is how long it may take."""

    dsn: str
    url: str
    sweep_s: float
    strict: bool
    most_s: float


def main() -> int:
    """Audit once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker decides when it ends
    # Where memory runs out, calls go on: https://man7.org/linux/man-pages/man5/proc_pid_oom_score_adj.5.html
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    task = msgspec.json.decode(os.environ[VARIABLE], type=Task)
    spare_the_collector()
    try:
        report = asyncio.run(_audit(task))
    except (SchemaError, StoreUnavailable) as error:
        sys.stderr.write(str(error))
        return UNREADABLE
    sys.stdout.buffer.write(document(report, named=NAMED))
    return 0


async def _audit(task: Task) -> Report:
    async with open_auditor(
        task.dsn,
        task.url,
        sweep_s=task.sweep_s,
        strict=task.strict,
        statement_timeout_s=task.most_s,  # Postgres does not see that whoever asked is gone
    ) as auditor:
        return await auditor.audit()


def _end_with_the_worker() -> NoReturn:
    # Past the buffer, whose lock would be missed at the interpreter's own end.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
