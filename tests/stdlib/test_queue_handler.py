"""Exceptions of records that the standard library has printed before the handler gets them, as a QueueHandler does."""

from __future__ import annotations

import logging
import queue
import sys
import traceback
from collections.abc import Callable
from logging.handlers import QueueHandler, QueueListener
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logcollector_handler.testing import CapturingHandler
from tests.entry.making import builder, raised, record, shipped
from tests.stdlib import deeds
from tests.stdlib.sending import (
    Deed,
    after,
    direct,
    logging_to,
    printed_before,
    queued,
    queued_to_a_process,
    queued_twice,
    records_of,
    sent,
)

WAYS = [queued, queued_twice, queued_to_a_process, sent, printed_before]
HEAD = "Traceback (most recent call last):"


def without_times(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "created_at"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("deed", [*deeds.EXCEPTIONS, deeds.stack_alone])
def test_a_record_arrives_as_if_it_had_not_been_printed(deed: Deed, way: Any) -> None:
    # Both are logged from the same line, which their stacks show.
    straight, around = (without_times(each(deed)) for each in (direct, lambda deed: after(deed, way)))
    stacks = [each.pop("stack_trace").partition("Stack (most recent call last):") for each in (straight, around)]
    assert around == straight
    assert stacks[0][:2] == stacks[1][:2]


def test_a_formatter_in_front_makes_the_message_and_nothing_else() -> None:
    front = logging.Formatter("%(levelname)s [%(name)s] %(message)s")
    entry = after(deeds.with_cause, lambda record: queued(record, front))
    assert (entry["message"], entry["error_type"]) == ("ERROR [shop.cart] boom", "ShopError")
    assert entry["stack_trace"] == direct(deeds.with_cause)["stack_trace"]


def test_a_formatter_of_the_handler_prints_the_message_alone() -> None:
    by = builder()
    by.use_formatter(logging.Formatter("<%(message)s>"))
    (entry,) = shipped(*records_of(deeds.with_stack, queued), by=by)
    assert entry["message"] == "<boom>"
    assert entry["stack_trace"].startswith(HEAD)


def test_a_queue_handler_that_keeps_the_exception_has_it_printed_once() -> None:
    class Keeping(QueueHandler):
        def prepare(self, record: logging.LogRecord) -> Any:
            made = super().prepare(record)
            made.exc_info = record.exc_info
            return made

    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with logging_to(Keeping(waiting)) as log:
        deeds.plain(log)
    (entry,) = shipped(waiting.get_nowait())
    assert (entry["message"], entry["error_type"]) == ("boom 1", "ValueError")
    assert entry["stack_trace"].count(HEAD) == 1


def test_a_listener_hands_records_on_with_their_exceptions() -> None:
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    handler = CapturingHandler(level="ERROR")
    listener = QueueListener(waiting, handler, respect_handler_level=True)
    listener.start()
    with logging_to(QueueHandler(waiting)) as log:
        log.info("below its level")
        deeds.plain(log)
    listener.stop()
    (entry,) = handler.entries
    assert (entry["message"], entry["error_type"], entry["user_id"]) == ("boom 1", "ValueError", "7")
    assert (entry["function_name"], entry["file_path"]) == ("fail", deeds.__file__)
    handler.close()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="dictConfig makes no listener before 3.12")
def test_the_queue_that_dict_config_makes_hands_records_on_with_their_exceptions() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "collector": {"class": "logcollector_handler.testing.CapturingHandler", "service": "shop"},
                "queue": {"class": "logging.handlers.QueueHandler", "handlers": ["collector"]},
            },
            "loggers": {"shop": {"level": "INFO", "handlers": ["queue"]}},
        }
    )
    in_front: Any = logging.getHandlerByName("queue")  # type: ignore[attr-defined]  # from 3.12 on
    handler: Any = logging.getHandlerByName("collector")  # type: ignore[attr-defined]  # from 3.12 on
    in_front.listener.start()
    deeds.plain(logging.getLogger("shop"))
    in_front.listener.stop()
    (entry,) = handler.entries
    assert (entry["message"], entry["error_type"], entry["service"]) == ("boom 1", "ValueError", "shop")
    in_front.close()
    handler.close()


# Messages that quote a trace


def trace() -> str:
    try:
        deeds.fail(KeyError("quoted"))
    except KeyError:
        return traceback.format_exc()
    raise AssertionError


QUOTING = [
    f"the child said:\n{trace()}",
    f"{trace()}",
    trace().rstrip(),
    f"look for {HEAD!r} in it",
    f"look for\n{HEAD}\nin it",
    f"look for {trace().rstrip()}",
    f"{HEAD} nothing",
    f"first\n{HEAD}\n",
    f'first\n{HEAD}\n  File "a", line 1, in f\n    and no more',
    "Stack (most recent call last):\n  nothing",
    'first\nStack (most recent call last):\n  File "a", line 1, in f\nand more',
    "\n",
    "\n\n",
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("message", QUOTING)
def test_a_message_that_quotes_a_trace_stays_whole(message: str, way: Any) -> None:
    entry = after(lambda log: log.error(message), way)
    assert entry["message"] == message
    assert "stack_trace" not in entry
    assert "error_type" not in entry


@pytest.mark.parametrize("message", [f"the child said:\n{trace()}", f"the child said:\n{trace().rstrip()}"])
def test_a_record_that_was_in_no_queue_keeps_what_it_quotes(message: str) -> None:
    def quote(log: logging.Logger) -> None:
        log.error("%s", message)

    for way in (printed_before, sent):
        entry = after(quote, way)
        assert (entry["message"], "stack_trace" in entry) == (message, False)


def quoting_and_failing(log: logging.Logger) -> None:
    quoted = trace().rstrip()
    try:
        deeds.fail(ValueError("why"))
    except ValueError:
        log.exception("the child said:\n%s\nand I failed, too", quoted)


@pytest.mark.parametrize("way", WAYS)
def test_of_a_message_that_quotes_a_trace_only_the_exception_of_the_record_is_taken_away(
    way: Callable[[logging.LogRecord], logging.LogRecord],
) -> None:
    entry = after(quoting_and_failing, way)
    assert entry["message"] == f"the child said:\n{trace().rstrip()}\nand I failed, too"
    assert (entry["error_type"], entry["stack_trace"].count(HEAD)) == ("ValueError", 1)


@settings(max_examples=60)
@given(
    message=st.text(st.sampled_from('aZ :\n"') | st.characters(exclude_categories=["Cs"]), max_size=30),
    said=st.text(st.sampled_from('aZ :\n"') | st.characters(exclude_categories=["Cs"]), max_size=30),
    way=st.sampled_from(WAYS),
)
def test_no_letter_of_message_and_exception_is_lost_on_any_way(message: str, said: str, way: Any) -> None:
    def deed(log: logging.Logger) -> None:
        try:
            deeds.fail(ValueError(said))
        except ValueError:
            log.exception(message.replace("%", "%%"))

    straight, around = direct(deed), after(deed, way)
    whole = [f"{each['message'].rstrip()}\n{each.get('stack_trace', '')}" for each in (straight, around)]
    assert "".join(whole[1].split()) == "".join(whole[0].split())
    if not said.endswith("\n"):
        assert around["stack_trace"] == straight["stack_trace"]


@settings(max_examples=60)
@given(text=st.text(st.sampled_from(' \n"') | st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_below_a_message_is_read_without_an_error(text: str) -> None:
    message = f'a\n{HEAD}\n  File "f", line 1, in f\n{text}'
    record = queued(logging.LogRecord("n", 40, "f", 1, message, (), None, "f"))
    (entry,) = shipped(record)
    parts = [entry["message"], *([entry["stack_trace"]] if "stack_trace" in entry else [])]
    assert "\n".join(parts) == message.replace("\0", "\ufffd")


def test_a_chain_of_many_exceptions_is_read_back_to_its_first() -> None:
    def deed(log: logging.Logger) -> None:
        error: BaseException = ValueError("first")
        for number in range(300):
            following = ValueError(str(number))
            following.__cause__ = raised(error)
            error = following
        log.error("boom", exc_info=raised(error))

    assert after(deed, queued)["message"] == "boom"
    assert without_times(after(deed, queued)) == without_times(direct(deed))


@pytest.mark.parametrize("args", [None, ()])
def test_what_the_record_has_besides_is_taken_from_the_message_whoever_put_it_there(args: Any) -> None:
    exception, stack = "anything\nat: all", "Stack: printed in another way"
    for message in (f"boom\n{exception}\n{stack}", f"boom\n{exception}", f"boom\n{stack}", "boom"):
        made = record(message, args=args, exc_text=exception, stack_info=stack)
        (entry,) = shipped(made)
        assert (entry["message"], entry["stack_trace"]) == ("boom", f"{exception}\n{stack}")
    (entry,) = shipped(record(f"boom\n{exception}!", args=args, exc_text=exception))
    assert (entry["message"], entry["stack_trace"]) == (f"boom\n{exception}!", exception)


@pytest.mark.parametrize(
    ("text", "error_type"),
    [
        ("ValueError: never raised", "ValueError"),
        ("shop.errors.ShopError", "ShopError"),
        ("first line\nshop.ShopError: x", "ShopError"),
        (
            "KeyError: 1\n\nThe above exception was the direct cause of the following exception:\n\nShopError: x",
            "ShopError",
        ),
        ("printed in some other way", None),
        ("\n", None),
    ],
)
def test_the_type_is_read_from_exceptions_that_were_never_raised(text: str, error_type: str | None) -> None:
    (entry,) = shipped(record(exc_text=text))
    assert (entry["stack_trace"], entry.get("error_type")) == (text, error_type)
