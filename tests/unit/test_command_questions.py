"""Ctrl-C at a question ends the command, whichever thread of it the signal comes to."""

import os
import pty
import select
import signal
import subprocess
import sys

import pytest

LONGEST_S = 30
QUESTION = b"Go on?\r\n"
ASKING = """
import signal, threading
from gateway.commands.running import ask
{before}
try:
    print("answer:", ask("Go on?"))
except KeyboardInterrupt:
    print("interrupted")
"""
# The kernel then gives it to the other one, and what the first one waits for goes on.
TO_ANOTHER_THREAD = """
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
"""
IGNORED_UNTIL_THEN = "signal.signal(signal.SIGINT, signal.SIG_IGN)"


def asked(before, *, typed=b""):
    """What a process prints that asks, and is interrupted at the question unless something is typed."""
    return at_terminal("-c", ASKING.format(before=before), question=QUESTION, typed=typed)


def at_terminal(*arguments, question, typed=b"", **settings):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=os.environ | settings,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output, reacted = b"", False
    try:
        while select.select([ours], [], [], LONGEST_S)[0]:
            try:
                output += os.read(ours, 4096)
            except OSError:  # the other end is closed
                return output.decode()
            if question in output and not reacted:
                reacted = True
                if typed:
                    os.write(ours, typed)
                else:
                    process.send_signal(signal.SIGINT)
        raise AssertionError(f"nothing happens any more behind {output!r}")
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("before", ["", TO_ANOTHER_THREAD, IGNORED_UNTIL_THEN])
def test_ctrl_c_ends_it(before):
    assert asked(before).splitlines()[-1] == "interrupted"


def test_a_line_is_the_answer():
    assert asked("", typed=b"delete\n").splitlines()[-1] == "answer: delete"


def test_ctrl_c_at_the_question_of_reset_deletes_nothing_and_ends_in_a_line(tmp_path):
    (tmp_path / "lock").touch()
    told = at_terminal(
        "-m", "gateway.cli", "reset", question=b"Type 'reset'", TOLLHOUSE_STATE=str(tmp_path)
    )
    assert told.splitlines()[-1] == "tollhouse: interrupted"
    assert "Traceback" not in told
    assert (tmp_path / "lock").exists()
