"""The text of an exception is the interpreter's, made later; what was raised is not kept alive for it."""

from __future__ import annotations

import builtins
import gc
import linecache
import sys
import textwrap
import traceback
import types
import weakref
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logcollector_handler.entry.traceback import MAX_EXCEPTIONS, MAX_FRAMES, Trace, _lately
from tests.entry.making import BIG, builder, encode_lines, exc_info, parsed, raised, record

Group: Any = getattr(builtins, "ExceptionGroup", None)
needs_groups = pytest.mark.skipif(Group is None, reason="groups came with Python 3.11")
needs_notes = pytest.mark.skipif(sys.version_info < (3, 11), reason="notes came with Python 3.11")


def printed(error: BaseException) -> str:
    """What the interpreter prints."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).removesuffix("\n")


def rendered(error: BaseException) -> str:
    return Trace(error, error.__traceback__).render()


def note(error: BaseException, notes: object) -> None:
    error.__dict__["__notes__"] = notes


def caught(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error
    raise AssertionError("it did not raise")


def run(source: str, name: str = "<made>", **given: Any) -> Any:
    module: dict[str, Any] = {"__name__": "made", **given}
    exec(compile(textwrap.dedent(source), name, "exec"), module)  # the exceptions of such code are the point
    return module


# The zoo: each raises.


def plain() -> None:
    raise ValueError("no such thing\nin two lines")


def cause() -> None:
    try:
        plain()
    except ValueError as error:
        raise RuntimeError("so it failed") from error


def context() -> None:
    try:
        cause()
    except RuntimeError:
        int("x")


def suppressed() -> None:
    try:
        plain()
    except ValueError:
        raise KeyError("only this") from None


def cycle_of_causes() -> None:
    first, second = raised(ValueError("first")), raised(ValueError("second"))
    first.__cause__, second.__cause__ = second, first
    raise first


def cycle_of_contexts() -> None:
    first, second = raised(ValueError("first")), raised(ValueError("second"))
    first.__context__, second.__context__ = second, first
    raise second


def recursion() -> None:
    def again(n: int) -> int:
        return again(n + 1) + 1

    again(0)


def mutual_recursion() -> None:
    def one(n: int) -> int:
        if n > 30:
            raise ValueError(n)
        return two(n + 1)

    def two(n: int) -> int:
        return one(n + 1)

    one(0)


def syntax() -> None:
    compile("x = (1 +\n  *", "config.py", "exec")


def syntax_without_text() -> None:
    raise SyntaxError("bad")


def syntax_beyond_its_line() -> None:
    raise SyntaxError("bad", ("f.py", 3, 40, "short\n", 3, 50))


def indentation() -> None:
    compile("if x:\n  a\n b", "config.py", "exec")


def name() -> None:
    lenght = 3  # noqa: F841 - for the interpreter to suggest
    print(length)  # type: ignore[name-defined]  # noqa: F821 - on purpose


def module_not_imported() -> None:
    run("sys.exit()")


def attribute() -> None:
    [].apend(1)  # type: ignore[attr-defined]  # on purpose


def import_of_a_name() -> None:
    from collections import OrderedDic  # type: ignore[attr-defined]  # noqa: F401 - on purpose


def str_raises() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    raise MuteError


def falsy() -> None:
    class EmptyError(Exception):
        def __len__(self) -> int:
            return 0

    raise EmptyError("nothing in it") from ValueError("cause")


def of_a_module() -> None:
    run("class Broken(Exception): pass\nraise Broken('x')")


def module_that_is_no_text() -> None:
    class OddError(Exception):
        pass

    OddError.__module__ = 3  # type: ignore[assignment]  # on purpose
    raise OddError("x")


def many_lines() -> None:
    values = {"a": [1, 2]}
    print(
        values["a"][0]
        + values["a"][1]
        + values[
            "missing"
        ][0],
    )  # fmt: skip


def wide_letters() -> None:
    grüße = {"ä": "€𝄞"}; print(grüße["ä"] + "€𝄞" + grüße["ö"])  # fmt: skip  # noqa: E702 - columns in bytes


def no_source() -> None:
    run("def f():\n    return 1 / 0\nf()", "<nowhere>")


def no_end_of_causes() -> None:
    error: BaseException = ValueError("the first")
    for number in range(1000):
        try:
            raise ValueError(number) from error
        except ValueError as next_error:
            error = next_error
    raise error


def exits() -> None:
    sys.exit(3)


def interrupted() -> None:
    raise KeyboardInterrupt


def in_a_generator() -> None:
    def numbers() -> Any:
        yield 1
        raise StopIteration

    list(numbers())


def in_a_comprehension() -> None:
    [1 / n for n in (1, 0)]


def with_notes() -> None:
    error = ValueError("noted")
    note(error, ["one\ntwo", 3, "", object])
    raise error


def with_odd_notes() -> None:
    error = ValueError("noted")
    note(error, {"not": "a list"})
    raise error


def with_a_text_as_notes() -> None:
    error = ValueError("noted")
    note(error, "abc")
    raise error


def with_notes_that_cannot_be_said() -> None:
    class Mute:
        def __repr__(self) -> str:
            raise ZeroDivisionError

    error = ValueError("noted")
    note(error, [Mute(), "good"])
    try:
        raise error
    except ValueError:
        other = ValueError("also")
        note(other, Mute())
        raise other  # noqa: B904 - the context is wanted


def group() -> None:
    try:
        plain()
    except ValueError as error:
        inner = Group("inner", [error, raised(KeyError("k"))])
        inner.add_note("of the inner")
        raise Group("outer\nin two lines", [raised(inner), caught(cause), caught(syntax)]) from error


def wide_group() -> None:
    raise Group("wide", [ValueError(n) for n in range(40)])


def deep_group() -> None:
    error: Exception = ValueError("bottom")
    for number in range(30):
        error = Group(str(number), [error])
    raise error


ZOO = [plain, cause, context, suppressed, cycle_of_causes, cycle_of_contexts, recursion, mutual_recursion, syntax]
ZOO += [syntax_without_text, syntax_beyond_its_line, indentation, name, module_not_imported, attribute]
ZOO += [import_of_a_name, str_raises, falsy, of_a_module, module_that_is_no_text, many_lines, wide_letters, no_source]
ZOO += [no_end_of_causes, exits, interrupted, in_a_generator, in_a_comprehension]
ZOO += [with_notes, with_odd_notes, with_a_text_as_notes, with_notes_that_cannot_be_said]
GROUPS = [group, wide_group, deep_group]


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
def test_the_limit_of_tracebacks_counts(limit: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_traceback_with_a_line_of_its_own_keeps_it() -> None:
    error = caught(plain)
    tb = error.__traceback__
    assert tb is not None
    made = types.TracebackType(None, tb.tb_frame, -1, 7)
    expected = "".join(traceback.format_exception(type(error), error, made)).removesuffix("\n")
    assert Trace(error, made).render() == expected


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


def test_a_loader_that_fails_costs_the_source_and_no_more() -> None:
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
    assert "raise ValueError('early')" in trace.render()


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


def test_stacks_of_like_code_in_different_files_are_told_apart(tmp_path: Path) -> None:
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text("raise ValueError('same')\n")
    errors = [caught(lambda: run("raise ValueError('same')\n", str(tmp_path / name))) for name in ("one.py", "two.py")]  # noqa: B023
    assert [name in rendered(error) for error, name in zip(errors, ("one.py", "two.py"), strict=True)] == [True, True]


def test_printed_stacks_are_not_remembered_for_ever() -> None:
    for number in range(300):
        rendered(caught(lambda: run(f"\n1 / 0  # {number}")))  # noqa: B023
    assert len(_lately) <= 64
    rendered(caught(recursion))
    rendered(caught(lambda: run(f"x = {'1' * 70_000!r}; 1 / 0", str(Path(__file__)))))
    assert max(len(frames) for frames, _, _ in _lately.values()) <= 200


# Snapshots


@needs_notes
def test_notes_of_later_are_not_in_the_text() -> None:
    error = raised(ValueError("x"))
    mutable = ["said"]
    notes = ["first", mutable]
    note(error, notes)
    expected = printed(error)
    trace = Trace(error, error.__traceback__)
    notes.append("later")
    mutable.append("changed")
    assert trace.render() == expected


def test_text_and_causes_of_later_are_not_in_the_text() -> None:
    error = raised(ValueError("x"))
    expected = printed(error)
    trace = Trace(error, error.__traceback__)
    error.args = ("y",)
    error.__cause__ = KeyError("later")
    assert trace.render() == expected


# Classes that are broken


def a_property_that_raises(name: str) -> BaseException:
    def fail(self: object) -> Any:
        raise ZeroDivisionError

    return raised(type("TrickyError", (Exception,), {name: property(fail)})("the text"))


@pytest.mark.parametrize("name", ["__cause__", "__context__", "__suppress_context__", "__notes__"])
def test_an_exception_with_a_property_that_raises_still_has_its_stack_and_type(name: str) -> None:
    error = a_property_that_raises(name)
    trace = Trace(error, error.__traceback__)
    text = trace.render()
    assert trace.error_type == "TrickyError"
    assert text.startswith("Traceback (most recent call last):\n")
    assert "raise error" in text
    assert "TrickyError: the text" in text


@needs_groups
def test_a_group_whose_exceptions_cannot_be_read_still_has_its_stack_and_type() -> None:
    class TrickyGroup(Group):  # type: ignore[misc]  # of any
        @property
        def exceptions(self) -> Any:
            raise ZeroDivisionError

    text = rendered(raised(TrickyGroup("g", [ValueError("x")])))
    assert "TrickyGroup: g" in text
    assert "raise error" in text
    assert "could not be read: ZeroDivisionError" in text


@pytest.mark.parametrize(
    "args",
    [("m", ("f.py", 1, 10**9, "x", 1, 10**9 + 5)), (object(),), ("m", ("f.py", 1, 1, ["a"], 1, 1))],
    ids=["place", "message", "text"],
)
def test_a_syntax_error_of_odd_parts_is_printed_bounded_and_keeps_none_of_them(args: tuple[Any, ...]) -> None:
    error = raised(SyntaxError(*args))
    text = rendered(error)
    assert len(text) < 2000
    assert "SyntaxError: " in text
    assert "raise error" in text


# Bounds


def test_of_very_many_causes_none_is_captured() -> None:
    error: BaseException = ValueError("the first")
    for number in range(MAX_EXCEPTIONS + 10):
        next_error = ValueError(number)
        next_error.__cause__ = error
        error = next_error
    text = rendered(raised(error))
    assert text.startswith("Traceback (most recent call last):\n")
    assert f"[more than {MAX_EXCEPTIONS} exceptions that led to it were left out]" in text
    assert "the first" not in text


@needs_groups
def test_a_group_that_holds_another_many_times_over_is_bounded() -> None:
    error: Exception = ValueError("bottom")
    for number in range(60):
        error = Group(str(number), [error, error])
    assert "were left out]" in rendered(error)


def test_of_very_many_frames_the_first_and_the_last_are_printed() -> None:
    error = caught(plain)
    tb = error.__traceback__
    assert tb is not None
    last = tb
    while last.tb_next is not None:
        last = last.tb_next
    long = types.TracebackType(None, last.tb_frame, last.tb_lasti, last.tb_lineno)
    for _ in range(MAX_FRAMES * 3):
        long = types.TracebackType(long, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    trace = Trace(error, long)
    assert trace.frame is not None
    assert trace.frame[0].co_name == "plain"
    text = trace.render()
    assert f"[{MAX_FRAMES * 2} frames before the last were left out]" in text
    assert f"[Previous line repeated {MAX_FRAMES - 3} more times]" in text
    assert "in plain" in text


# What is kept alive


class Thing:
    """What a frame holds."""


class HeldError(Exception):
    """One that can be referred to weakly."""


def logged(make: Callable[[BaseException], object], notes: bool = False) -> tuple[object, list[weakref.ref[Any]]]:
    """What is made of an exception with a cause, and what must be gone when nothing else holds that."""
    thing = Thing()
    refs: list[weakref.ref[Any]] = [weakref.ref(thing)]
    try:
        try:
            raise HeldError("inner")
        except HeldError as inner:
            refs.append(weakref.ref(inner))
            raise HeldError("outer") from inner
    except HeldError as error:
        refs.append(weakref.ref(error))
        if notes:
            note(error, [error])
        return make(error), refs


def built(error: BaseException) -> object:
    return builder().build(record(exc_info=exc_info(error)))


def test_no_frame_or_exception_lives_on_and_the_garbage_collector_is_not_needed_for_that() -> None:
    gc.collect()
    gc.disable()
    try:
        entry, refs = logged(built)
        alive = [ref() for ref in refs if ref() is not None]
    finally:
        gc.enable()
    assert entry is not None
    assert alive == []


def test_not_even_an_exception_that_is_its_own_note_lives_on() -> None:
    entry, refs = logged(built, notes=True)
    gc.collect()
    assert entry is not None
    assert [ref() for ref in refs if ref() is not None] == []


def test_no_broken_exception_lives_on() -> None:
    class TrickyError(Exception):
        def __str__(self) -> str:
            raise ValueError(self)

        __cause__ = property(__str__)

    error = raised(TrickyError())
    ref = weakref.ref(error)
    entry = built(error)
    del error
    gc.collect()
    assert entry is not None
    assert ref() is None


def test_an_argument_of_a_syntax_error_does_not_live_on() -> None:
    thing = Thing()
    ref = weakref.ref(thing)
    error = SyntaxError(thing)
    entry = built(error)
    del thing, error
    gc.collect()
    assert entry is not None
    assert ref() is None


# The whole way


def test_an_exception_ships_with_type_stack_and_the_place_that_raised() -> None:
    error = caught(plain)
    [line] = encode_lines([builder().build(record(exc_info=exc_info(error)))], BIG)
    entry = parsed(line)
    assert entry["stack_trace"] == printed(error)
    assert entry["error_type"] == "ValueError"
    assert entry["function_name"] == "plain"
    assert entry["file_path"] == __file__
    assert entry["metadata"]["line"] == plain.__code__.co_firstlineno + 1


def test_a_traceback_that_cannot_be_printed_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    by = builder()
    entries = [by.build(record("one", exc_info=exc_info(caught(plain)))), by.build(record("two"))]

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(linecache, "checkcache", fail)
    one, two = map(parsed, encode_lines(entries, BIG))
    assert one["message"] == "one"
    assert one["stack_trace"].startswith("ValueError")
    assert two["message"] == "two"


# Any exception at all

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


@settings(max_examples=200)
@given(built_errors())
def test_the_text_of_any_exception_is_what_the_interpreter_prints(error: BaseException) -> None:
    assert rendered(error) == printed(error)
