"""What stands in examples/engines fits together, and the programs there log as they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from logcollector_handler.entry.model import COLUMNS
from tests import needed
from tests.integration.faulty import FaultyServer
from tests.integration.faulty_connections import Request
from tests.readme import DOCUMENTS, TREE, blocks

ENGINES = TREE / "examples/engines"
GUIDE = DOCUMENTS["examples/engines/README.md"]


def run(name: str, directory: Path, **environ: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(ENGINES / name)],
        cwd=directory,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def check_entries(server: FaultyServer) -> Request:
    """The only request, which has both records."""
    (request,) = server.requests
    assert [(entry["level"], entry["message"]) for entry in request.entries] == [
        ("INFO", "service started"),
        ("INFO", "payment accepted"),
    ]
    assert {entry["service"] for entry in request.entries} == {"payment-api"}
    accepted = request.entries[1]
    assert (accepted["user_id"], accepted["duration_ms"]) == ("12345", 48.2)
    assert accepted["metadata"]["amount"] == 99.5
    return request


@pytest.mark.integration
def test_clickhouse_gets_lines_and_the_id_of_the_batch_as_its_token(tmp_path: Path) -> None:
    with FaultyServer() as server:
        run("clickhouse.py", tmp_path, CLICKHOUSE_URL=server.url, CLICKHOUSE_PASSWORD="hush")
        request = check_entries(server)
    url = urlsplit(request.path)
    query = {name: values for name, (values,) in parse_qs(url.query, strict_parsing=True).items()}
    assert url.path == "/"
    assert query.pop("query") == "INSERT INTO logs FORMAT JSONEachRow"
    assert query.pop("insert_deduplication_token") == request.key
    assert set(query.values()) == {"1"}
    assert request.headers["Content-Type"] == "application/x-ndjson"
    assert (request.headers["X-ClickHouse-User"], request.headers["X-ClickHouse-Key"]) == ("default", "hush")


@pytest.mark.integration
def test_the_collector_gets_otlp(tmp_path: Path) -> None:
    with FaultyServer() as server:
        run("otlp.py", tmp_path, LOGCOLLECTOR_SERVER_URL=server.url)
        request = check_entries(server)
    assert (request.path, request.wire) == ("/v1/logs", "otlp")


@pytest.mark.parametrize(("name", "missing"), [("clickhouse.sql", set()), ("clickhouse-18.16.sql", {"metadata"})])
def test_a_table_has_a_column_for_each_of_an_entry(name: str, missing: set[str]) -> None:
    inside = (ENGINES / name).read_text("utf-8").partition("(\n")[2].partition("\n)")[0]
    columns = set(re.findall(r"^    (\w+) ", inside, re.MULTILINE))
    assert columns - {"date"} == set(COLUMNS) - missing


def loaded(name: str) -> Any:
    with needed.packages():
        import yaml
    return yaml.safe_load((ENGINES / name).read_text("utf-8"))


@pytest.mark.integration
def test_the_collector_is_configured_with_what_it_uses() -> None:
    config = loaded("otel-collector.yaml")
    (pipeline,) = config["service"]["pipelines"].values()
    for kind, names in {**pipeline, "extensions": config["service"]["extensions"]}.items():
        assert sorted(names) == sorted(config[kind])
    for exporter in config["exporters"].values():
        assert exporter["sending_queue"]["storage"] in config["extensions"]
        assert exporter["retry_on_failure"]["max_elapsed_time"] == 0


@pytest.mark.integration
def test_the_services_have_the_names_ports_and_files_that_others_use() -> None:
    services = loaded("compose.yaml")["services"]
    config = (ENGINES / "otel-collector.yaml").read_text("utf-8")
    assert set(re.findall(r"(?:http|tcp)://(\w+):", config)) == services.keys() - {"otel-collector"}
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+", service["image"]) for service in services.values())
    mounted = [each.split(":")[0] for service in services.values() for each in service["volumes"]]
    assert all((ENGINES / each).is_file() for each in mounted if each.startswith("./"))
    ports = " ".join(port for service in services.values() for port in service["ports"])
    for name in ("clickhouse.py", "otlp.py"):
        found = re.search(r"http://localhost:(\d+)", (ENGINES / name).read_text("utf-8"))
        assert found
        assert f":{found[1]}:" in ports


def test_the_guide_has_the_url_of_the_example() -> None:
    block = next(block.code for block in blocks(GUIDE, "python") if "ndjson" in block.code)
    parameters = r"[?&](\w+=[^\s\"&]+)"
    example = (ENGINES / "clickhouse.py").read_text("utf-8")
    assert set(re.findall(parameters, block)) == set(re.findall(parameters, example))


def test_the_guide_names_every_file() -> None:
    targets = set(re.findall(r"\]\(([\w.-]+)\)", GUIDE))
    assert targets == {path.name for path in ENGINES.iterdir() if path.is_file()} - {"README.md"}
