"""An exception is recognised as the one that was shipped already, and is not kept alive by that."""

from __future__ import annotations

import copy
import gc
import itertools
import pickle
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.entry import known


class OwnError(Exception):
    pass


class SlottedError(Exception):
    """No weak reference can be made to its objects."""

    __slots__ = ("code",)


class StrangeError(Exception):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        raise TypeError("no hash")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


class HiddenError(ValueError):
    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        raise RuntimeError("nothing to see")


KINDS = [ValueError, KeyError, OSError, OwnError, SlottedError, StrangeError, HiddenError, KeyboardInterrupt]


_stamps = itertools.count()


def repeats(error: BaseException, name: str = "uvicorn.error", request: int | None = None, handler: object = 1) -> bool:
    """Whether the exception is a repeat in a new record of this logger."""
    stamp = (name, next(_stamps))
    framework = name != "shop"
    found = known.is_repeat(error, stamp, handler, request, framework=framework)
    assert known.is_repeat(error, stamp, handler, request, framework=framework) is found, "the record itself, once more"
    return found


@given(st.lists(st.sampled_from(KINDS), max_size=8), st.data())
def test_only_the_same_object_of_another_record_is_a_repeat(
    kinds: list[type[BaseException]], data: st.DataObject
) -> None:
    errors = [kind("same text") for kind in kinds]
    seen: set[int] = set()
    for number in range(20 if errors else 0):
        which = data.draw(st.integers(0, len(errors) - 1))
        assert repeats(errors[which], f"framework {number}") is (which in seen)
        seen.add(which)


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_that_is_raised_again_is_another_failure(kind: type[BaseException]) -> None:
    error = kind("kept by a module")
    for _ in range(3):
        assert not repeats(error, "logcollector.access", next(known.numbers))
        assert repeats(error)
    for _ in range(3):
        assert not repeats(error, "uvicorn.error"), "without our middleware: it tells each failure once"
        assert repeats(error, "gunicorn.error")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("in_request", [True, False])
def test_what_was_logged_before_a_request_or_in_another_one_is_not_its_failure(
    kind: type[BaseException], in_request: bool
) -> None:
    error = kind()
    assert not repeats(error, "shop", next(known.numbers) if in_request else None)
    assert not repeats(error, "logcollector.access", next(known.numbers))


def test_what_another_thread_logs_for_a_request_is_its_failure() -> None:
    request, error = next(known.numbers), OwnError()
    assert not repeats(error, "shop")
    assert repeats(error, "logcollector.access", request)


@pytest.mark.parametrize("kind", KINDS)
def test_what_one_handler_has_shipped_another_one_has_not(kind: type[BaseException]) -> None:
    error = kind()
    assert [repeats(error, name, handler=handler) for name in "ab" for handler in (1, 2)] == [False, False, True, True]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_forgiven_is_a_repeat_for_every_handler(kind: type[BaseException]) -> None:
    error = kind()
    known.forgive(error)
    assert [repeats(error, name, handler=handler) for name, handler in zip("ab", (1, 2), strict=True)] == [True, True]


def test_a_copy_is_another_failure() -> None:
    error = ValueError("template")
    assert not repeats(error)
    made: list[BaseException] = [copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))]
    assert [repeats(each, "gunicorn.error") for each in (*made, error)] == [False, False, False, True]


def test_a_new_exception_in_the_place_of_an_old_one_is_no_repeat() -> None:
    places = set()
    for number in range(200):
        error = OwnError() if number % 2 else ValueError()
        places.add(id(error))
        assert not repeats(error, str(number))
        del error
    assert len(places) < 200, "places were used again"


def test_nothing_is_kept() -> None:
    gc.collect()
    before = len(known._known)
    error = OwnError()
    reference = weakref.ref(error)
    repeats(error)
    assert len(known._known) == before + 1
    del error
    gc.collect()
    assert (reference(), len(known._known)) == (None, before)


def test_an_exception_of_the_application_looks_as_before() -> None:
    error = OwnError("text")
    error.code = 7  # type: ignore[attr-defined]
    repeats(error)
    assert vars(error) == {"code": 7}
    assert vars(pickle.loads(pickle.dumps(error))) == {"code": 7}


def test_an_exception_whose_class_hides_its_fields_is_no_repeat_and_raises_nothing() -> None:
    class HiddenSlottedError(SlottedError):
        __slots__ = ()

        @property
        def __dict__(self) -> dict[str, object]:  # type: ignore[override]
            raise RuntimeError("nothing to see")

    error = HiddenSlottedError()
    assert not any(known.is_repeat(error, (n, n), 1, None, framework=True) for n in range(3))
