"""`logcollector demo`: a collector, an application that logs into it, and the proof that everything arrived."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.query import Query
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store

_ERRORS_SHOWN = 3
_LINES_OF_TRACE = 12


def add_to(commands: Any) -> None:
    """Add the command to the parser's subparsers."""
    parser = commands.add_parser(
        "demo", help="watch an example application log into the embedded collector", description=__doc__
    )
    parser.add_argument("--seconds", type=_positive, default=5.0, help="how long the application logs (default: 5)")
    parser.add_argument("--rate", type=_positive, default=1000.0, help="records a second (default: 1000)")
    parser.add_argument("--keep", action="store_true", help="leave the collector and its database running afterwards")
    parser.set_defaults(run=run)


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < 1_000_000:
        raise argparse.ArgumentTypeError(f"{text} is not a number between 0 and 1,000,000")
    return number


def run(options: argparse.Namespace) -> int:
    """The whole demonstration; 0 only if what was logged is what is stored."""
    with tempfile.TemporaryDirectory(prefix="logcollector-demo-") as directory:
        file = Path(directory) / "logs.sqlite"
        with contextlib.closing(Store(file)) as store:
            server = BackgroundServer(create_app(store))
            server.start()
            try:
                print(f"A collector listens at {server.url} and stores logs in {file}.")
                told = _run_shop(server.url, options.seconds, options.rate)
                arrived = told is not None and _report(told, store)
                if options.keep:
                    print(f"\nThe collector stays at {server.url} (try {server.url}/logs?level=ERROR). Ctrl-C ends it.")
                    with contextlib.suppress(KeyboardInterrupt):
                        threading.Event().wait()
            finally:
                server.stop()
    return 0 if arrived else 1


def _run_shop(url: str, seconds: float, rate: float) -> dict[str, Any] | None:
    """Run the application and show its progress; what it said at its end, None if it failed."""
    print(f"An example shop logs {rate:g} records a second for {seconds:g} s, through logging.config.dictConfig.\n")
    command = [sys.executable, "-m", "logcollector_handler.cli.shop", url, str(seconds), str(rate)]
    last: dict[str, Any] = {}
    progress = _Progress(seconds)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as shop:  # noqa: S603 - our own module
        assert shop.stdout is not None  # noqa: S101 - it is a pipe
        for line in shop.stdout:
            last = json.loads(line)
            if not last.get("done"):
                progress.show(last["logged"], last["seconds"])
    progress.end()
    if shop.returncode or not last.get("done"):
        print(
            f"The example application failed (exit status {shop.returncode}); its errors are above.",
            file=sys.stderr,
        )
        return None
    return last


class _Progress:
    """A bar on a terminal, a line every two seconds elsewhere."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._terminal = sys.stdout.isatty()
        self._last = 0.0

    def show(self, logged: int, passed: float) -> None:
        share = min(1.0, passed / self._seconds)
        if self._terminal:
            done = round(share * 30)
            print(f"\r  [{'#' * done}{'.' * (30 - done)}] {logged:,} logged", end="", flush=True)
        elif time.monotonic() - self._last >= 2:
            self._last = time.monotonic()
            print(f"  {logged:,} logged", flush=True)

    def end(self) -> None:
        if self._terminal:
            print("\r" + " " * 60 + "\r", end="")


def _report(told: dict[str, Any], store: Store) -> bool:
    """Print the table and the newest errors; True if each record that was logged is stored exactly once."""
    stored = Counter(entry.get("metadata", {}).get("number") for entry in store.in_order_of_arrival())
    logged = told["logged"]
    lost = sum(1 for number in range(1, logged + 1) if not stored[number])
    repeated = sum(count - 1 for count in stored.values())
    ratio = told["encoded_bytes"] / max(1, told["sent_bytes"])
    rows = [
        ("logged by the application", f"{logged:,}"),
        ("stored by the collector", f"{stored.total():,}"),
        ("lost", f"{lost:,}"),
        ("stored twice", f"{repeated:,}"),
        ("batches", f"{told['batches']:,}"),
        ("compression", f"{_size(told['encoded_bytes'])} as {_size(told['sent_bytes'])} ({ratio:.1f} to 1)"),
        ("median logging call", f"{told['median'] * 1e6:.1f} µs"),
        ("slowest logging call", f"{told['slowest'] * 1e3:.2f} ms"),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
    _show_errors(store)
    complete = lost == 0 and repeated == 0 and stored.total() == logged
    print("\nEverything that was logged is stored, once." if complete else "\nWhat is stored is not what was logged!")
    return complete


def _show_errors(store: Store) -> None:
    errors = store.page(Query(exact={"level": "ERROR"}, limit=_ERRORS_SHOWN)).entries
    print(f"\nThe newest {len(errors)} errors, as they lie in the database:" if errors else "\nNo errors were logged.")
    for number, entry in enumerate(errors):
        moment = time.strftime("%H:%M:%S", time.localtime(entry["created_at"]))
        print(f"\n  {moment} {entry['service']} {entry['level']} {entry['message']}")
        for name in ("error_type", "function_name", "user_id", "path", "metadata"):
            if name in entry:
                print(f"    {name:<14} {entry[name]}")
        if number == 0:
            lines = entry["stack_trace"].splitlines()
            print("    stack_trace")
            for line in lines[:_LINES_OF_TRACE]:
                print(f"      {line}")
            if len(lines) > _LINES_OF_TRACE:
                print(f"      … {len(lines) - _LINES_OF_TRACE} more lines")


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
