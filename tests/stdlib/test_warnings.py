"""`logging.captureWarnings`: a warning arrives with its text as message, at the place that it warns of."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields
from tests.entry.making import builder, record, shipped
from tests.stdlib.sending import queued, sent


@pytest.fixture
def handler() -> Iterator[CapturingHandler]:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        with capturing() as made:
            yield made
        logging.captureWarnings(False)


def only(handler: CapturingHandler) -> dict[str, Any]:
    (entry,) = handler.entries
    return entry


def old() -> None:
    warnings.warn("old() is going away", DeprecationWarning, stacklevel=2)


def test_a_warning_arrives_with_its_text_category_and_place(handler: CapturingHandler) -> None:
    old()
    entry = only(handler)
    assert (entry["level"], entry["message"]) == ("WARN", "DeprecationWarning: old() is going away")
    assert (entry["file_path"], entry["metadata"]["logger"]) == (__file__, "py.warnings")
    assert entry["metadata"]["line"] == old.__code__.co_firstlineno + 5
    assert "function_name" not in entry
    assert fields(entry) == {"category": "DeprecationWarning", "source": "old()"}


@pytest.mark.parametrize(
    "text", ["", "two\nlines", "many\n  with margins\n\nlines: 5: of\n", "a: 5: B: c", "100 %s\n", "  margin"]
)
def test_a_text_of_any_form_is_whole(text: str, handler: CapturingHandler) -> None:
    warnings.warn(text, stacklevel=1)
    entry = only(handler)
    assert entry["message"] == f"UserWarning: {text}"
    assert fields(entry) == {"category": "UserWarning", "source": "warnings.warn(text, stacklevel=1)"}


def test_a_warning_without_a_line_of_source_has_none(handler: CapturingHandler) -> None:
    warnings.warn_explicit("soon", FutureWarning, r"C:\made up.py", 12)
    entry = only(handler)
    assert (entry["message"], entry["file_path"], entry["metadata"]["line"]) == (
        "FutureWarning: soon",
        r"C:\made up.py",
        12,
    )
    assert fields(entry) == {"category": "FutureWarning"}


def test_warnings_of_different_places_do_not_mix(handler: CapturingHandler) -> None:
    for line in (1, 2, 1):
        warnings.warn_explicit("soon", FutureWarning, "a.py", line)
    assert [entry["metadata"]["line"] for entry in handler.entries] == [1, 2, 1]


def test_a_format_of_the_applications_own_stays_as_it_is(
    handler: CapturingHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warnings, "formatwarning", lambda message, *_: f"beware: {message}")
    old()
    assert only(handler)["message"] == "beware: old() is going away"
    # In between, so that the place of all warnings is known.
    monkeypatch.undo()
    old()
    assert handler.entries[1]["message"] == "DeprecationWarning: old() is going away"


def test_what_the_application_logs_to_that_logger_stays_as_it_is() -> None:
    with capturing("py.warnings") as handler:
        logging.getLogger("py.warnings").error("a.py:1: of my own", extra={"user_id": 7})
        entry = only(handler)
    assert (entry["message"], entry["user_id"], entry["file_path"]) == ("a.py:1: of my own", "7", __file__)


def test_a_broken_message_to_that_logger_arrives_with_its_arguments() -> None:
    (entry,) = shipped(record("%d of it", "x", name="py.warnings", extra={"user_id": 7}))
    assert (entry["message"], entry["user_id"], entry["metadata"]["args"]) == ("%d of it", "7", ["x"])


@pytest.mark.parametrize("way", [queued, sent])
def test_a_warning_that_comes_from_elsewhere_arrives_the_same(way: Any) -> None:
    text = warnings.formatwarning("soon", FutureWarning, "a.py", 12, "old()")
    (entry,) = shipped(way(record("%s", text, name="py.warnings")))
    assert (entry["message"], entry["file_path"], entry["metadata"]["line"]) == ("FutureWarning: soon", "a.py", 12)
    assert fields(entry) == {"category": "FutureWarning", "source": "old()"}


def test_a_formatter_prints_the_text_and_the_place_of_the_warning() -> None:
    text = warnings.formatwarning("soon", FutureWarning, "lib/a.py", 12, "old()")
    by = builder()
    by.use_formatter(logging.Formatter("%(filename)s:%(module)s:%(lineno)d %(category)s %(message)s"))
    (entry,) = shipped(record(text, name="py.warnings"), by=by)
    assert entry["message"] == "a.py:a:12 FutureWarning FutureWarning: soon"
