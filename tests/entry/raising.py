"""Functions that raise exceptions of many kinds, and how to catch and print those: for the tests of exceptions."""

from __future__ import annotations

import builtins
import sys
import textwrap
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from logcollector_handler.entry.traceback import Trace
from tests.entry.making import (
    raised,
)

Group: Any = getattr(builtins, "ExceptionGroup", None)
needs_groups = pytest.mark.skipif(Group is None, reason="groups came with Python 3.11")
needs_notes = pytest.mark.skipif(sys.version_info < (3, 11), reason="notes came with Python 3.11")


def printed(error: BaseException) -> str:
    """What the interpreter prints of the exception."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__)).removesuffix("\n")


def rendered(error: BaseException) -> str:
    return Trace(error, error.__traceback__).render({})


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


# Each of these raises.


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


def without_text() -> None:
    raise ValueError


def nothing_led_to_it() -> None:
    try:
        raise KeyError("hidden")
    except KeyError:
        raise ValueError("shown") from None


def text_of_a_class_of_its_own() -> None:
    class Text(str):
        def __format__(self, spec: str) -> str:
            return "formatted"

    class WordyError(Exception):
        def __str__(self) -> str:
            return Text("said")

    raise WordyError


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
ZOO += [without_text, nothing_led_to_it, text_of_a_class_of_its_own]
ZOO += [with_notes, with_odd_notes, with_a_text_as_notes, with_notes_that_cannot_be_said]
GROUPS = [group, wide_group, deep_group]
