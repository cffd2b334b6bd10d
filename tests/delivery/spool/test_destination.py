"""The directory of a destination: another server, format or query is another one, and a password is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from logcollector_handler.delivery.lookout import holds_batches
from logcollector_handler.delivery.spool import destination
from logcollector_handler.wire import FORMATS
from tests.delivery.pipelines import PipelineBench

URL = "http://logs.test:8123/in"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://localhost:8000", "localhost_8000-0121783a"),
        ("https://logs.example.com/team", "logs.example.com-54697508"),
    ],
)
def test_the_directory_of_the_collector_has_the_name_that_version_0_1_0_gave_it(url: str, name: str) -> None:
    assert destination(url, "collector") == name


def test_each_format_has_a_directory_of_its_own_with_its_name_in_it() -> None:
    names = {wire: destination(URL, wire) for wire in FORMATS}
    assert len(set(names.values())) == len(FORMATS)
    for wire, name in names.items():
        assert name.startswith("logs.test_8123-" if wire == "collector" else f"logs.test_8123-{wire}-")


def test_another_query_is_another_place_and_nothing_of_it_is_in_the_name() -> None:
    urls = [URL, f"{URL}/", f"{URL}?a=s3cret", f"{URL}?a=s3cret&b=2", f"{URL}?a=other", URL.replace("in", "out")]
    names = [destination(url, "ndjson") for url in urls]
    assert len(set(names)) == len(urls)
    assert "s3cret" not in "".join(names)


@pytest.mark.parametrize("wire", list(FORMATS))
def test_a_user_and_a_password_make_no_other_place(wire: str) -> None:
    assert destination(URL.replace("//", "//me:pa55@"), wire) == destination(URL, wire)


def test_a_url_of_otlp_is_the_same_place_with_and_without_the_path_that_is_appended() -> None:
    assert destination("http://logs.test:4318", "otlp") == destination("http://logs.test:4318/v1/logs", "otlp")
    assert destination("http://logs.test:4318/a", "otlp") != destination("http://logs.test:4318", "otlp")


@pytest.mark.parametrize("wire", list(FORMATS))
def test_files_lie_in_it_with_the_ending_of_the_format_and_the_look_out_finds_them(wire: str, tmp_path: Path) -> None:
    bench = PipelineBench(wire=wire, server_url=URL, spool_dir=str(tmp_path), service="shop")
    bench.log("one")
    bench.pipeline.listener.stop()
    bench.listen()
    (path,) = (each for each in tmp_path.glob("*/*") if each.suffix != ".lock" and each.is_file())
    assert path.parent.name == destination(URL, wire)
    assert path.name.endswith(FORMATS[wire].suffix)
    for other in FORMATS:
        assert holds_batches(str(tmp_path), URL, other) is (other == wire)
