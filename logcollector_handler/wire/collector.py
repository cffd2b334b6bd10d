"""The format of the log collection server: `POST /logs`, one JSON object around the entries.

    {"logs":[{"level":"INFO","message":"…","created_at":1.5,"log_type":"BACKEND",…},…]}

The server answers with `{"status": "ok", "count": N}`. Its columns are those of `entry.model`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from .format import Run, Taken
from .json_entries import JsonEntries

#: Where the server takes entries, below its URL.
PATH: Final = "/logs"
_OPEN: Final = b'{"logs":['
_CLOSE: Final = b"]}"


class CollectorFormat(JsonEntries):
    """The format of the log collection server. `Format` says what each of these is for."""

    suffix: Final = ".json"
    takes_whole_url: Final = False
    max_batch_bytes: Final = sys.maxsize
    frame_bytes: Final = len(_OPEN + _CLOSE)
    gap = b","

    def url(self, server_url: str, batch_id: str) -> str:
        """`/logs` below the server's URL."""
        return server_url + PATH

    def headers(self, configured: Mapping[str, str]) -> Mapping[str, str]:
        """JSON."""
        return {"Content-Type": "application/json"}

    def join(self, runs: Iterable[Run]) -> bytes:
        """`{"logs":[…]}`"""
        # The frame is added to the first and the last run, which saves copying the whole body once more.
        parts = [run.encoded for run in runs] or [b""]
        parts[0] = b"".join((_OPEN, parts[0]))
        parts[-1] = b"".join((parts[-1], _CLOSE))
        return self.gap.join(parts)

    def split(self, body: bytes) -> list[Run]:
        """The elements of `logs`."""
        try:
            # The errors that msgspec raises are ValueErrors.
            return [Run(1, bytes(entry)) for entry in _decoder.decode(body).logs]
        except RecursionError as error:
            raise ValueError("the body is nested too deep") from error

    def taken(self, content: bytes) -> Taken:
        """The `count` in the answer."""
        try:
            return Taken(msgspec.json.decode(content, type=_Answer).count)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Taken()


class _Body(msgspec.Struct):
    logs: list[msgspec.Raw]


class _Answer(msgspec.Struct):
    count: int | None = None


_decoder: Final = msgspec.json.Decoder(_Body)
