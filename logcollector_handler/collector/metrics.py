"""`GET /metrics`: what the collector has received, stored and removed, in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from .posting import ReceivedRequest

#: The media type of the format.
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: Each metric with its type and what it says; the names begin with `logcollector_`.
_METRICS: Final = {
    "requests_total": ("counter", "Posts of logs that were let in, by the status of the answer."),
    "logs_stored_total": ("counter", "Logs that were stored."),
    "batches_repeated_total": ("counter", "Batches that were stored before, and so not again."),
    "received_bytes_total": ("counter", "Bytes of the bodies of posts, as they were received."),
    "logs_removed_total": ("counter", "Logs that were removed, because they were too old or too many."),
    "healthy": ("gauge", "1 if the file of the logs can be used, else 0."),
    "file_bytes": ("gauge", "Size of the file of the logs without its free pages."),
    "streams": ("gauge", "Streams that are open."),
    "unread_bytes": ("gauge", "Bytes of answers that clients have not read yet."),
}


class Metrics:
    """What was counted since the start. For the event loop's thread."""

    def __init__(self) -> None:
        self._requests: Counter[int] = Counter()
        self._counts: Counter[str] = Counter()

    def posted(self, request: ReceivedRequest) -> None:
        """Count a post that was answered."""
        self._requests[request.status] += 1
        self._counts["received_bytes_total"] += request.body_size
        self._counts["batches_repeated_total" if request.repeated else "logs_stored_total"] += (
            1 if request.repeated else request.count
        )

    def removed(self, count: int) -> None:
        """Count logs that were removed."""
        self._counts["logs_removed_total"] += count

    def text(self, now: Mapping[str, float]) -> bytes:
        """All metrics; `now` has the values of gauges, of which those that are not known are left out."""
        lines: list[str] = []
        for name, (kind, what) in _METRICS.items():
            if kind == "gauge" and name not in now:
                continue
            lines += [f"# HELP logcollector_{name} {what}", f"# TYPE logcollector_{name} {kind}"]
            if name == "requests_total":
                lines += [
                    f'logcollector_{name}{{status="{status}"}} {count}' for status, count in self._requests.items()
                ]
            else:
                lines.append(f"logcollector_{name} {now[name] if kind == 'gauge' else self._counts[name]}")
        return "\n".join([*lines, ""]).encode()
