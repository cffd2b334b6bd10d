"""`logcollector demo`: starts a collector and an application that logs into it, and checks that all records arrived."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.query import Query
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store, StoreError

_SHOP = Path(__file__).with_name("shop.py")
_ERRORS_SHOWN = 3
#: Columns shown of an error, if it has them.
_FIELDS_SHOWN = ("error_type", "function_name", "file_path", "user_id", "path", "metadata")
_BAR = 30


def run(options: argparse.Namespace) -> int:
    """Run the demonstration; 0 if every record is stored exactly once, 1 otherwise."""
    try:
        with tempfile.TemporaryDirectory(prefix="logcollector-demo-") as directory:
            file = Path(directory) / "logs.sqlite"
            with contextlib.closing(Store(file)) as store:
                server = BackgroundServer(create_app(store, local_only=True))
                server.start()
                try:
                    return _demonstrate(server.url, file, store, options)
                finally:
                    server.stop()
    except (StoreError, OSError, RuntimeError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(f"logcollector demo: {error}", file=sys.stderr)
        return 1


def _demonstrate(url: str, file: Path, store: Store, options: argparse.Namespace) -> int:
    print(f"A collector listens at {url} and stores logs in {file}.")
    told = _run_shop(url, options.seconds, options.rate)
    complete = told is not None and _report(told, store)
    if options.keep:
        print(f"\nThe collector stays at {url} until Ctrl-C. Look at the logs there in a browser, or try:\n")
        print(f"  logcollector tail --server-url {url}")
        print(f"  curl '{url}/logs?level=ERROR&limit=1'\n  curl {url}/stats")
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
        print("\nThe collector has stopped, and its database is gone.")
    return 0 if complete else 1


def _run_shop(url: str, seconds: float, rate: float) -> dict[str, Any] | None:
    """Run the application and show its progress. Returns its last line of JSON, None if it failed."""
    print(f"An example shop logs {rate:,.10g} records a second for {seconds:g} s, by one handler in its dictConfig.\n")
    # Started by path: `-m` would look into the current directory first. In a session of its own, so that Ctrl-C
    # reaches only this process.
    command = [sys.executable, str(_SHOP), url, str(seconds), str(rate)]
    last: dict[str, Any] = {}
    progress = _Progress(seconds)
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdout=subprocess.PIPE, text=True, env=_plain_environment(os.environ), start_new_session=True
    ) as shop:
        assert shop.stdout is not None  # noqa: S101 - it is a pipe
        try:
            for line in shop.stdout:
                last = json.loads(line)
                if not last.get("done"):
                    progress.show(last["logged"], last["seconds"])
        except BaseException:
            shop.terminate()
            shop.wait()
            raise
        finally:
            progress.end()
    if shop.returncode or not last.get("done"):
        print(
            f"logcollector demo: the example application failed (exit status {shop.returncode}); its output is above.",
            file=sys.stderr,
        )
        return None
    return last


def _plain_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without LOGCOLLECTOR_… and proxy variables, so that the demo runs with the defaults."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("LOGCOLLECTOR_") and not name.lower().endswith("_proxy")
    }


class _Progress:
    """A bar on a terminal, a line every two seconds elsewhere."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._terminal = sys.stdout.isatty()
        self._shown = 0.0

    def show(self, logged: int, passed: float) -> None:
        if self._terminal:
            done = round(min(1.0, passed / self._seconds) * _BAR)
            print(f"\r  [{'#' * done}{'.' * (_BAR - done)}] {logged:,} logged", end="", flush=True)
        elif passed - self._shown >= 2:
            self._shown = passed
            print(f"  {logged:,} logged")

    def end(self) -> None:
        if self._terminal:
            print("\r" + " " * (_BAR + 40) + "\r", end="", flush=True)
        elif self._shown:
            print()


def _report(told: Mapping[str, Any], store: Store) -> bool:
    """Print the table and the newest errors; True if each record that was logged is stored exactly once.

    Records are compared by the number that the shop gave each, from 1: equal totals could hide a lost record and a
    doubled one.
    """
    entries = store.in_order_of_arrival()
    logged = told["logged"]
    stored = Counter(entry.get("metadata", {}).get("number") for entry in entries)
    lost = [number for number in range(1, logged + 1) if not stored[number]]
    repeated = sum(stored[number] - 1 for number in range(1, logged + 1) if stored[number])
    unknown = len(entries) - (logged - len(lost)) - repeated
    complete = not lost and not repeated and not unknown

    ratio = told["encoded_bytes"] / max(1, told["sent_bytes"])
    rows = [
        ("logged by the application", f"{logged:,}"),
        ("stored by the collector", f"{len(entries):,}"),
        ("lost", f"{len(lost):,}"),
        ("stored twice", f"{repeated:,}"),
    ]
    if unknown:
        rows.append(("stored but never logged", f"{unknown:,}"))
    rows += [
        ("batches", f"{told['batches']:,}"),
        ("sent", f"{_size(told['sent_bytes'])} for {_size(told['encoded_bytes'])} of JSON ({ratio:.1f} to 1)"),
        ("median logging call", f"{told['median'] * 1e6:.1f} µs"),
        ("slowest logging call", f"{told['slowest'] * 1e3:.2f} ms"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
    _show_errors(store)
    if complete:
        print("\nEverything that was logged is stored, once.")
    else:
        print("\nWhat is stored is not what was logged!" + _missing(lost))
        reasons = f" ({', '.join(told['dropped'])})" if told["dropped"] else ""
        print(
            f"The handler says: {sum(told['dropped'].values()):,} given up{reasons}, "
            f"{told['dead_lettered']:,} refused, {told['pending']:,} still waiting."
        )
    return complete


def _missing(lost: list[int]) -> str:
    if not lost:
        return ""
    more = f" and {len(lost) - 10:,} more" if len(lost) > 10 else ""
    return f" Missing: {', '.join(str(number) for number in lost[:10])}{more}."


def _show_errors(store: Store) -> None:
    errors = json.loads(msgspec.json.encode(store.page(Query(exact={"level": "ERROR"}, limit=_ERRORS_SHOWN)).entries))
    if not errors:
        print("\nNo errors were logged.")
        return
    print("\nThe newest errors, as they are stored:\n")
    for entry in errors:
        moment = time.strftime("%H:%M:%S", time.localtime(entry["created_at"]))
        print(f"  {moment} {entry.get('service', '')} {entry['level']} {entry['message']}")
    print("\nAnd the first of them whole:\n")
    for name in _FIELDS_SHOWN:
        if name in errors[0]:
            value = errors[0][name]
            print(f"  {name:<14} {value if isinstance(value, str) else json.dumps(value)}")
    print("  stack_trace")
    for line in errors[0].get("stack_trace", "none").splitlines():
        print(f"    {line}".rstrip())


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
