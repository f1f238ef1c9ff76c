"""How a command of this package runs: the admin API for its length, messages on standard error, an exit status."""

import argparse
import asyncio
import contextlib
import os
import select
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine

from gateway.commands.api_client import Answer, Api, calling
from gateway.commands.errors import CommandFailed, WrongUse, printable
from gateway.commands.reach import reaching

_DONE, _FAILED, _WRONG_USE, _INTERRUPTED = 0, 1, 2, 130


def carry_out(begin: Callable[[], Coroutine[None, None, None]]) -> int:
    """Run what `begin` makes; answers the exit status. What stores and configuration raise is the caller's.

    `begin` itself may ask, and refuse, before anything is started.
    """
    try:
        asyncio.run(begin())
        sys.stdout.flush()
    except WrongUse as error:
        note(f"tollhouse: {error}")
        return _WRONG_USE
    except CommandFailed as error:
        note(f"tollhouse: {error}")
        return _FAILED
    except BrokenPipeError:
        # Whoever read has enough. What the stream still holds would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _FAILED
    except KeyboardInterrupt:
        note("tollhouse: interrupted")
        return _INTERRUPTED
    return _DONE


@contextlib.asynccontextmanager
async def open_api(given: argparse.Namespace) -> AsyncIterator[Api]:
    """The admin API that the command works with."""
    async with (
        reaching(config=given.config, insecure=given.insecure) as reach,
        calling(reach) as api,
    ):
        yield api


def ask(question: str) -> str:
    """The line that somebody types as an answer. Ctrl-C ends the command, not only the waiting of a task."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)  # as `set_wakeup_fd` wants it
    earlier = signal.set_wakeup_fd(waker)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        note(question)  # who reads it may press Ctrl-C at once
        # Reading alone would not end for a signal that another thread gets, or that comes just before it.
        while sys.stdin not in select.select([sys.stdin, woken], [], [])[0]:
            os.read(woken, 64)
        return sys.stdin.readline().strip()
    finally:
        signal.signal(signal.SIGINT, before)
        signal.set_wakeup_fd(earlier)
        os.close(woken)
        os.close(waker)


def note(text: str) -> None:
    """Tell a person something, on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def if_version(given: argparse.Namespace) -> dict[str, str]:
    """The header that lets an edit be of one version alone."""
    version = getattr(given, "if_version", None)
    return {} if version is None else {"If-Match": f'"{version}"'}


def remark(answer: Answer) -> None:
    """What the API remarked, if anything."""
    if answer.message:
        note(answer.message)


def report(given: argparse.Namespace, answer: Answer, done: str) -> None:
    """What was done, in words or as the API wrote it, and what it remarked."""
    remark(answer)
    if given.json:
        write_data(answer)
    else:
        note(done)


def write_data(answer: Answer) -> None:
    """`data` as the API wrote it, one line."""
    sys.stdout.buffer.write(answer.raw + b"\n")
