"""What `logcollector doctor` finds: the result of one check."""

from __future__ import annotations

from dataclasses import dataclass

OK, FAILED, SKIPPED = "ok", "FAILED", "skipped"


@dataclass(frozen=True)
class Finding:
    """The result of one check. The text of a failed one also says what to do."""

    check: str
    status: str
    text: str


def words(error: BaseException) -> str:
    """An error in words for people."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
