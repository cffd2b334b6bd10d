"""The oracle itself: it sees each promise that a package breaks which was broken on purpose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.oracle import Oracle

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("fault", "durability", "sabotage", "violation"),
    [
        ("stops", "record", "every lock is granted", "ownership: process"),
        ("full disk", "batch", "a full disk is not noticed", "ids are missing"),
        ("full disk", "record", "a full disk is not noticed", "ids are missing"),
        (
            "forks in C",
            "record",
            "the process id never changes",
            "ids are missing|not as many records as calls|forked in C",
        ),
        ("alarms", "batch", "an alarm ends the handler", "ids are missing"),
        ("alarms", "record", "an interrupted record is there twice", "stored more than once"),
        ("storms of errors", "batch", "small batches are lost", "ids are missing"),
        ("slow lines", "batch", "a time-out counts as delivered", "ids are missing"),
        (
            "gateways that refuse",
            "batch",
            "a gateway's page refuses records",
            "dead letters that the server never refused",
        ),
    ],
)
def test_a_broken_promise_is_seen(fault: str, durability: str, sabotage: str, violation: str, tmp_path: Path) -> None:
    # One that is stopped must have a file just then, and live on: that takes some time. Ten violations end the storm.
    # On a busy machine little may come up in it, so others follow.
    seconds = 15.0 if fault == "stops" else 4.0
    outcomes = []
    for seed in range(1, 5):
        (directory := tmp_path / f"{seed}").mkdir()
        outcomes.append(Oracle(seed, durability, seconds, directory, {fault}, sabotage).run())
        if any(re.search(violation, each) for each in outcomes[-1].violations):
            return
    pytest.fail(str([(outcome.violations, outcome.summary) for outcome in outcomes]))
