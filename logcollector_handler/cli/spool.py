"""`logcollector spool`: lists the batches in a spool directory, and sends those that dead processes left."""

from __future__ import annotations

import argparse
import sys
import time

from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.delivery.pipeline import Pipeline, connect, entry_builder
from logcollector_handler.delivery.spool import Holding, SpoolOutbox, survey
from logcollector_handler.settings import SettingError, load


def show(options: argparse.Namespace) -> int:
    """List the batches. Returns 0, also if there are none, and 1 if the directory cannot be read."""
    try:
        holdings = survey(options.directory)
    except OSError as error:
        print(f"logcollector spool: {options.directory} cannot be read ({error.strerror})", file=sys.stderr)
        return 1
    if not holdings:
        print(f"{options.directory} holds no batches.")
    for holding in holdings:
        print(_line(holding))
    return 0


def _line(holding: Holding) -> str:
    kind = {"alive": "of a living process", "dead": "left by a dead process", "refused": "refused by the server"}
    age = max(0.0, time.time() - holding.oldest)
    return (
        f"{holding.destination:<40} {holding.files:>7,} files {holding.size / 1e6:>9.2f} MB  "
        f"oldest {age:>8.0f} s  {kind[holding.kind]}"
    )


def replay(options: argparse.Namespace) -> int:
    """Send the batches of dead processes. Returns 0 if none is left, 1 if some are, 2 if the settings are wrong."""
    try:
        settings = load({"spool_dir": str(options.directory), "server_url": options.server_url})
    except SettingError as error:
        print(f"logcollector spool replay: {error}", file=sys.stderr)
        return 2
    pipeline = Pipeline(settings, entry_builder(settings), SystemClock(), connect)
    outbox = pipeline.outbox
    if not isinstance(outbox, SpoolOutbox) or not outbox.directory.is_dir():
        print(f"{options.directory} holds nothing for {settings.mask(settings.server_url)}.")
        return 0
    outbox.look()
    total = len(outbox)
    print(f"{total} batches to send to {settings.mask(settings.server_url)}.", flush=True)
    try:
        _send(pipeline, outbox, total, options.seconds)
    finally:
        left = len(outbox)
        pipeline.sender.close()
        outbox.close()
    told = pipeline.stats().adopted
    print(
        f"{told.get('delivered', 0):,} records delivered, {told.get('dead_lettered', 0):,} refused, "
        f"{told.get('dropped', 0):,} damaged; {left} batches left."
    )
    return 1 if left else 0


def _send(pipeline: Pipeline, outbox: SpoolOutbox, total: int, patience: float) -> None:
    said = last = time.monotonic()
    delivered = 0
    while len(outbox):
        delay = pipeline.sender.step()
        now = time.monotonic()
        if (done := pipeline.stats().adopted.get("delivered", 0)) != delivered:
            delivered, last = done, now
        if now - last > patience:
            return
        if now - said >= 1:
            said = now
            print(f"  {total - len(outbox)} of {total} batches, {delivered:,} records", flush=True)
        if delay is None:
            return
        pipeline.sender.wait(min(delay, 1.0))
