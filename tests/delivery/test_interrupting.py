"""What raises at every point of a call raises only where an exception out of a signal handler gets to the caller."""

from __future__ import annotations

import itertools
import weakref
from typing import Any

from logcollector_handler.delivery.states import Role
from tests.delivery.interrupting import Interrupt, Points
from tests.delivery.pipelines import Alive, PipelineBench


def test_the_death_of_an_object_to_which_somebody_refers_weakly_is_no_point(bench: PipelineBench) -> None:
    """A thread ends while it is looked at: `threading` refers weakly to it, and forgets it then and there."""
    known: weakref.WeakSet[Alive] = weakref.WeakSet()

    class Mortal(dict[Role, Any]):
        def get(self, role: Role, default: object = None) -> Any:
            thread = Alive()
            known.add(thread)
            return thread

    workers = bench.pipeline.workers
    workers._threads._by_role = Mortal()
    for number in itertools.count():
        points = Points(number, Interrupt)
        # What is raised where it goes nowhere fails this test: the interpreter says so, and pytest makes that an error.
        points.run(lambda: workers.state)
        if not points.place:
            break
    assert number > 4
    assert not known
