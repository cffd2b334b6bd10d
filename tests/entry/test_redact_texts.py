"""Secrets in texts of many names and values: URLs, queries, bodies, and what `repr` prints of objects."""

from __future__ import annotations

import types
from pathlib import PurePosixPath
from typing import Any

import django
import pytest
from django.conf import settings as django_settings
from django.test import RequestFactory
from hypothesis import example, given, settings
from hypothesis import strategies as st

from logcollector_handler import log_context
from logcollector_handler.context import current_fields
from logcollector_handler.entry.marks import uncut
from logcollector_handler.entry.model import TEXT_LIMITS, LogEntry
from logcollector_handler.entry.redact import DEFAULT_REDACT, MASK, Redactor
from tests.entry.making import builder, metadata, record, ship, shipped

usual = Redactor(DEFAULT_REDACT)

#: Each text, and what is shown of it.
TEXTS = {
    "/reset?user=5&token=hunter2": "/reset?user=5&token=***",
    "/reset?token=hunter2&user=5#top": "/reset?token=***&user=5#top",
    "?access_token=hunter2": "?access_token=***",
    "token=hunter2&user=5": "token=***&user=5",
    "/a?user[password]=hunter2&b=1": "/a?user[password]=***&b=1",
    "/a?X-Amz-Security-Token=hunter2&X-Amz-Signature=hunter2&X-Amz-Date=5": (
        "/a?X-Amz-Security-Token=***&X-Amz-Signature=hunter2&X-Amz-Date=5"
    ),
    "/a?sv=5&sig=hunter2%3D&key=hunter2": "/a?sv=5&sig=***&key=***",
    "/callback?code=hunter2&state=5&country_code=NO": "/callback?code=***&state=5&country_code=NO",
    "code=hunter2&state=5": "code=***&state=5",
    "/a?access%5Ftoken=hunter2": "/a?access%5Ftoken=***",
    "/login?next=/a%3Ftoken%3Dhunter2%26b%3D1&c=2": "/login?next=/a%3Ftoken%3D***%26b%3D1&c=2",
    "/a;jsessionid=hunter2": "/a;jsessionid=***",
    "https://shop:hunter2@db.example/a": "https://shop:***@db.example/a",
    "postgres://shop:hunter2@db/shop?sslmode=require": "postgres://shop:***@db/shop?sslmode=require",
    "redis://:hunt/er2@db:6379/0": "redis://:***@db:6379/0",
    "mongodb://u:hunter@2@db/x": "mongodb://u:***@db/x",
    "https://hunter2@git.example/a.git": "https://***@git.example/a.git",
    "ssh://git@git.example/a.git": "ssh://git@git.example/a.git",
    "http://[::1]:8000/a@b": "http://[::1]:8000/a@b",
    "http://host:80/?mail=a@b.example": "http://host:80/?mail=a@b.example",
    "host=db user=shop password=hunter2 port=5": "host=db user=shop password=*** port=5",
    "Server=db;Password=hunter2;Port=5": "Server=db;Password=***;Port=5",
    "AccountName=a;AccountKey=hunter2==;Suffix=b": "AccountName=a;AccountKey=***;Suffix=b",
    "psql --password=hunter2 -h db": "psql --password=*** -h db",
    "psql --password hunter2 --max-tokens 5 --token": "psql --password *** --max-tokens 5 --token",
    "psql --password 'hunter2 and' -h db": "psql --password *** -h db",
    '{"a": "{\\"password\\": \\"hunter2\\", \\"b\\": 5}"}': '{"a": "{\\"password\\": \\"***\\", \\"b\\": 5}"}',
    '"{\\\\\\"password\\\\\\":\\\\\\"hunter2\\\\\\"}"': '"{\\\\\\"password\\\\\\":\\\\\\"***\\\\\\"}"',
    '{"user": "u", "password": "hunt\\"er2", "age": 5}': '{"user": "u", "password": "***", "age": 5}',
    '{"pin": 1234, "age": 5}': '{"pin": ***, "age": 5}',
    '{"tokens": 5, "auth": {"user": "u", "key": "hunter2"}}': '{"tokens": 5, "auth": ***}',
    "Login(user='u', password='hunter2')": "Login(user='u', password='***')",
    "Login(password=b'hunter2', user='u')": "Login(password='***', user='u')",
    "Login(token=hunter2)": "Login(token=***)",
    "{'a': Login(secret=Inner(x='hunter2', y=1))}": "{'a': Login(secret=***)}",
    "<Headers [('Host', 'x'), ('Authorization', 'Bearer hunter2')]>": (
        "<Headers [('Host', 'x'), ('Authorization', '***')]>"
    ),
    "(b'cookie', b'hunter2')": "(b'cookie', '***')",
    "Host: x\r\nAuthorization: Digest a, hunter2\r\nAccept: y": "Host: x\r\nAuthorization: ***\r\nAccept: y",
    "Authorization=Bearer hunter2": "Authorization=***",
    "password='hunter2 that was cut": "password='***'",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_secret_in_a_text_is_masked_and_nothing_else(text: str) -> None:
    assert usual.masked(text) == TEXTS[text]
    assert usual.masked(usual.masked(text)) == usual.masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/orders/7?page=2&sort=key&max_tokens=5&author=me",
        "the password is secret, they say",
        "token=",
        "12:30:45",
        "primary_key=5",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert usual.masked(text) == text
    assert Redactor([]).masked("?token=hunter2") == "?token=hunter2"


def test_own_names_are_masked_in_texts_too() -> None:
    own = Redactor(["pin"])
    assert own.masked("/a?card_pin=1&token=2&key=3") == "/a?card_pin=***&token=2&key=3"
    assert own.masked("https://u:p@host") == "https://u:p@host"


URL = "/reset?user=5&token=hunter2"
SHOWN = "/reset?user=5&token=***"


@pytest.mark.parametrize(
    "name", ["url", "http.url", "full_url", "request_uri", "QUERY_STRING", "request", "requestLine", "referer", "urls"]
)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (URL, SHOWN),
        (URL.encode(), SHOWN),
        (PurePosixPath(URL), SHOWN),
        ([URL, 5], [SHOWN, 5]),
        ({"raw": URL}, {"raw": SHOWN}),
    ],
)
def test_a_field_that_can_hold_a_url_is_masked_in_part_at_any_depth(name: str, value: Any, expected: Any) -> None:
    assert metadata(**{name: value}) == {name: expected}
    assert metadata(deep=[{name: value}, (name, value)])["deep"] == [{name: expected}, [name, expected]]
    assert ship({"event": "e", name: value})["metadata"][name] == expected
    with log_context(**{name: value}):
        [entry] = shipped(record(), by=builder(bound=current_fields))
    assert entry["metadata"][name] == expected


def test_a_url_without_secrets_is_not_encoded_in_the_logging_call() -> None:
    for extra in ({"url": "https://h/a?b=1"}, {"path": "/a?b=1"}):
        entry = builder().build(record(extra=extra))
        assert isinstance(entry, LogEntry)
        assert type(entry.metadata) is dict
    # What must be cut or cleaned still is.
    long = "https://h/" + "a" * 3000
    assert len(shipped(record(extra={"url": long}), by=builder(max_record_bytes=2048))[0]["metadata"]["url"]) < 2048
    assert metadata(url="https://h/\ud800") == {"url": "https://h/\ufffd"}


@pytest.mark.parametrize("value", [URL, PurePosixPath(URL)])
def test_the_column_path_is_masked_in_part(value: Any) -> None:
    assert ship(extra={"path": value})["path"] == SHOWN
    with log_context(path=value):
        [entry] = shipped(record(), by=builder(bound=current_fields))
    assert entry["path"] == SHOWN


def test_a_path_that_grows_by_its_mask_still_fits_the_column() -> None:
    path = "/" + "a" * (TEXT_LIMITS["path"] - len("/?pin=1")) + "?pin=1"
    assert len(path) == TEXT_LIMITS["path"]
    for given_by in ("call", "context"):
        with log_context(**({} if given_by == "call" else {"path": path})):
            made = record(extra={"path": path} if given_by == "call" else None)
            [entry] = shipped(made, by=builder(bound=current_fields))
        assert entry["path"] == (path[:-1] + MASK)[: TEXT_LIMITS["path"]]


def test_a_path_that_is_too_long_is_masked_in_metadata_as_well() -> None:
    path = "/" + "a" * 600 + "?token=hunter2"
    for by_context in (False, True):
        with log_context(**({"path": path} if by_context else {})):
            [entry] = shipped(record(extra=None if by_context else {"path": path}), by=builder(bound=current_fields))
        assert "hunter2" not in str(entry)
        assert entry["metadata"]["path"].endswith("?token=***")


def test_the_request_of_django_is_shown_without_its_tokens() -> None:
    if not django_settings.configured:
        django_settings.configure(ALLOWED_HOSTS=["*"])
        django.setup()
    request = RequestFactory().get("/reset", {"user": "5", "token": "hunter2"}, headers={"authorization": "hunter2"})
    for extra in ({"request": request}, {"made": [request]}, {"value": types.SimpleNamespace(of=request)}):
        shown = str(metadata(**extra))
        assert "/reset" in shown
        assert "hunter2" not in shown
    with log_context(made=request):
        [entry] = shipped(record(), by=builder(bound=current_fields))
    assert entry["metadata"]["made"]["path"] == "/reset"


class Printing:
    def __init__(self, user: str, password: str) -> None:
        self.user, self.password = user, password

    def __repr__(self) -> str:
        return f"Printing(user={self.user!r}, password={self.password!r})"


def test_what_an_object_prints_of_itself_is_masked() -> None:
    shown = "Printing(user='u', password='***')"
    assert metadata(who=Printing("u", "hunter2"), all=[Printing("u", "hunter2")]) == {"who": shown, "all": [shown]}
    with log_context(who=Printing("u", "hunter2")):
        [entry] = shipped(record(), by=builder(bound=current_fields))
        assert entry["metadata"]["who"] == shown
        [entry] = shipped(record(), by=builder(bound=current_fields, redact=["user"]))
        assert entry["metadata"]["who"] == "Printing(user='***', password='hunter2')"


@given(st.text(alphabet="aé?&=:;%3D26/@'\"()[]{}, \\tokenpwd\n", max_size=80))
@example("pw:[]2")
@example("token=()2")
@settings(max_examples=300)
def test_a_secret_behind_any_text_is_found_and_masking_twice_changes_nothing(before: str) -> None:
    once = usual.masked(before)
    assert usual.masked(once) == once
    assert "hunter2" not in usual.masked(f"{before}&token=hunter2&")


HOSTILE = [
    "=",
    "a=",
    "token=",
    "://a:b",
    "://a:b@",
    "token='",
    '"token":',
    "%3D",
    "aaaa",
    "token ",
    "(",
    "'token', '",
    "://",
]
HOSTILE += ["token=[", "token=a(", "a.%3Dtoken%3D", "--token ", "-- ", '\\"token\\":\\"', "\\", "token: "]


@pytest.mark.parametrize("part", HOSTILE)
def test_no_part_of_a_text_is_read_twice(part: str) -> None:
    # Time is not measured: steps that grow with the square of the length would take minutes here.
    for text in (part * (50_000 // len(part)), "@--" + part * (50_000 // len(part)) + "!"):
        assert usual.masked(text)


@pytest.mark.parametrize("given", ["call", "subclass of str", "bound"])
@pytest.mark.parametrize(("name", "max_bytes"), [("path", 4096), ("url", 1024), ("dsn", 1024)])
def test_a_password_in_a_url_is_masked_before_the_url_is_cut(name: str, max_bytes: int, given: str) -> None:
    url = f"https://user:{'hunter2' * 300}@git.example/{'long/' * 200}"
    value = type("Text", (str,), {})(url) if given == "subclass of str" else url
    with log_context(**({name: value} if given == "bound" else {})):
        made = record(extra=None if given == "bound" else {name: value})
        line = shipped(made, by=builder(bound=current_fields, max_record_bytes=max_bytes))
    assert "https://user:***@git.example/long/" in str(line)
    assert "hunter2" not in str(line)


def test_the_mark_of_a_url_that_is_cut_counts_what_was_not_looked_at_for_secrets() -> None:
    url = f"https://user:hunter2@git.example/{'x' * 1_000_000}"
    text = shipped(record(extra={"url": url}), by=builder(max_record_bytes=2048))[0]["metadata"]["url"]
    assert text.startswith("https://user:***@git.example/xxx")
    whole, missing, _ = uncut(text)
    assert len(whole) + missing == len(url) - len("hunter2") + len(MASK)


def test_no_more_of_a_long_text_is_looked_at_for_secrets_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[int] = []
    masked = Redactor.masked

    def counted(self: Redactor, text: str) -> str:
        looked_at.append(len(text))
        return masked(self, text)

    monkeypatch.setattr(Redactor, "masked", counted)
    text = "/?" + "a=b&" * 50_000
    fields = {"path": text, **{f"url {number}": text for number in range(10)}}
    builder(max_record_bytes=20_000).build(record(extra=fields))
    assert sum(looked_at) < 200_000
