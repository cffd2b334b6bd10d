"""NDJSON: one JSON object a line, posted to a URL that is taken as it is. ClickHouse and other engines store these.

    {"level":"INFO","message":"…","created_at":1.5,"log_type":"BACKEND",…}
    {"level":"ERROR",…}

The answers of these engines have nothing in common but their status: 2xx says that all entries were taken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from .format import BATCH_ID, Run, Taken
from .json_entries import JsonEntries

_CONTENT_TYPE: Final = "Content-Type"


class NdjsonFormat(JsonEntries):
    """One JSON object a line. `Format` says what each of these is for."""

    suffix: Final = ".ndjson"
    takes_whole_url: Final = True
    max_batch_bytes: Final = sys.maxsize
    frame_bytes: Final = len(b"\n")
    gap = b"\n"

    def url(self, server_url: str, batch_id: str) -> str:
        """The server's URL as it is, with the id of the batch where it asks for that."""
        return server_url.replace(BATCH_ID, batch_id)

    def headers(self, configured: Mapping[str, str]) -> Mapping[str, str]:
        """The configured Content-Type, because some engines take only one; else that of NDJSON."""
        types = [value for name, value in configured.items() if name.lower() == _CONTENT_TYPE.lower()]
        return {_CONTENT_TYPE: types[-1] if types else "application/x-ndjson"}

    def join(self, runs: Iterable[Run]) -> bytes:
        """The lines, each with a line end: some engines read no line without one."""
        # Without runs the body is an empty line, and so as long as `frame_bytes` says.
        return self.gap.join([*([run.encoded for run in runs] or [b""]), b""])

    def split(self, body: bytes) -> list[Run]:
        """The lines."""
        if not body.endswith(self.gap):
            raise ValueError("the last line has no end")
        lines = body[:-1].split(self.gap) if body != self.gap else []
        for number, line in enumerate(lines, 1):
            if not self.is_line(line):
                raise ValueError(f"line {number} is no JSON object")
        return [Run(1, line) for line in lines]

    def taken(self, content: bytes) -> Taken:
        """Nothing: these engines do not say it, or each in its own way."""
        return Taken()
