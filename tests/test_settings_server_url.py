"""`server_url` with the formats that take the whole URL: what is allowed, what is kept, and that no query is shown."""

from __future__ import annotations

import json
from urllib.parse import unquote, unquote_plus

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler import LogCollectorHandler, SettingError
from logcollector_handler.settings import Settings, load
from logcollector_handler.wire import FORMATS

INSERT = "query=INSERT%20INTO%20logs2%20FORMAT%20JSONEachRow"
URL = f"http://localhost:8123/in/?{INSERT}&password=hunter2&insert_deduplication_token={{batch_id}}&async_insert=1"
WHOLE = [name for name, wire in FORMATS.items() if wire.takes_whole_url]
OTHERS = [name for name in FORMATS if name not in WHOLE]


def loaded(url: str, wire: str = "ndjson") -> Settings:
    return load({"server_url": url, "wire": wire}, {})


@pytest.mark.parametrize("wire", OTHERS)
def test_a_query_is_refused_by_a_format_that_appends_a_path(wire: str) -> None:
    with pytest.raises(SettingError) as caught:
        loaded("http://host/?api_key=s3cret", wire)
    assert str(caught.value) == (
        "server_url is 'http://host/?***'; allowed: a URL like http://host:port, without ? and #, unless wire is ndjson"
    )


@pytest.mark.parametrize(
    "url", [URL, "http://host/insert/", "http://host/?", "http://host/{batch_id}/?", "http://host"]
)
@pytest.mark.parametrize("wire", WHOLE)
def test_the_whole_url_is_kept_as_it_is(wire: str, url: str) -> None:
    assert loaded(url, wire).server_url == url


@pytest.mark.parametrize("wire", OTHERS)
def test_a_slash_at_the_end_is_taken_from_a_url_to_which_a_path_is_appended(wire: str) -> None:
    assert loaded("http://host/insert//", wire).server_url == "http://host/insert"


@pytest.mark.parametrize(
    "url",
    ["http://host/?x=s3cret#", "http://host/#s3cret", "http://{batch_id}.host/?x=s3cret", "http://host /?x=s3cret",
     "ftp://host/?x=s3cret", "ftp://host/?x=s3cret@", "http://me:s3cret?x@host", "http://host/?x=s3cret y"],
)  # fmt: skip
@pytest.mark.parametrize("wire", list(FORMATS))
def test_a_url_that_is_refused_is_shown_without_its_query(wire: str, url: str) -> None:
    with pytest.raises(SettingError, match="allowed: a URL like http://host:port") as caught:
        loaded(url, wire)
    assert "s3cret" not in str(caught.value)


def test_the_query_is_in_no_repr_and_the_path_is() -> None:
    settings = loaded(URL.replace("//", "//me:pa55@"))
    handler = LogCollectorHandler(server_url=URL, wire="ndjson")
    for shown in (repr(settings), repr(handler), repr(settings.changed()), repr(vars(settings))):
        assert "http://" in shown
        assert "localhost:8123/in/?***" in shown
        assert "INSERT" not in shown
        assert "pa55" not in shown
    handler.close()


@pytest.mark.parametrize(
    ("echo", "shown"),
    [
        (URL, "http://localhost:8123/in/?***"),
        (URL.replace("{batch_id}", "7-a"), "http://localhost:8123/in/?***7-a***"),
        (unquote_plus(URL).replace("{batch_id}", "7-a"), "http://localhost:8123/in/?***7-a***"),
        (json.dumps({"url": URL}), '{"url": "http://localhost:8123/in/?***"}'),
        ("Wrong password: hunter2", "Wrong password: ***"),
        ("password=hunter2 is wrong", "password=*** is wrong"),
        # An error is of no use without the names in it.
        ("Syntax error: INSERT INTO logs2 FORMAT", "Syntax error: INSERT INTO logs2 FORMAT"),
        ("Table default.logs2 doesn't exist", "Table default.logs2 doesn't exist"),
    ],
)
def test_of_a_text_that_quotes_the_url_the_query_and_the_secrets_in_it_are_masked(echo: str, shown: str) -> None:
    assert loaded(URL).mask(echo) == shown


@pytest.mark.parametrize(
    ("query", "echo"),
    [
        # Secret by its name, however it is written, and however short.
        ("x=1&api_key=pa%2Fss%20word", "pa/ss word"),
        ("x=1&token=pa%2Fss", "token pa%2fss is wrong"),
        ("x=1&pw=x", "bad parameter pw=x"),
        # By its looks, under a name that tells nothing.
        ("x=1&code=AbCdEf0123456789%2B%3D%3D", "the code AbCdEf0123456789+== is wrong"),
        # As the client sends what people did not quote.
        ('db=a|b&x="c"', "not found: /?db=a|b&x=%22c%22"),
        # Around the id of the batch.
        ("x=1&token=s3cret-{batch_id}-s3cret2", "the token s3cret-7-s3cret2"),
    ],
)
def test_a_secret_in_the_query_is_found_however_it_is_written(query: str, echo: str) -> None:
    shown = loaded(f"http://host/?{query}").mask(echo)
    assert "***" in shown
    for part in ("pa", "ss w", "pw=x", "AbC", "a|b", "s3cret"):
        assert part not in shown.replace("parameter", "").replace("password", "")


@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), min_size=1))
def test_of_a_url_as_the_http_client_sends_it_the_whole_query_is_masked(query: str) -> None:
    settings = loaded(f"http://host/in?{query}".replace("{batch_id}", ""))
    sent = httpx.URL(settings.server_url).raw_path.decode()
    for echo in (sent, unquote(sent), unquote_plus(sent), json.dumps(sent), f"http://host{sent}"):
        assert settings.mask(f"no such place: {echo}.").endswith("/in?***" + ('".' if echo[0] == '"' else "."))


def test_words_of_a_query_that_are_no_keys_are_left_alone() -> None:
    settings = loaded("http://host/?db=logs&date_time_input_format=best_effort&query=INSERT+INTO+logs+FORMAT+Json5+x")
    for text in ("logs", "best_effort", "INSERT INTO logs FORMAT Json5 x", "database logs is missing"):
        assert settings.mask(text) == text


def test_a_proxy_has_no_query() -> None:
    with pytest.raises(SettingError, match=r"without \? and #"):
        load({"proxy": "http://host/?x=1", "wire": "ndjson"}, {})
