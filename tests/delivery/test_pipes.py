"""Writes that nobody reads, in processes in which SIGPIPE has its default: an error, and no death."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="there is no SIGPIPE")

PRELUDE = """
import os, signal, sys
from logcollector_handler.delivery.pipes import broken_pipes_raise
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
reader, pipe = os.pipe()
os.close(reader)

def write():
    try:
        os.write(pipe, b"x")
    except BrokenPipeError:
        print("broken", flush=True)

def mask():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())
"""


def run(script: str) -> tuple[int, list[str]]:
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout.split()


def test_a_broken_pipe_raises_in_the_block_and_ends_the_process_after_it() -> None:
    script = """
        with broken_pipes_raise():
            write()
            write()
        print(signal.SIGPIPE in signal.sigpending(), signal.SIGPIPE in mask(), flush=True)
        write()
        print("alive")
    """
    assert run(script) == (-signal.SIGPIPE, ["broken", "broken", "False", "False"])


def test_an_exception_in_the_block_leaves_nothing_behind() -> None:
    script = """
        try:
            with broken_pipes_raise():
                write()
                raise KeyError
        except KeyError:
            print(signal.SIGPIPE in signal.sigpending(), signal.SIGPIPE in mask())
    """
    assert run(script) == (0, ["broken", "False", "False"])


def test_what_the_application_blocked_and_has_waiting_stays_as_it_was() -> None:
    script = """
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGPIPE, signal.SIGUSR1))
        with broken_pipes_raise():
            write()
        print(signal.SIGPIPE in signal.sigpending(), sorted(mask()) == [signal.SIGUSR1, signal.SIGPIPE])
        write()
        with broken_pipes_raise():
            write()
        print(signal.SIGPIPE in signal.sigpending())
    """
    assert run(script) == (0, ["broken", "False", "True", "broken", "broken", "True"])


def test_a_handler_of_the_application_is_not_called() -> None:
    script = """
        signal.signal(signal.SIGPIPE, lambda *_: print("called"))
        with broken_pipes_raise():
            write()
        print("done")
    """
    assert run(script) == (0, ["broken", "done"])


def test_where_the_signal_is_ignored_nothing_is_blocked() -> None:
    script = """
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        with broken_pipes_raise():
            write()
            print(signal.SIGPIPE in mask())
    """
    assert run(script) == (0, ["broken", "False"])


def test_a_line_on_a_stderr_that_nobody_reads_does_not_end_the_process() -> None:
    script = """
        from logcollector_handler.delivery.report import Reporter
        os.dup2(pipe, 2)
        Reporter().say("a", "one")
        Reporter().say("b", "two")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        print("alive")
    """
    assert run(script) == (0, ["alive"])
