"""What can be done with the counts that `stats()` returns, and that they cannot be changed."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from logcollector_handler import Stats
from tests.delivery.pipelines import PipelineBench


@pytest.fixture
def stats() -> Stats:
    """Those of a handler that has delivered two records and dropped one."""
    bench = PipelineBench(max_queue_size=2, batch_size=2)
    bench.pipeline.queue.is_stuck = True
    bench.log("a", "b", "c")
    bench.listen()
    bench.send()
    return bench.stats()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_stats_can_be_pickled(stats: Stats, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(stats, protocol)) == stats


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, dataclasses.replace])
def test_stats_can_be_copied(stats: Stats, copied: Callable[[Stats], Stats]) -> None:
    assert copied(stats) == stats
    with pytest.raises(TypeError):
        copied(stats).dropped["queue_full"] = 0  # type: ignore[index]  # on purpose


def test_stats_become_a_dict_and_json(stats: Stats) -> None:
    fields = dataclasses.asdict(stats)
    assert fields["dropped"] == {"queue_full": 1}
    assert json.loads(json.dumps(fields)) == fields
    assert Stats(**json.loads(json.dumps(fields))) == stats


@pytest.mark.parametrize(
    "change",
    [
        lambda counts: counts.__setitem__("queue_full", 0),
        lambda counts: counts.__delitem__("queue_full"),
        lambda counts: counts.update(queue_full=0),
        lambda counts: counts.setdefault("shutdown", 1),
        lambda counts: counts.pop("queue_full"),
        lambda counts: counts.popitem(),
        lambda counts: counts.clear(),
        lambda counts: counts.__ior__({"shutdown": 1}),
    ],
)
@pytest.mark.parametrize("name", ["dropped", "adopted"])
def test_stats_cannot_be_changed(stats: Stats, name: str, change: Callable[[Any], object]) -> None:
    before = dict(getattr(stats, name))
    with pytest.raises(TypeError, match="cannot be changed"):
        change(getattr(stats, name))
    assert getattr(stats, name) == before
