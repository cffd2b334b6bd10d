"""What a format decides of a request: its URL, anew for each batch, its headers, and what a 2xx answer says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
import respx
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse

from logcollector_handler.delivery.answers import Answer
from logcollector_handler.delivery.transport import HttpTransport
from logcollector_handler.settings import Settings
from logcollector_handler.wire import FORMATS
from logcollector_handler.wire.format import Taken
from logcollector_handler.wire.ndjson import NdjsonFormat
from tests.delivery.harness import FakeClock

URL = "http://me:pa%20ss@logs.test/in/?query=INSERT%20INTO%20logs&password=hunter2&token={batch_id}"


class Talking(NdjsonFormat):
    """A format whose answers say what they are told to."""

    def __init__(self, taken: Taken) -> None:
        self._taken = taken

    def taken(self, content: bytes) -> Taken:
        return self._taken


def settings_of(wire: str, url: str = "http://logs.test/a", **more: Any) -> Settings:
    return replace(Settings(), wire=wire, server_url=url, **more)


def transport_of(settings: Settings, form: Any = None) -> HttpTransport:
    return HttpTransport(settings, form or FORMATS[settings.wire], FakeClock())


def requests_of(settings: Settings, *ids: str) -> list[httpx.Request]:
    """The requests by which these batches are posted, over one transport."""
    with respx.mock() as server:
        server.post().respond(200)
        transport = transport_of(settings)
        answers = [transport.post(each, b"body", False, 5.0) for each in ids]
        transport.close()
        assert [answer.status for answer in answers] == [200] * len(ids), answers
        return [call.request for call in server.calls]


def answer_to(taken: Taken, status: int = 200, **response: Any) -> Answer:
    with respx.mock() as server:
        server.post().respond(status, **response)
        transport = transport_of(settings_of("ndjson", URL), Talking(taken))
        try:
            return transport.post("7", b"body", False, 5.0)
        finally:
            transport.close()


@pytest.mark.parametrize("wire", list(FORMATS))
def test_a_batch_is_posted_to_the_url_of_the_format_with_its_headers(wire: str) -> None:
    settings = settings_of(wire)
    (request,) = requests_of(settings, "7")
    assert str(request.url) == FORMATS[wire].url("http://logs.test/a", "7")
    assert request.headers["idempotency-key"] == "7"
    for name, value in FORMATS[wire].headers({}).items():
        assert request.headers.get_list(name) == [value]


@pytest.mark.parametrize("wire", list(FORMATS))
@pytest.mark.parametrize("name", ["Content-Type", "content-type"])
def test_the_headers_of_the_format_win_over_those_that_people_set(wire: str, name: str) -> None:
    headers: Mapping[str, str] = {name: "text/plain", "X-Team": "a"}
    (request,) = requests_of(settings_of(wire, headers=headers), "7")
    assert request.headers.get_list("content-type") == [FORMATS[wire].headers(headers)["Content-Type"]]
    assert request.headers["x-team"] == "a"


def test_the_id_of_each_batch_stands_in_its_url_and_the_rest_of_the_url_is_sent_as_it_is() -> None:
    first, second, again = requests_of(settings_of("ndjson", URL), "7", "8.0", "7")
    query = b"/in/?query=INSERT%20INTO%20logs&password=hunter2&token="
    assert [each.url.raw_path for each in (first, second, again)] == [query + b"7", query + b"8.0", query + b"7"]
    assert {each.headers["authorization"] for each in (first, second)} == {"Basic bWU6cGEgc3M="}
    assert {each.headers["host"] for each in (first, second)} == {"logs.test"}


@pytest.mark.parametrize("url", ["http://logs.test/{batch_id}", "http://logs.test/{batch_id}/in?a={batch_id}"])
def test_the_id_may_stand_anywhere_behind_the_host(url: str) -> None:
    (request,) = requests_of(settings_of("ndjson", url), "7")
    assert str(request.url) == url.replace("{batch_id}", "7")


def test_a_url_that_stays_the_same_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    real = HttpTransport._parsed

    def seen(self: HttpTransport, url: str) -> object:
        parsed.append(real(self, url))
        return parsed[-1]

    monkeypatch.setattr(HttpTransport, "_parsed", seen)
    requests_of(settings_of("collector"), "7", "8")
    assert parsed[0] is parsed[1]


def test_a_url_that_only_the_http_client_refuses_is_a_wrong_setting() -> None:
    answer = transport_of(settings_of("ndjson", "http://999.1.1.1/?x=s3cret")).post("7", b"", False, 5.0)
    assert (answer.unusable, answer.check) == (True, "server_url")


def test_an_answer_that_quotes_the_url_shows_nothing_of_its_query() -> None:
    text = f"no such table; you asked for {URL.replace('{batch_id}', '7')} as hunter2"
    answer = answer_to(Taken(), 404, text=text)
    assert answer.detail == "HTTP 404: no such table; you asked for http://me:***@logs.test/in/?***7 as ***"


def test_what_a_2xx_says_of_the_entries_is_in_the_answer_in_one_line_without_secrets() -> None:
    answer = answer_to(Taken(3, 2, "the password hunter2\nis too\x00 long"))
    assert (answer.count, answer.rejected, answer.why) == (3, 2, "the password *** is too long")


@pytest.mark.parametrize(("status", "html"), [(400, False), (500, False), (307, False), (200, True)])
def test_only_a_2xx_of_the_server_says_something_of_entries(status: int, html: bool) -> None:
    answer = answer_to(Taken(3, 2, "why"), status, **({"html": "<p>"} if html else {"text": "x"}))
    assert (answer.count, answer.rejected, answer.why) == (None, 0, "")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_delivered_also_without_a_body(status: int) -> None:
    assert answer_to(Taken(), status).status == status


def test_a_2xx_may_say_of_each_record_why_it_is_rejected() -> None:
    why = "; ".join(
        f"record {number} is older than seven days, which is the oldest that is taken" for number in range(999)
    )
    success = ExportLogsPartialSuccess(rejected_log_records=999, error_message=why)
    content = ExportLogsServiceResponse(partial_success=success).SerializeToString()
    with respx.mock() as server:
        server.post().respond(200, content=content)
        answer = transport_of(settings_of("otlp")).post("7", b"body", False, 5.0)
    assert (answer.status, answer.rejected) == (200, 999)
    assert answer.why.startswith("record 0 is older")
    assert len(answer.why) <= 200
