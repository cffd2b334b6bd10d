"""`drain_on_signals`: what was logged goes out first, then the signal acts as it would have without it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration import behaviours
from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages, run

pytestmark = [pytest.mark.integration, pytest.mark.every_python]

#: Batches are closed by nothing but the drain, and the main thread sleeps when the signal comes. That is sent to the
#: main thread: one for the process can come to a thread that just starts, and would not wake the main thread.
SETUP = """
from logcollector_handler import drain_on_signals
handler = configure(flush_interval=3600, shutdown_timeout=120)
def kill(number):
    signal.pthread_kill(threading.main_thread().ident, number)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_an_earlier_handler_the_process_drains_and_dies_by_the_signal(
    server: FaultyServer, number: signal.Signals
) -> None:
    ended = run(
        server,
        f"""
        {SETUP.strip().replace(chr(10), chr(10) + " " * 8)}
        signal.signal({int(number)}, signal.SIG_DFL)
        drain_on_signals()
        for n in range(2500): log.info("m%d", n)
        kill({int(number)})
        time.sleep(120)
        """,
    )
    assert ended.code == -number
    assert ended.err == ""
    assert messages(server) == [f"m{n}" for n in range(2500)]


def test_an_earlier_handler_runs_after_the_drain_and_the_process_lives_on_if_it_lets_it(server: FaultyServer) -> None:
    ended = run(
        server,
        SETUP
        + """
def earlier(number, frame):
    print(number, frame.f_code.co_name, handler.stats().delivered, flush=True)
signal.signal(signal.SIGTERM, earlier)
drain_on_signals()
drain_on_signals()
def wait():
    kill(signal.SIGTERM)
    end = time.monotonic() + 60
    while handler.stats().pending and time.monotonic() < end: time.sleep(0.001)
    time.sleep(0.2)
log.info("one")
wait()
log.info("two")
wait()
log.info("three")
""",
    )
    assert ended.out.splitlines() == ["15 wait 1", "15 wait 2"]
    assert messages(server) == ["one", "two", "three"]
    assert ended.code == 0


def test_sigint_still_raises_keyboard_interrupt_in_the_main_thread(server: FaultyServer) -> None:
    ended = run(
        server,
        SETUP
        + """
drain_on_signals()
log.info("x")
try:
    kill(signal.SIGINT)
    time.sleep(120)
except KeyboardInterrupt:
    print("interrupted", handler.stats().delivered)
""",
    )
    assert ended.out == "interrupted 1\n"


def test_a_hung_server_holds_the_signal_up_for_shutdown_timeout_and_the_loss_is_reported(server: FaultyServer) -> None:
    server.default = behaviours.hang()
    ended = run(
        server,
        """
        from logcollector_handler import drain_on_signals
        configure(shutdown_timeout=0.5, timeout=120)
        drain_on_signals()
        log.info("x")
        print(time.time(), flush=True)
        signal.raise_signal(signal.SIGTERM)
        time.sleep(120)
        """,
    )
    assert ended.code == -signal.SIGTERM
    assert 0.4 < time.time() - float(ended.out) < 60
    assert "1 record was dropped: the process ended" in ended.err


def test_a_second_signal_does_not_wait_for_the_drain(server: FaultyServer) -> None:
    server.default = behaviours.hang()
    ended = run(
        server,
        """
        from logcollector_handler import drain_on_signals
        handler = configure(shutdown_timeout=120, timeout=120)
        drain_on_signals()
        log.info("x")
        print(time.time(), flush=True)
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.3)
        signal.raise_signal(signal.SIGTERM)
        time.sleep(120)
        """,
    )
    assert ended.code == -signal.SIGTERM
    assert time.time() - float(ended.out) < 60


def test_a_signal_that_interrupts_our_own_code_drains_all_the_same(server: FaultyServer) -> None:
    """The drain needs the locks of the code that the signal interrupted, so that code has to go on first."""
    ended = run(
        server,
        SETUP
        + """
drain_on_signals()
log.info("x")
with handler._pipeline.ledger.lock:
    kill(signal.SIGTERM)
time.sleep(120)
""",
    )
    assert ended.code == -signal.SIGTERM
    assert ended.err == ""
    assert ended.seconds < 60
    assert messages(server) == ["x"]


def test_a_signal_while_the_exit_drains_loses_nothing(server: FaultyServer) -> None:
    server.default = behaviours.trickle(0.004)
    ended = run(
        server,
        SETUP
        + """
drain_on_signals()
for n in range(2500): log.info("m%d", n)
def watch():
    from logcollector_handler.delivery import exit as ending
    while not ending.is_exiting(): time.sleep(0.001)
    time.sleep(0.1)
    print(handler.stats().pending > 0, flush=True)
    kill(signal.SIGTERM)
threading.Thread(target=watch, daemon=True).start()
""",
    )
    assert ended.out == "True\n"
    assert ended.err == ""
    assert sorted(messages(server)) == sorted(f"m{n}" for n in range(2500))


UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_1_of_a_container_ends_with_the_status_that_a_shell_gives_a_signal(
    server: FaultyServer, number: signal.Signals
) -> None:
    """The kernel lets no signal without a handler end process 1: it would live on."""
    if (
        shutil.which("unshare") is None
        or subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no new namespace of processes can be made here")
    ended = run(
        server,
        f"""
        {SETUP.strip().replace(chr(10), chr(10) + " " * 8)}
        signal.signal({int(number)}, signal.SIG_DFL)
        drain_on_signals()
        log.info("%d", os.getpid())
        kill({int(number)})
        time.sleep(20)
        """,
        wrapper=UNSHARE,
    )
    assert ended.code == 128 + number
    assert ended.err == ""
    assert messages(server) == ["1"]


def test_a_signal_that_was_ignored_stays_ignored(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        from logcollector_handler import drain_on_signals
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        drain_on_signals()
        print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        """,
    )
    assert ended.out == "True False\n"


def test_it_belongs_to_the_main_thread_and_says_so(server: FaultyServer) -> None:
    ended = run(
        server,
        """
        from logcollector_handler import drain_on_signals
        def elsewhere():
            try:
                drain_on_signals()
            except RuntimeError as error:
                print(error)
        thread = threading.Thread(target=elsewhere)
        thread.start(); thread.join()
        """,
    )
    assert "another thread than the main one" in ended.out


def test_a_forked_child_drains_its_own_records_and_dies_by_the_signal(server: FaultyServer) -> None:
    ended = run(
        server,
        SETUP
        + """
drain_on_signals()
log.info("parent")
child = os.fork()
if not child:
    log.info("child")
    kill(signal.SIGTERM)
    time.sleep(120)
print(os.waitpid(child, 0)[1])
""",
    )
    assert ended.out == "15\n"
    assert sorted(messages(server)) == ["child", "parent"]


@pytest.mark.parametrize("durability", ["memory", "batch", "record"])
def test_what_is_logged_while_it_drains_is_not_lost_and_does_not_hold_it_up(
    server: FaultyServer, durability: str, tmp_path: Path
) -> None:
    settings = {} if durability == "memory" else {"spool_dir": str(tmp_path), "durability": durability}
    server.default = behaviours.trickle(0.002)
    ended = run(
        server,
        f"""
        from logcollector_handler import drain_on_signals
        configure(shutdown_timeout=60, **{settings!r})
        drain_on_signals()
        threading.Timer(0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM)).start()
        for n in range(30_000):
            log.info("m%d", n)
            os.write(1, b"%d\\n" % n)
            time.sleep(0.0005)
        """,
    )
    assert ended.code == -signal.SIGTERM
    told = {f"m{n}" for n in ended.out.split()}
    assert len(told) > 100
    assert told - set(messages(server)) == set(), ended.err


def test_a_last_signal_in_the_middle_of_a_write_lets_it_end_first(server: FaultyServer, tmp_path: Path) -> None:
    """A drain in the middle of the write would wait for the listener, which waits for the lock of that write."""
    ended = run(
        server,
        f"""
        from logcollector_handler import drain_on_signals
        from logcollector_handler.delivery import terminated
        from logcollector_handler.delivery.journal import Journal
        configure(shutdown_timeout=60, spool_dir={str(tmp_path)!r}, durability="record")
        drain_on_signals()
        due = []
        send, write = terminated._send, Journal._write

        def sent_by_the_drain(number):
            if threading.current_thread() is threading.main_thread():
                send(number)
            else:
                due.append(number)

        def in_the_middle(self):
            count = write(self)
            if due:
                terminated._send = send
                send(due.pop())
            return count

        terminated._send, Journal._write = sent_by_the_drain, in_the_middle
        threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGTERM)).start()
        for n in range(30_000):
            log.info("m%d", n)
            os.write(1, b"%d\\n" % n)
            time.sleep(0.001)
        """,
    )
    assert ended.code == -signal.SIGTERM
    told = {f"m{n}" for n in ended.out.split()}
    assert told
    assert told - set(messages(server)) == set(), ended.err
