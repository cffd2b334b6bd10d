"""`logcollector spool replay` and `logcollector doctor` with each format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from logcollector_handler.cli import main
from logcollector_handler.wire import FORMATS
from tests.cli.doctor.examined import Examined
from tests.delivery.pipelines import PipelineBench
from tests.integration.behaviours import Behaviour, answer, redirect
from tests.integration.faulty import FaultyServer, refuse_records

pytestmark = pytest.mark.integration
WIRES = pytest.mark.parametrize("wire", list(FORMATS))
OTHERS = pytest.mark.parametrize("wire", [wire for wire in FORMATS if wire != "collector"])
QUERY = "?query=INSERT%20INTO%20logs&password=hunter2&id={batch_id}"


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


def url_of(server: FaultyServer, wire: str) -> str:
    return server.url + (f"/in/{QUERY}" if FORMATS[wire].takes_whole_url else "")


def leave_behind(directory: Path, url: str, wire: str, durability: str, *messages: str) -> None:
    """Have a process that died leave a batch with these messages."""
    bench = PipelineBench(wire=wire, server_url=url, spool_dir=str(directory), durability=durability)
    bench.log(*messages)
    if durability == "batch":
        bench.pipeline.listener.stop()
        bench.listen()
    bench.pipeline.workers.abandon()


# spool


@WIRES
def test_replay_sends_what_was_left_in_the_format_of_the_settings(
    wire: str, server: FaultyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.default = refuse_records(lambda entry: entry["message"] == "bad", 400)
    url = url_of(server, wire)
    leave_behind(tmp_path, url, wire, "record", "a", "b", "bad")
    leave_behind(tmp_path, url, wire, "batch", "c")
    for other in FORMATS:
        if other != wire:
            leave_behind(tmp_path, url.partition("?")[0], other, "batch", "not here")
    assert main(["spool", "replay", str(tmp_path), "--server-url", url, "--wire", wire]) == 0
    assert sorted(str(entry["message"]) for entry in server.stored) == ["a", "b", "c"]
    assert {request.wire for request in server.requests} == {wire}
    told = capsys.readouterr()
    assert "2 batches to send" in told.out
    assert "3 records delivered, 1 refused, 0 damaged; 0 batches left" in told.out
    assert "INSERT" not in told.out + told.err
    assert "hunter2" not in told.out + told.err


def test_the_wire_of_a_replay_may_come_from_the_environment(
    server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_behind(tmp_path, server.url, "otlp", "batch", "a")
    replay = ["spool", "replay", str(tmp_path), "--server-url", server.url]
    assert main(replay) == 1
    told = capsys.readouterr().err
    assert f"holds nothing for {server.url} with wire collector. There is:" in told
    assert "-otlp-" in told.splitlines()[-1], "the directory names its format"
    monkeypatch.setenv("LOGCOLLECTOR_WIRE", "otlp")
    assert main(replay) == 0
    assert [entry["message"] for entry in server.stored] == ["a"]
    assert main([*replay, "--wire", "carrier pigeon"]) == 2
    assert "wire is 'carrier pigeon'; allowed: " in capsys.readouterr().err


# doctor


@WIRES
def test_doctor_names_the_wire_and_says_what_the_answer_proves(
    wire: str, server: FaultyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    examined = Examined(capsys, "--server-url", url_of(server, wire), "--wire", wire)
    assert (examined.code, examined["round trip"]) == (0, "ok"), examined.out
    assert f"wire {wire}" in examined.text("settings")
    assert f"wire {wire}" in examined.text("round trip")
    (entry,) = server.stored
    assert (entry["level"], entry["service"]) == ("DEBUG", "doctor")
    if wire != "collector":
        assert "does not prove that the record is stored" in examined.text("round trip")
        assert repr(entry["message"]) in examined.text("round trip"), "so that it can be looked up"
        assert str(server.requests[0].key) in entry["message"]
    assert "INSERT" not in examined.out
    assert "hunter2" not in examined.out


@WIRES
def test_doctor_counts_what_waits_in_the_spool_in_this_format(
    wire: str, server: FaultyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_behind(tmp_path, url_of(server, wire), wire, "batch", "a")
    examine = ("--server-url", url_of(server, wire), "--spool-dir", str(tmp_path))
    assert "1 batches wait" in Examined(capsys, *examine, "--wire", wire).text("spool")
    other = "otlp" if wire == "collector" else "collector"
    examined = Examined(capsys, *examine[2:], "--server-url", server.url, "--wire", other)
    assert "0 batches wait" in examined.text("spool")


@OTHERS
@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_without_a_count_is_as_it_should_be(
    wire: str, status: int, server: FaultyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.default = answer(status, "", content_type="text/plain")
    examined = Examined(capsys, "--server-url", server.url, "--wire", wire)
    assert (examined.code, f"HTTP {status}. It does not prove" in examined.text("round trip")) == (0, True)


def test_what_a_server_of_otlp_says_beside_taking_the_record_is_shown(
    server: FaultyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    # An ExportLogsServiceResponse with a partial_success of no record.
    server.default = answer(200, b"\x0a\x07\x12\x05tired", content_type="application/x-protobuf")
    examined = Examined(capsys, "--server-url", server.url, "--wire", "otlp")
    assert (examined.code, examined.text("round trip").endswith("The server says: tired")) == (0, True)


ADVICE: dict[str, list[tuple[Behaviour, list[str]]]] = {
    "otlp": [
        (answer(404), ["correct host, port and path"]),
        (redirect("https://logs.test/x/v1/logs"), ["set server_url to where it points, without /v1/logs."]),
        (answer(400), ["it may not take wire otlp there"]),
        (answer(415), ["it may not take wire otlp there"]),
        # An ExportLogsServiceResponse with a partial_success of one record.
        (answer(200, b"\x0a\x09\x08\x01\x12\x05tired", content_type="application/x-protobuf"), ["rejected", "tired"]),
    ],
    "ndjson": [
        (answer(404, "Table default.logs is missing"), ["default.logs is missing", "lacks what server_url names"]),
        (redirect("https://logs.test/x"), ["set server_url to where it points."]),
        (answer(400), ["it may not take wire ndjson there, or lack a column"]),
    ],
}


@pytest.mark.parametrize(
    ("wire", "behaviour", "words"), [(wire, *each) for wire, cases in ADVICE.items() for each in cases]
)
def test_advice_fits_the_wire(
    wire: str, behaviour: Behaviour, words: list[str], server: FaultyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.default = behaviour
    examined = Examined(capsys, "--server-url", url_of(server, wire), "--wire", wire)
    examined.only("round trip", *words)
    assert "hunter2" not in examined.out


def test_of_a_server_that_quotes_the_url_nothing_of_the_query_is_shown(
    server: FaultyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.default = lambda request: answer(403, f"no {request.path}, {json.dumps(request.path)}, hunter2")
    config = {"handlers": {"c": {"class": "logcollector_handler.LogCollectorHandler", "wire": "ndjson",
                                 "server_url": f"{server.url}/in/{QUERY}"}}}  # fmt: skip
    (tmp_path / "logging.json").write_text(json.dumps(config))
    examined = Examined(capsys, "--config", str(tmp_path / "logging.json"))
    assert examined.code == 1
    assert "HTTP 403: no /in/?***" in examined.text("authorization")
    for secret in ("hunter2", "INSERT", "query"):
        assert secret not in examined.out


def test_of_keys_that_only_an_engine_knows_nothing_is_claimed(
    server: FaultyServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    examined = Examined(capsys, "--server-url", url_of(server, "ndjson"), "--wire", "ndjson")
    assert (examined["authorization"], "query of server_url" in examined.text("authorization")) == ("skipped", True)
    monkeypatch.setenv("LOGCOLLECTOR_HEADERS", '{"X-ClickHouse-Key": "s3cret"}')
    examined = Examined(capsys, "--server-url", server.url, "--wire", "ndjson")
    assert (examined["authorization"], "headers" in examined.text("authorization")) == ("skipped", True)
