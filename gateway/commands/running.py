"""How a command of this package runs: the admin API for its length, messages on standard error, an exit status."""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Coroutine

from gateway.commands.api_client import Answer, Api, calling
from gateway.commands.errors import CommandFailed, WrongUse, printable
from gateway.commands.reach import reaching

_DONE, _FAILED, _WRONG_USE, _INTERRUPTED = 0, 1, 2, 130


def carry_out(work: Coroutine[None, None, None]) -> int:
    """Run it; answers the exit status. What the stores and the configuration raise is the caller's."""
    try:
        asyncio.run(work)
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


def note(text: str) -> None:
    """Tell a person something, on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def write_data(answer: Answer) -> None:
    """`data` as the API wrote it, one line."""
    sys.stdout.buffer.write(answer.raw + b"\n")
