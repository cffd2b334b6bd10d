"""Children of multiprocessing that SIGTERM ends, as `with multiprocessing.Pool()` does: what they logged arrives."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.faulty import FaultyServer
from tests.integration.programs import PRELUDE, WARNINGS, messages

pytestmark = [pytest.mark.integration, pytest.mark.every_python]

METHODS = ["fork", "spawn", "forkserver"]

SETUP = """
def begin():
    # Nothing is sent before its time but by the end. A forked child has the handler already.
    if not logging.getLogger().handlers:
        configure(flush_interval=3600)

def work(number):
    log.info("job %d", number)
    return number
"""


def program(server: FaultyServer, directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a program from a file: children that are new interpreters import it."""
    path = directory / "program.py"
    path.write_text(PRELUDE + SETUP + textwrap.dedent(code))
    return subprocess.run(
        [sys.executable, *WARNINGS, str(path)],
        env={**os.environ, "SERVER": server.url},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.parametrize(
    "before", ["log.info('parent')", "pass"], ids=["the parent logs first", "the parent is silent"]
)
@pytest.mark.parametrize("method", METHODS)
def test_a_pool_that_is_terminated_loses_nothing(
    server: FaultyServer, tmp_path: Path, method: str, before: str
) -> None:
    ended = program(
        server,
        tmp_path,
        f"""
        if __name__ == "__main__":
            begin()
            {before}
            with multiprocessing.get_context("{method}").Pool(3, begin) as pool:
                print(sum(pool.map(work, range(100), chunksize=1)))
        """,
    )
    assert (ended.stdout, ended.stderr) == ("4950\n", "")
    assert Counter(messages(server)) == Counter(
        [*(f"job {number}" for number in range(100)), *(["parent"] if "parent" in before else [])]
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_child_that_is_terminated_dies_of_the_signal_after_it_has_drained(
    server: FaultyServer, tmp_path: Path, method: str
) -> None:
    ended = program(
        server,
        tmp_path,
        f"""
        def child(ready):
            begin()
            log.info("child")
            ready.set()
            time.sleep(120)

        if __name__ == "__main__":
            context = multiprocessing.get_context("{method}")
            ready = context.Event()
            process = context.Process(target=child, args=(ready,))
            process.start()
            ready.wait()
            process.terminate()
            process.join()
            print(process.exitcode)
        """,
    )
    assert (ended.stdout, ended.stderr) == ("-15\n", "")
    assert messages(server) == ["child"]


def test_a_handler_of_the_application_is_left_alone(server: FaultyServer, tmp_path: Path) -> None:
    ended = program(
        server,
        tmp_path,
        """
        def child(ready):
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
            log.info("child")
            ready.set()
            # A main thread that is just about to sleep does not hear of a signal before it has slept enough.
            while True:
                time.sleep(0.01)

        if __name__ == "__main__":
            begin()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            log.info("parent")
            context = multiprocessing.get_context("fork")
            ready = context.Event()
            process = context.Process(target=child, args=(ready,))
            process.start()
            ready.wait()
            process.terminate()
            process.join()
            print(process.exitcode, signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)
        """,
    )
    assert (ended.stdout, ended.stderr) == ("7 True\n", "")
    assert sorted(messages(server)) == ["child", "parent"]


def test_a_forked_child_whose_other_thread_logs_first_drains_as_well(server: FaultyServer, tmp_path: Path) -> None:
    """Only the main thread can install a handler of a signal: it was there before the child's own code ran."""
    ended = program(
        server,
        tmp_path,
        """
        def child(ready):
            thread = threading.Thread(target=log.info, args=("thread",))
            thread.start()
            thread.join()
            ready.set()
            time.sleep(120)

        if __name__ == "__main__":
            begin()
            context = multiprocessing.get_context("fork")
            ready = context.Event()
            process = context.Process(target=child, args=(ready,))
            process.start()
            ready.wait()
            process.terminate()
            process.join()
            print(process.exitcode)
        """,
    )
    assert (ended.stdout, ended.stderr) == ("-15\n", "")
    assert messages(server) == ["thread"]


def test_a_process_that_is_no_child_of_multiprocessing_keeps_its_signals(server: FaultyServer, tmp_path: Path) -> None:
    ended = program(
        server,
        tmp_path,
        """
        begin()
        log.info("parent")
        child = os.fork()
        if not child:
            log.info("child")
            logging.getLogger().handlers[0].flush(60)
        print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, flush=True)
        os._exit(0) if not child else os.waitpid(child, 0)
        """,
    )
    assert (ended.stdout, ended.stderr) == ("True\nTrue\n", "")
