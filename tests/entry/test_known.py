"""An exception is recognised as the one that was shipped already, and is not kept alive by that."""

from __future__ import annotations

import gc
import pickle
import weakref

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


@given(st.lists(st.sampled_from(KINDS), max_size=8), st.data())
def test_only_the_same_object_of_another_record_is_a_repeat(
    kinds: list[type[BaseException]], data: st.DataObject
) -> None:
    errors = [kind("same text") for kind in kinds]
    seen: dict[int, int] = {}
    for stamp in range(20 if errors else 0):
        number = data.draw(st.integers(0, len(errors) - 1))
        assert known.is_repeat(errors[number], (stamp,)) is (number in seen)
        assert not known.is_repeat(errors[number], (seen.setdefault(number, stamp),)), "the record itself, once more"


def test_a_new_exception_in_the_place_of_an_old_one_is_no_repeat() -> None:
    places = set()
    for number in range(200):
        error = OwnError() if number % 2 else ValueError()
        places.add(id(error))
        assert not known.is_repeat(error, (number,))
        del error
    assert len(places) < 200, "places were used again"


def test_nothing_is_kept() -> None:
    before = len(known._known)
    error = OwnError()
    reference = weakref.ref(error)
    known.is_repeat(error, (1,))
    assert len(known._known) == before + 1
    del error
    gc.collect()
    assert (reference(), len(known._known)) == (None, before)


def test_an_exception_of_the_application_looks_as_before() -> None:
    error = OwnError("text")
    error.code = 7  # type: ignore[attr-defined]
    known.is_repeat(error, (1,))
    assert vars(error) == {"code": 7}
    assert vars(pickle.loads(pickle.dumps(error))) == {"code": 7}


def test_an_exception_whose_class_hides_its_fields_is_no_repeat_and_raises_nothing() -> None:
    class HiddenSlottedError(SlottedError):
        __slots__ = ()

        @property
        def __dict__(self) -> dict[str, object]:  # type: ignore[override]
            raise RuntimeError("nothing to see")

    error = HiddenSlottedError()
    assert not any(known.is_repeat(error, (number,)) for number in range(3))
