"""The text of an exception is what the interpreter would print, although it is made later."""

from __future__ import annotations

import linecache
import sys
import traceback
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logcollector_handler.entry.frames import _lately
from logcollector_handler.entry.traceback import Trace
from tests.entry.making import (
    BIG,
    builder,
    encode_lines,
    exc_info,
    parsed,
    record,
)
from tests.entry.raising import (
    GROUPS,
    ZOO,
    Group,
    caught,
    cause,
    context,
    needs_groups,
    note,
    plain,
    printed,
    recursion,
    rendered,
    run,
)


@pytest.mark.parametrize("animal", ZOO, ids=lambda animal: str(animal.__name__))
def test_the_text_is_what_the_interpreter_prints(animal: Callable[[], None]) -> None:
    error = caught(animal)
    assert rendered(error) == printed(error)


@needs_groups
@pytest.mark.parametrize("animal", GROUPS, ids=lambda animal: str(animal.__name__))
def test_the_text_of_a_group_is_what_the_interpreter_prints(animal: Callable[[], None]) -> None:
    error = caught(animal)
    assert rendered(error) == printed(error)


@pytest.mark.parametrize("limit", [None, 0, 1, 2, 1000, -1])
def test_sys_tracebacklimit_is_respected(limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    error = caught(context)
    monkeypatch.setattr(sys, "tracebacklimit", limit, raising=False)
    assert rendered(error) == printed(error)
    trace = Trace(error, error.__traceback__)
    assert trace.frame is not None
    assert trace.frame[0].co_name == "context"


def test_an_exception_that_was_never_raised_has_a_text_and_no_frame() -> None:
    error = ValueError("x")
    assert rendered(error) == printed(error) == "ValueError: x"
    assert Trace(error, None).frame is None


def test_a_traceback_that_names_another_line_than_its_frame_keeps_it() -> None:
    error = caught(plain)
    tb = error.__traceback__
    assert tb is not None
    for line in (7, 8):
        made = types.TracebackType(None, tb.tb_frame, -1, line)
        expected = "".join(traceback.format_exception(type(error), error, made)).removesuffix("\n")
        assert Trace(error, made).render({}) == expected


def test_source_that_only_a_loader_has_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "lib.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_module.py", "def fail():\n    raise ValueError('in a zip')\n")
    monkeypatch.syspath_prepend(str(archive))
    import zipped_module  # type: ignore[import-not-found]  # made above

    error = caught(zipped_module.fail)
    linecache.clearcache()
    text = rendered(error)
    linecache.clearcache()
    assert text == printed(error)
    assert "raise ValueError('in a zip')" in text
    linecache.clearcache()
    assert rendered(error) == text, "the stack is known, and `linecache` is not asked to remember its source"
    linecache.clearcache()


def test_a_loader_that_fails_leaves_out_the_source_and_nothing_else() -> None:
    class Loader:
        @property
        def get_source(self) -> Any:
            raise ZeroDivisionError

    error = caught(lambda: run("1 / 0", "<of a broken loader>", __loader__=Loader()))
    assert "ZeroDivisionError: division by zero" in rendered(error)
    assert '"<of a broken loader>", line 1' in rendered(error)


def test_the_source_is_read_when_the_text_is_made_and_not_before(tmp_path: Path) -> None:
    file = tmp_path / "late.py"
    file.write_text("raise ValueError('early')\n")
    error = caught(lambda: run(file.read_text(), str(file)))
    linecache.clearcache()
    trace = Trace(error, error.__traceback__)
    assert str(file) not in linecache.cache or len(linecache.cache[str(file)]) == 1
    assert "raise ValueError('early')" in trace.render({})


def test_source_that_was_edited_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "edited.py"
    file.write_text("raise ValueError('old')\n")
    error = caught(lambda: run(file.read_text(), str(file)))
    rendered(error)
    file.write_text("raise ValueError('edited')\n")
    assert "raise ValueError('edited')" in rendered(error)


def test_source_that_was_not_there_the_first_time_is_looked_for_again(tmp_path: Path) -> None:
    file = tmp_path / "written_later.py"
    error = caught(lambda: run("{}['book']", str(file)))
    assert "# here now" not in rendered(error)
    file.write_text("{}['book']  # here now\n")
    assert "# here now" in rendered(error)


def test_in_a_storm_of_errors_a_stack_is_printed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [caught(cause) for _ in range(5)]
    expected = [printed(error) for error in errors]
    calls = []
    original = traceback.StackSummary.format

    def counted(*args: Any, **more: Any) -> Any:
        calls.append(args)
        return original(*args, **more)

    monkeypatch.setattr(traceback.StackSummary, "format", counted)
    assert [rendered(error) for error in errors] == expected
    assert len(calls) <= 2  # Of the exception and of its cause.


def test_source_files_are_looked_at_once_for_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "stormy.py"
    file.write_text("raise ValueError('here')\n")
    error = caught(lambda: run(file.read_text(), str(file)))
    expected = printed(error)
    looked: list[str | None] = []
    original = linecache.checkcache

    def counted(filename: str | None = None) -> None:
        looked.append(filename)
        original(filename)

    monkeypatch.setattr(linecache, "checkcache", counted)
    by = builder()
    for _ in range(2):
        entries = [by.build(record(exc_info=exc_info(error))) for _ in range(50)]
        assert {parsed(line)["stack_trace"] for line in encode_lines(entries, BIG)} == {expected}
    assert looked.count(str(file)) == 2, "once for each of the two batches"


def test_traces_of_the_same_frames_share_a_stack_and_their_texts_differ() -> None:
    errors = [caught(plain), caught(plain)]
    errors[1].args = ("another text",)
    one, two = (Trace(error, error.__traceback__) for error in errors)
    assert one._stack is two._stack
    assert [one.render({}), two.render({})] == [printed(error) for error in errors]


def test_equal_code_in_different_files_is_printed_with_its_own_file(tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("raise ValueError('same')\n")
    errors = [caught(lambda: run("raise ValueError('same')\n", str(tmp_path / name))) for name in ("one.py", "two.py")]  # noqa: B023
    assert [name in rendered(error) for error, name in zip(errors, ("one.py", "two.py"), strict=True)] == [True, True]


def test_the_number_and_size_of_remembered_stacks_are_bounded() -> None:
    for number in range(300):
        rendered(caught(lambda: run(f"\n1 / 0  # {number}")))  # noqa: B023
    assert len(_lately) in range(252, 257), "only the oldest are forgotten for a new one"
    rendered(caught(recursion))
    rendered(caught(lambda: run(f"x = {'1' * 70_000!r}; 1 / 0", str(Path(__file__)))))
    assert max(stack.count for stack in _lately.values()) <= 200
    assert max(len(stack._latest[0]) for stack in _lately.values()) <= 32 * 1024


# In an entry


def test_an_exception_ships_with_type_stack_and_the_place_that_raised() -> None:
    error = caught(plain)
    [line] = encode_lines([builder().build(record(exc_info=exc_info(error)))], BIG)
    entry = parsed(line)
    assert entry["stack_trace"] == printed(error)
    assert entry["error_type"] == "ValueError"
    assert entry["function_name"] == "plain"
    assert entry["file_path"] == plain.__code__.co_filename
    assert entry["metadata"]["line"] == plain.__code__.co_firstlineno + 1


def test_a_traceback_that_cannot_be_printed_leaves_other_entries_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    by = builder()
    entries = [by.build(record("one", exc_info=exc_info(caught(plain)))), by.build(record("two"))]

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(linecache, "checkcache", fail)
    one, two = map(parsed, encode_lines(entries, BIG))
    assert one["message"] == "one"
    assert one["stack_trace"].startswith("ValueError")
    assert two["message"] == "two"


# Any exception


texts = st.text(max_size=20)
kinds = st.sampled_from([ValueError, KeyError, OSError, AttributeError, NameError, ImportError, RuntimeError])


def build_error(draw: st.DrawFn, depth: int) -> BaseException:
    error: BaseException = draw(kinds)(*draw(st.lists(texts | st.integers(), max_size=2)))
    if Group is not None and depth and draw(st.booleans()):
        members = [build_error(draw, depth - 1) for _ in range(draw(st.integers(1, 3)))]
        error = Group(draw(texts), members)
    if draw(st.booleans()):
        note(error, draw(st.lists(texts, max_size=3)))
    if draw(st.booleans()):
        error = caught(lambda: deeper(draw(st.integers(0, 8)), error))
    if depth and draw(st.booleans()):
        error.__context__ = build_error(draw, depth - 1)
    if depth and draw(st.booleans()):
        error.__cause__ = build_error(draw, depth - 1)
    if draw(st.integers(0, 5)) == 0:
        error.__suppress_context__ = draw(st.booleans())
    if error.__cause__ is not None and draw(st.integers(0, 9)) == 0:
        error.__cause__.__cause__ = error
    return error


def deeper(n: int, error: BaseException) -> None:
    if n:
        deeper(n - 1, error)
    raise error


@st.composite
def built_errors(draw: st.DrawFn) -> BaseException:
    return build_error(draw, 3)


@settings(max_examples=80)
@given(built_errors())
def test_the_text_of_any_exception_is_what_the_interpreter_prints(error: BaseException) -> None:
    assert rendered(error) == printed(error)
