"""`logcollector demo`: what it prints, and that it fails if a record is missing or doubled."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess, Popen
from typing import Any

import httpx
import pytest

from logcollector_handler.cli import demo, shop
from logcollector_handler.collector.store import Store
from logcollector_handler.wire.posted.body import Limits, read_body
from logcollector_handler.wire.posted.entries import check

Start = Callable[..., "Popen[str]"]
Run = Callable[..., "CompletedProcess[str]"]

ROWS = [
    "logged by the application",
    "stored by the collector",
    "lost",
    "stored twice",
    "batches",
    "sent",
    "median logging call",
    "slowest logging call",
]
PROVEN = "Everything that was logged is stored, once."
BROKEN = "What is stored is not what was logged!"


def table(out: str) -> dict[str, str]:
    """The rows of the table that was printed."""
    found = re.findall(r"^  ([a-z][a-z ]+?)  +(\S.*)$", out.partition("\nThe newest errors")[0], re.MULTILINE)
    return dict(found)


# The process


@pytest.mark.integration
def test_everything_that_is_logged_is_stored_and_shown(run: Run) -> None:
    ended = run("demo", "--seconds", "1", "--rate", "500")
    assert (ended.returncode, ended.stderr) == (0, "")
    rows = table(ended.stdout)
    assert list(rows) == ROWS
    assert rows["logged by the application"] == rows["stored by the collector"] == "500"
    assert rows["lost"] == rows["stored twice"] == "0"
    assert re.fullmatch(r"[\d.]+ µs", rows["median logging call"])
    assert re.fullmatch(r"[\d.]+ ms", rows["slowest logging call"])
    assert re.search(r"shop ERROR payment of user-\d+ failed", ended.stdout)
    assert re.search(r"^  error_type +CardDeclinedError$", ended.stdout, re.MULTILINE)
    assert "    Traceback (most recent call last):\n" in ended.stdout
    assert "    The above exception was the direct cause of the following exception:\n" in ended.stdout
    assert re.search(r"^    CardDeclinedError: could not charge [\d.]+ EUR\n\n" + PROVEN, ended.stdout, re.MULTILINE)


@pytest.mark.integration
def test_settings_in_the_environment_do_not_affect_the_demo(run: Run) -> None:
    elsewhere = {
        "LOGCOLLECTOR_SERVER_URL": "http://127.0.0.1:9",
        "LOGCOLLECTOR_BATCH_SIZE": "many",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "all_proxy": "http://127.0.0.1:9",
    }
    ended = run("demo", "--seconds", "0.2", environment=elsewhere)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert PROVEN in ended.stdout


@pytest.mark.integration
def test_files_in_the_current_directory_are_not_imported_as_modules(run: Run, directory: Path) -> None:
    (directory / "random.py").write_text("raise SystemExit('the wrong random')")
    ended = run("demo", "--seconds", "0.2", before="import sys; sys.path.remove('')")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.integration
def test_a_row_removed_from_the_database_is_reported_as_lost(start: Start) -> None:
    process = start("demo", "--seconds", "2", "--rate", "500")
    assert process.stdout is not None
    found = re.search(r"stores logs in (\S+)\.$", process.stdout.readline())
    assert found
    deleted = 0
    while not deleted:
        with closing(sqlite3.connect(found[1], timeout=10, isolation_level=None)) as database:
            deleted = database.execute("DELETE FROM logs WHERE id = 7").rowcount
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert table(out)["lost"] == "1"
    assert BROKEN in out
    assert PROVEN not in out
    assert "Traceback" not in err


@pytest.mark.integration
def test_keep_leaves_the_collector_running_until_it_is_interrupted(start: Start) -> None:
    process = start("demo", "--seconds", "1", "--rate", "500", "--keep")
    assert process.stdout is not None
    out = ""
    while not (kept := re.search(r"^The collector stays at (\S+) until Ctrl-C", out, re.MULTILINE)):
        out += process.stdout.readline()
        assert process.poll() is None
    assert PROVEN in out
    logged = re.search(r"logged by the application +(\d+)", out)
    assert logged
    assert httpx.get(kept[1] + "/stats").json()["total_logs"] == int(logged[1])
    assert httpx.get(kept[1] + "/logs?level=ERROR&limit=1").json()["logs"][0]["error_type"] == "CardDeclinedError"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.endswith("The collector has stopped, and its database is gone.\n")
    with pytest.raises(httpx.ConnectError):
        httpx.get(kept[1])


@pytest.mark.integration
def test_ctrl_c_ends_the_demo_and_its_application_without_a_traceback(start: Start, tmp_path: Path) -> None:
    process = start("demo", "--seconds", "600", environment={"TMPDIR": str(tmp_path)})
    assert process.stdout is not None
    found = re.search(r"listens at (\S+)", process.stdout.readline())
    assert found
    while "logged" not in process.stdout.readline().split():
        assert process.poll() is None
    (entry,) = httpx.get(found[1] + "/logs?limit=1").json()["logs"]
    assert os.getpgid(entry["metadata"]["process"]) != process.pid, "Ctrl-C is for the demo, which ends the other"
    os.killpg(process.pid, signal.SIGINT)
    # The application writes to the same pipe, so its end shows that both processes are gone.
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert list(tmp_path.glob("logcollector-demo-*")) == []


@pytest.mark.integration
def test_a_failed_application_is_reported(run: Run) -> None:
    before = "from logcollector_handler.cli import demo; from pathlib import Path; demo._SHOP = Path('missing.py')"
    ended = run("demo", before=before)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "logcollector demo: the example application failed (exit status 2); its output is above."
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.integration
def test_a_database_that_cannot_be_created_is_reported(run: Run, tmp_path: Path) -> None:
    before = f"import tempfile; tempfile.tempdir = {str(tmp_path / 'missing')!r}"
    ended = run("demo", before=before)
    assert ended.returncode == 1
    assert ended.stderr.startswith("logcollector demo: ")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.integration
def test_a_closed_output_pipe_causes_no_traceback(start: Start) -> None:
    process = start("demo", "--seconds", "1", "--rate", "500")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""


@pytest.mark.integration
def test_characters_missing_in_the_output_encoding_are_escaped(run: Run) -> None:
    ended = run("demo", "--seconds", "0.5", environment={"PYTHONIOENCODING": "ascii"})
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\\xb5s" in ended.stdout


# The comparison


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path / "logs.sqlite")) as store:
        yield store


def put(store: Store, *entries: dict[str, Any]) -> None:
    """Store entries as if they had been posted."""
    body = json.dumps({"logs": entries}).encode()
    store.add(check(read_body(body, "", Limits()), strict=True, now=0.0).rows)


def numbered(number: int | None) -> dict[str, Any]:
    """An entry as the shop logs it; without a number if that is None."""
    return {"message": "m", "metadata": {} if number is None else {"number": number}}


TOLD: dict[str, Any] = {
    "logged": 3,
    "dropped": {},
    "dead_lettered": 0,
    "pending": 0,
    "batches": 1,
    "encoded_bytes": 1000,
    "sent_bytes": 500,
    "median": 1e-5,
    "slowest": 1e-3,
}


@pytest.mark.parametrize(
    ("numbers", "lost", "twice", "unknown"),
    [
        ((1, 2, 3), "0", "0", None),
        ((3, 1, 2), "0", "0", None),
        ((1, 3), "1", "0", None),
        ((), "3", "0", None),
        ((1, 2, 3, 3), "0", "1", None),
        ((1, 2, 2), "1", "1", None),
        ((1, 2, None), "1", "0", "1"),
        ((1, 2, 3, None), "0", "0", "1"),
        ((1, 2, 4), "1", "0", "1"),
    ],
)
def test_records_are_compared_by_number_and_not_by_total(
    store: Store,
    capsys: pytest.CaptureFixture[str],
    numbers: tuple[int | None, ...],
    lost: str,
    twice: str,
    unknown: str | None,
) -> None:
    put(store, *map(numbered, numbers))
    complete = demo._report(TOLD, store)
    out = capsys.readouterr().out
    rows = table(out.partition("\nNo errors")[0])
    assert (rows["lost"], rows["stored twice"], rows.get("stored but never logged")) == (lost, twice, unknown)
    assert complete == (PROVEN in out) == (BROKEN not in out) == (sorted(map(str, numbers)) == ["1", "2", "3"])


def test_missing_records_are_named_with_the_counts_of_the_handler(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    put(store, numbered(2))
    told = {**TOLD, "logged": 14, "dropped": {"queue_full": 12}, "pending": 1}
    assert not demo._report(told, store)
    out = capsys.readouterr().out
    assert "Missing: 1, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 3 more." in out
    assert "The handler says: 12 given up (queue_full), 0 refused, 1 still waiting." in out


def test_an_error_without_a_stack_trace_is_shown_too(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    put(store, {"message": "plain", "level": "ERROR", "metadata": {"number": 1}})
    assert demo._report({**TOLD, "logged": 1}, store)
    assert "ERROR plain" in capsys.readouterr().out


# The pace


@pytest.mark.parametrize(
    ("passed", "logged", "expected"),
    [
        (0.0, 0, 0),
        (0.01, 0, 10),
        (0.013, 10, 13),
        (5.0, 4990, 5000),
        (7.0, 4990, 5000),
        (1.0, 0, 50),
    ],
)
def test_the_shop_keeps_its_pace_in_bursts_of_limited_length(passed: float, logged: int, expected: int) -> None:
    assert shop.due(passed, seconds=5.0, rate=1000.0, logged=logged) == expected


def test_the_shop_keeps_slow_rates_too() -> None:
    assert [shop.due(passed, seconds=5.0, rate=0.5, logged=0) for passed in (1.9, 2.0)] == [0, 1]
