"""The oracle test, a short run of it for each durability; `oracle.py` runs longer by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.oracle import Oracle

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("wire", "durability"), [("collector", "batch"), ("collector", "record"), ("otlp", "record"), ("ndjson", "record")]
)
def test_every_promise_is_kept_under_faults_of_every_kind(wire: str, durability: str, tmp_path: Path) -> None:
    outcome = Oracle(1, durability, 6.0, tmp_path, wire=wire).run()
    print(outcome.summary)
    assert outcome.violations == [], outcome.summary
