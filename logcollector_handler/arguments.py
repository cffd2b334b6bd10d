"""The settings as keywords, for type checkers. Nothing imports this when it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict


class Arguments(TypedDict, total=False):
    """The settings as LogClient takes them; None means that it was not given."""

    server_url: str | None
    service: str | None
    environment: str | None
    service_version: str | None
    log_type: str | None
    batch_size: int | None
    flush_interval: float | None
    flush_level: int | str | None
    max_queue_size: int | None
    overflow: str | None
    enable_compression: bool | None
    max_retries: int | None
    timeout: float | None
    max_batch_bytes: int | None
    max_record_bytes: int | None
    max_buffer_bytes: int | None
    shutdown_timeout: float | None
    api_key: str | None
    headers: Mapping[str, str] | None
    verify: bool | str | None
    proxy: str | None
    spool_dir: str | None
    durability: str | None
    fsync: bool | None
    max_spool_bytes: int | None
    redact: Sequence[str] | None
