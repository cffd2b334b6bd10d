"""What `logcollector doctor` printed, check by check."""

from __future__ import annotations

import pytest

from logcollector_handler.cli import main
from logcollector_handler.cli.doctor import CHECKS

real = pytest.mark.integration


class Examined:
    """Runs the doctor and parses its output."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        self.code = main(["doctor", *arguments])
        self.out = capsys.readouterr().out
        self.lines = {line[2:16].strip(): line[17:].split(maxsplit=1) for line in self.out.splitlines()}

    def __getitem__(self, check: str) -> str:
        return self.lines[check][0]

    def text(self, check: str) -> str:
        return self.lines[check][1]

    def only(self, check: str, *words: str) -> None:
        """Assert that this check failed with these words, that no other failed, and that the rest was skipped."""
        assert self.code == 1
        assert tuple(self.lines) == CHECKS, "one line a check, in their order"
        assert [name for name in CHECKS if self[name] == "FAILED"] == [check]
        assert [word for word in words if word not in self.text(check)] == []
