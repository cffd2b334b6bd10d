"""Short ways to put entries into a store, and to ask what is in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from logcollector_handler.collector.query import Query
from logcollector_handler.collector.store import Store
from logcollector_handler.wire.posted.body import RawBatch
from logcollector_handler.wire.posted.entries import Row, check


def rows(*entries: dict[str, Any]) -> list[Row]:
    return check(RawBatch(list(entries), suspicious=True), strict=False, now=0.0).rows


def messages(entries: Iterable[dict[str, Any]]) -> list[str]:
    return [entry["message"] for entry in entries]


def found(store: Store, **filters: Any) -> list[str]:
    return messages(store.page(Query(**filters)).entries)
