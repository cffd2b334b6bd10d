"""One failure is one ERROR: of the records that tell it again, those of frameworks and ours are shipped at INFO."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator

import pytest

from logcollector_handler import bind_context, log_context
from logcollector_handler.context import clear_context, new_request, with_fields
from logcollector_handler.entry import frameworks
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing

OURS = "logcollector.access"


@pytest.fixture
def captured() -> Iterator[CapturingHandler]:
    with capturing() as handler:
        yield handler
    clear_context()


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frameworks, "_told", {})


def raised(kind: type[Exception] = ValueError) -> Exception:
    try:
        raise kind("bad")
    except Exception as error:  # noqa: BLE001 - of any class
        return error


def tell(name: str, error: Exception | None = None, level: int = logging.ERROR, text: str = "failed") -> None:
    logging.getLogger(name).log(level, text, exc_info=error)


def levels(captured: CapturingHandler) -> list[str]:
    return [entry["level"] for entry in captured.entries]


@pytest.mark.parametrize("kind", [ValueError, type("OwnError", (Exception,), {})])
@pytest.mark.parametrize("first", ["shop", "flask_app", "django.request"])
def test_the_first_record_with_the_exception_is_the_error_and_others_tell_it_again(
    captured: CapturingHandler, kind: type[Exception], first: str
) -> None:
    error = raised(kind)
    with with_fields(new_request(path="/").bound()):
        tell(first, error)
        tell(OURS, error)
    tell("uvicorn.error", error)
    assert levels(captured) == ["ERROR", "INFO", "INFO"]
    # They are the same but for that.
    assert all(entry["stack_trace"].endswith("Error: bad") for entry in captured.entries)


def test_an_exception_that_only_frameworks_log_is_one_error_outside_of_requests_too(captured: CapturingHandler) -> None:
    error = raised()
    names = sorted(frameworks._ENDS)
    for name in names:
        tell(name, error, logging.CRITICAL)
    assert levels(captured) == ["FATAL", *["INFO"] * (len(names) - 1)]


def test_an_exception_that_is_logged_as_text_is_recognised_where_it_is_handled(captured: CapturingHandler) -> None:
    """As structlog's `format_exc_info` does it."""
    with with_fields(new_request(path="/").bound()):
        try:
            raise ValueError("bad")
        except ValueError as error:
            text = "Traceback (most recent call last):\nValueError: bad"
            logging.getLogger("shop").error({"event": "failed", "exception": text})
            tell(OURS, error)
        tell(OURS, raised())
    assert captured.entries[0]["error_type"] == "ValueError"
    assert levels(captured) == ["ERROR", "INFO", "ERROR"]


def test_records_of_the_application_keep_their_level(captured: CapturingHandler) -> None:
    error = raised()
    with with_fields(new_request(path="/").bound()):
        for name in (OURS, "shop", "shop.orders", "uvicorn"):
            tell(name, error)
    assert levels(captured) == ["ERROR"] * 4


def test_below_error_nothing_counts_and_nothing_changes(captured: CapturingHandler) -> None:
    error = raised()
    with with_fields(new_request(path="/").bound()):
        tell("shop", error, logging.WARNING)
        tell(OURS, error)
        tell(OURS, error, logging.WARNING)
    assert levels(captured) == ["WARN", "ERROR", "WARN"]


def test_another_exception_is_another_failure(captured: CapturingHandler) -> None:
    with with_fields(new_request(path="/").bound()):
        for _ in range(3):
            tell(OURS, raised())
    assert levels(captured) == ["ERROR"] * 3


def test_a_record_of_the_end_without_an_exception_tells_again_what_was_logged_in_its_request(
    captured: CapturingHandler,
) -> None:
    with with_fields(new_request(path="/").bound()):
        bind_context(user_id=7)
        with log_context(step=1):
            tell("flask_app", raised())
        tell(OURS)
    with with_fields(new_request(path="/").bound()):
        tell("shop")
        tell(OURS)
        tell("django.request")
    assert levels(captured) == ["ERROR", "INFO", "ERROR", "ERROR", "INFO"]


@pytest.mark.parametrize("name", sorted(frameworks._ENDS - frameworks._ANSWERS))
def test_what_an_application_logs_to_the_logger_of_its_server_keeps_its_level(
    captured: CapturingHandler, name: str
) -> None:
    """As many do to `uvicorn.error`."""
    with with_fields(new_request(path="/").bound()):
        tell(name, text="no stock")
        tell(name, raised(), text="no payment")
        tell(name, text="no refund")
    with with_fields(new_request(path="/").bound()):
        tell(name, text="no stock")
        tell(OURS)
    assert levels(captured) == ["ERROR"] * 5


def test_two_handlers_ship_a_record_at_the_same_level(captured: CapturingHandler) -> None:
    error = raised()
    with capturing() as second, with_fields(new_request(path="/").bound()):
        for name in ("django.request", OURS):
            tell(name, error)
        tell(OURS)
    with capturing() as third, with_fields(new_request(path="/").bound()):
        tell(OURS)
    assert levels(captured)[:3] == levels(second) == ["ERROR", "INFO", "INFO"]
    assert levels(captured)[3:] == levels(third) == ["ERROR"]


def test_an_error_that_went_to_another_handler_alone_does_not_change_the_level(captured: CapturingHandler) -> None:
    """As when the first one has another `server_url`."""
    error = raised()
    logging.getLogger("audit").propagate = False
    try:
        with capturing("audit") as audit, with_fields(new_request(path="/").bound()):
            tell("audit", error)
            tell(OURS, error)
        with capturing("audit") as second, with_fields(new_request(path="/").bound()):
            tell("audit", raised())
            tell(OURS)
    finally:
        logging.getLogger("audit").propagate = True
    assert (levels(audit), levels(second), levels(captured)) == (["ERROR"], ["ERROR"], ["ERROR", "ERROR"])


def test_text_that_an_integration_tells_with_the_exception_is_no_second_error(captured: CapturingHandler) -> None:
    tell("rq.worker", text="exception raised")
    frameworks.told_by_us(logging.getLogger("logcollector.job"), "rq.worker", "exception", "other")
    tell("rq.worker", text="exception raised")
    tell("rq.worker", text="redis is away")
    tell("uvicorn.error", text="exception raised")
    assert levels(captured) == ["ERROR", "INFO", "ERROR", "ERROR"]


def test_text_of_a_framework_is_an_error_where_the_logger_of_the_integration_is_silent(
    captured: CapturingHandler,
) -> None:
    """A `dictConfig` disables the loggers that were there before it."""
    ours = logging.getLogger("logcollector.job")
    frameworks.told_by_us(ours, "rq.worker", "exception")
    ours.disabled = True
    try:
        tell("rq.worker", text="exception raised")
    finally:
        ours.disabled = False
    tell("rq.worker", text="exception raised")
    assert levels(captured) == ["ERROR", "INFO"]


@pytest.mark.parametrize("kind", [ValueError, type("OwnError", (Exception,), {})])
def test_no_frame_is_kept_of_what_was_recognised(captured: CapturingHandler, kind: type[Exception]) -> None:
    class Local:
        pass

    references: list[weakref.ref[Local]] = []

    def fail() -> None:
        local = Local()
        references.append(weakref.ref(local))
        raise kind

    request = new_request(path="/")
    try:
        fail()
    except kind as error:
        with with_fields(request.bound()):
            for name in ("shop", OURS):
                # To this handler alone: pytest keeps the records that it gets.
                exc_info = (kind, error, error.__traceback__)
                captured.handle(logging.LogRecord(name, logging.ERROR, "f.py", 1, "failed", None, exc_info))
            del exc_info
    gc.collect()
    assert (levels(captured), references[0](), len(request.failures)) == (["ERROR", "INFO"], None, 1)


def test_the_level_of_the_record_itself_stays_for_other_handlers(captured: CapturingHandler) -> None:
    seen: list[int] = []
    other = logging.Handler()
    other.emit = lambda record: seen.append(record.levelno)  # type: ignore[method-assign]
    logging.getLogger().addHandler(other)
    try:
        error = raised()
        tell("uvicorn.error", error)
        tell("gunicorn.error", error)
    finally:
        logging.getLogger().removeHandler(other)
    assert (levels(captured), seen) == (["ERROR", "INFO"], [logging.ERROR] * 2)
