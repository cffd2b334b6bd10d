"""`logcollector forward`: sends what others leave in a spool directory until it is told to end."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from logcollector_handler.cli import main
from logcollector_handler.wire.compression import COMPRESS_FROM
from tests.cli.conftest import Start
from tests.delivery.pipelines import wait_until
from tests.delivery.spool.processes import Writer
from tests.integration.behaviours import answer, hang
from tests.integration.faulty import FaultyServer, refuse_records

pytestmark = pytest.mark.integration

PATIENCE = 60.0


def begun(process: subprocess.Popen[str]) -> str:
    """The line that it prints when it has begun: from now on it takes signals."""
    assert process.stderr is not None
    return process.stderr.readline()


def ended(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
    """Its exit status and what it printed since it began, after it was told to end."""
    process.send_signal(number)
    process.wait(timeout=PATIENCE)
    assert process.stderr is not None
    # Not `communicate`, which reads past what `begun` has read ahead.
    return process.returncode, process.stderr.read()


def test_it_waits_for_the_directory_sends_what_comes_and_what_came_at_last(tmp_path: Path, start: Start) -> None:
    spool = tmp_path / "later" / "spool"
    with FaultyServer(default=refuse_records(lambda entry: entry["message"] == "bad", 400)) as server:
        process = start("forward", str(spool), "--server-url", server.url, "--api-key", "a key")
        assert begun(process) == (
            f"logcollector forward: what lies in {spool} is sent to {server.url} (wire collector)\n"
        )
        assert not spool.exists()
        writers = [Writer(spool, server.url) for _ in range(3)]
        for number, writer in enumerate(writers):
            writer.put(f"{number}a", "bad")
            writer.put_written(f"{number}b")
        server.wait_for_stored(6)
        writers[0].put("at last")
        assert writers[0].stats().handed_over == 4
        status, err = ended(process)
        stored = [str(entry["message"]) for entry in server.stored]
        assert {request.headers["Authorization"] for request in server.requests} == {"Bearer a key"}
    assert sorted(stored) == ["0a", "0b", "1a", "1b", "2a", "2b", "at last"]
    assert all(stored.index(f"{number}a") < stored.index(f"{number}b") for number in range(3))
    assert status == 0
    assert err.endswith("logcollector forward: 7 records delivered, 3 refused, 0 damaged; 0 batches left\n")
    assert "a key" not in err
    assert writers[0].files == []
    assert len(list((writers[0].directory / "dead").iterdir())) == 3


def test_it_looks_once_more_at_the_end(tmp_path: Path, start: Start) -> None:
    rarely = "from logcollector_handler.cli import forward\nforward._LOOK_EVERY = 600.0"
    with FaultyServer() as server:
        writer = Writer(tmp_path, server.url)
        writer.put("first")
        process = start("forward", str(tmp_path), "--server-url", server.url, before=rarely)
        server.wait_for_stored(1)
        # The look that follows what was found has found no more: it has unlocked the name.
        wait_until(lambda: [path.stem for path in writer.directory.glob("*.lock")] == [writer.ids.owner])
        writer.put("second")
        status, err = ended(process)
        assert [entry["message"] for entry in server.stored] == ["first", "second"]
    assert (status, "2 records delivered" in err) == (0, True)


def test_batches_for_another_server_are_said_once_and_left(tmp_path: Path, start: Start) -> None:
    other = Writer(tmp_path, "http://other.test:8000")
    other.put("not here")
    with FaultyServer() as server:
        # It looks for them all the time, and says it once.
        often = "from logcollector_handler.cli import forward\nforward._LOOK_FOR_OTHERS_EVERY = 0.0"
        process = start("forward", str(tmp_path), "--server-url", server.url, before=often)
        begun(process)
        for count in (1, 2):
            Writer(tmp_path, server.url).put("here")
            server.wait_for_stored(count)
        status, err = ended(process)
    assert status == 0
    said = [line for line in err.splitlines() if "another server" in line]
    assert said == [
        f"logcollector forward: {other.directory.name} in {tmp_path} has batches for another server or wire; "
        "they are left there"
    ]
    assert len(other.files) == 1


@pytest.mark.parametrize("compression", [True, False])
def test_what_it_makes_of_open_files_is_compressed_if_compression_is_on(
    tmp_path: Path, start: Start, compression: bool
) -> None:
    with FaultyServer() as server:
        Writer(tmp_path, server.url).put_written(*map(str, range(COMPRESS_FROM)))
        environment = {"LOGCOLLECTOR_ENABLE_COMPRESSION": str(compression)}
        process = start("forward", str(tmp_path), "--server-url", server.url, environment=environment)
        begun(process)
        server.wait_for_stored(COMPRESS_FROM)
        assert ended(process)[0] == 0
        (request,) = server.requests
    assert request.headers.get("Content-Encoding") == ("gzip" if compression else None)


def test_the_directory_of_one_server_is_not_the_one_to_name(tmp_path: Path, start: Start) -> None:
    writer = Writer(tmp_path, "http://logs.test:8000")
    writer.put("a")
    process = start("forward", str(writer.directory), "--server-url", "http://logs.test:8000")
    begun(process)
    assert "is the directory of one server; name the one above it" in begun(process)
    status, _ = ended(process)
    assert status == 0


def test_what_cannot_be_sent_in_time_is_left_to_the_next(tmp_path: Path, start: Start) -> None:
    """And the environment of the handlers, which it shares, may say that they do not deliver."""
    environment = {"LOGCOLLECTOR_SHUTDOWN_TIMEOUT": "0.3", "LOGCOLLECTOR_DELIVER": "false"}
    with FaultyServer(default=answer(503)) as server:
        writer = Writer(tmp_path, server.url)
        writer.put("a")
        writer.put("b")
        process = start("forward", str(tmp_path), "--server-url", server.url, environment=environment)
        begun(process)
        server.wait_for_requests(1)
        status, err = ended(process)
        assert status == 0
        assert err.endswith("0 records delivered, 0 refused, 0 damaged; 2 batches left\n")
        keys = {request.key for request in server.requests}
        server.default = answer()
        process = start("forward", str(tmp_path), "--server-url", server.url, environment=environment)
        begun(process)
        server.wait_for_stored(2)
        status, err = ended(process)
        assert [entry["message"] for entry in server.stored] == ["a", "b"]
        assert keys <= set(server.stored_keys), "the same key"
    assert err.endswith("2 records delivered, 0 refused, 0 damaged; 0 batches left\n")


def test_the_end_does_not_wait_for_a_request_longer_than_shutdown_timeout_and_a_second_signal_ends_at_once(
    tmp_path: Path, start: Start
) -> None:
    with FaultyServer(default=hang()) as server:
        Writer(tmp_path, server.url).put("a")
        arguments = ("forward", str(tmp_path), "--server-url", server.url)
        patient = {"LOGCOLLECTOR_TIMEOUT": "600"}
        process = start(*arguments, environment={**patient, "LOGCOLLECTOR_SHUTDOWN_TIMEOUT": "0.2"})
        begun(process)
        server.wait_for_requests(1)
        status, err = ended(process)
        assert (status, err.endswith("1 batches left\n")) == (0, True)
        process = start(*arguments, environment={**patient, "LOGCOLLECTOR_SHUTDOWN_TIMEOUT": "600"})
        begun(process)
        server.wait_for_requests(2)

        def has_ended() -> bool:
            process.send_signal(signal.SIGTERM)
            return process.poll() is not None

        wait_until(has_ended)
        assert process.returncode == 128 + signal.SIGTERM


def test_ctrl_c_ends_it_too_but_not_where_it_is_ignored(tmp_path: Path, start: Start) -> None:
    arguments = ("forward", str(tmp_path), "--server-url", "http://127.0.0.1:9")
    process = start(*arguments, before="import signal; signal.signal(signal.SIGINT, signal.default_int_handler)")
    begun(process)
    assert ended(process, signal.SIGINT)[0] == 0
    with FaultyServer() as server:
        arguments = ("forward", str(tmp_path), "--server-url", server.url)
        process = start(*arguments, before="import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)")
        begun(process)
        process.send_signal(signal.SIGINT)
        # Two, one after the other: if the signal were taken, the drain might find the first, but not the second.
        for count in (1, 2):
            Writer(tmp_path, server.url).put("a")
            server.wait_for_stored(count)
        assert ended(process)[0] == 0


#: Lets another thread take SIGTERM once the command has begun, which does not wake the main thread.
TERMINATED_ELSEWHERE = """
import signal, threading, time
def terminate():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL: time.sleep(0.01)
    time.sleep(0.5)
    signal.raise_signal(signal.SIGTERM)
threading.Thread(target=terminate, daemon=True).start()
"""


def test_a_signal_is_noticed_that_does_not_wake_the_main_thread(tmp_path: Path, start: Start) -> None:
    """As one that comes just before that thread sleeps."""
    process = start("forward", str(tmp_path), before=TERMINATED_ELSEWHERE)
    begun(process)
    assert process.wait(timeout=PATIENCE / 2) == 0


def test_as_process_1_it_ends_with_128_and_the_signal(tmp_path: Path, start: Start) -> None:
    process = start("forward", str(tmp_path), before="import os; os.getpid = lambda: 1")
    begun(process)
    assert ended(process)[0] == 128 + signal.SIGTERM


def test_wrong_settings_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["forward", str(tmp_path), "--server-url", "logs.test"]) == 2
    assert "logcollector forward: server_url is 'logs.test'; allowed: " in capsys.readouterr().err


def test_replay_sends_what_was_handed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGCOLLECTOR_DELIVER", "false")
    with FaultyServer() as server:
        writer = Writer(tmp_path, server.url)
        writer.put("a")
        writer.put_written("b")
        assert main(["spool", "ls", str(tmp_path)]) == 0
        assert "2 files" in (line := capsys.readouterr().out)
        assert "handed over, for logcollector forward" in line
        assert main(["spool", "replay", str(tmp_path), "--server-url", server.url]) == 0
        assert [entry["message"] for entry in server.stored] == ["a", "b"]
