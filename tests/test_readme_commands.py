"""What the README tells a person to type is what continuous integration runs."""

from __future__ import annotations

import re
from pathlib import Path

TREE = Path(__file__).parents[1]


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    commands = re.findall(r"^command='(.+)'$", (TREE / ".ci/run").read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 1
    lines = [line.strip() for line in (TREE / "README.md").read_text("utf-8").splitlines()]
    assert commands[0] in lines
