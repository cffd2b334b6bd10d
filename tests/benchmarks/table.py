"""The table of numbers to hold, measured: this handler, a handler that does nothing, and OpenTelemetry if installed.

    python tests/benchmarks/table.py

Each measurement is a process of its own against a sink on loopback; contenders take turns. Ratios are what to
compare; times depend on the machine.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import logging.config
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROUNDS = 3
#: Records that are logged before anything is measured.
WARM_UP = 2000
log = logging.getLogger("shop")


def flush(seconds: float) -> object:
    """Wait until the contender has sent everything; those that send anything put their own here."""
    return None


# Contenders


def floor(_url: str) -> None:
    class Nothing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            pass

    log.addHandler(Nothing())


def ours(url: str) -> None:
    global flush
    from logcollector_handler import LogCollectorHandler

    handler = LogCollectorHandler(server_url=url, service="shop", shutdown_timeout=60)
    log.addHandler(handler)
    flush = lambda seconds: handler.flush(seconds)  # noqa: E731 - as below


def opentelemetry(url: str) -> None:
    global flush
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider()
    exporter = OTLPLogExporter(endpoint=f"{url}/v1/logs", compression=Compression.Gzip)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, max_queue_size=10_000))
    log.addHandler(LoggingHandler(logger_provider=provider))
    flush = lambda seconds: provider.force_flush(int(seconds * 1000))  # noqa: E731 - as the others


CONTENDERS = {"floor": floor, "ours": ours, "opentelemetry": opentelemetry}


# Scenarios: each returns its numbers


def calls(count: int, kind: str = "plain") -> list[float]:
    """Seconds of each call."""
    clock, extra = time.perf_counter, {"user_id": "u-1", "amount": 12.5, "currency": "EUR"}
    took = []
    for number in range(count):
        before = clock()
        if kind == "plain":
            log.info("order %d placed", number)
        else:
            log.info("order %d placed", number, extra=extra)
        took.append(clock() - before)
    return took


def full_speed(kind: str = "plain") -> dict[str, float]:
    calls(WARM_UP, kind)
    flush(60)
    cpu, start = time.process_time(), time.perf_counter()
    took = calls(100_000, kind)
    logged = time.perf_counter() - start
    flush(120)
    return {
        "median_us": statistics.median(took) * 1e6,
        "worst_ms": max(took) * 1e3,
        "logged_per_s": len(took) / logged,
        "seconds": time.perf_counter() - start,
        "cpu_us": (time.process_time() - cpu) / len(took) * 1e6,
    }


def three_extras() -> dict[str, float]:
    return full_speed("extras")


def paced() -> dict[str, float]:
    """5,000 calls a second for six seconds."""
    took, rate, seconds = [], 5000, 6
    start = time.perf_counter()
    for number in range(rate * seconds):
        while time.perf_counter() < start + number / rate:
            time.sleep(0.0001)
        before = time.perf_counter()
        log.info("order %d placed", number)
        took.append(time.perf_counter() - before)
    flush(60)
    took.sort()
    return {
        "p50_us": took[len(took) // 2] * 1e6,
        "p999_us": took[int(len(took) * 0.999)] * 1e6,
        "worst_ms": took[-1] * 1e3,
    }


def flood() -> dict[str, float]:
    """300,000 records as fast as one thread can."""
    took = calls(300_000)
    flush(120)
    return {"worst_ms": max(took) * 1e3}


def outage() -> dict[str, float]:
    """1,000,000 records while the server answers 503; then it comes back."""
    calls(2000)
    flush(60)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ask("/down")
    for number in range(1_000_000):
        log.info("order %d placed", number + 2000)
        if number % 100 == 0:
            time.sleep(0.001)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    ask("/up")
    flush(120)
    return {"grown_mib": grown / 1024}


SCENARIOS = {each.__name__: each for each in (full_speed, three_extras, paced, flood, outage)}
url = ""


def ask(path: str) -> Any:
    with urllib.request.urlopen(url + path, timeout=60) as answer:
        return json.loads(answer.read() or b"{}")


# The run


@contextmanager
def sink() -> Iterator[str]:
    with subprocess.Popen([sys.executable, str(HERE / "sink.py")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def measure(contender: str, scenario: str) -> dict[str, float]:
    with sink() as address:
        command = [sys.executable, __file__, contender, scenario, address]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{contender} failed at {scenario}:\n{done.stderr}")
        global url
        url = address
        return {**json.loads(done.stdout), **ask("/")}


def _runs(contenders: list[str], scenario: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {each: {} for each in contenders}
    for _ in range(rounds):
        for each in contenders:
            for name, number in measure(each, scenario).items():
                found[each].setdefault(name, []).append(number)
    return found


def _medians(contenders: list[str], scenario: str, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    runs = _runs(contenders, scenario, rounds)
    return {who: {name: statistics.median(numbers) for name, numbers in told.items()} for who, told in runs.items()}


def _start_up_ms() -> float:
    """Median of seven, this package's configuration minus bare logging's."""

    def once(handler: str) -> float:
        config = {"version": 1, "handlers": {"h": {"class": handler}}, "root": {"handlers": ["h"]}}
        code = f"import logging.config; logging.config.dictConfig({config!r})"
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    pairs = [(once("logcollector_handler.LogCollectorHandler"), once("logging.NullHandler")) for _ in range(7)]
    return statistics.median(one - other for one, other in pairs) * 1e3


def main() -> None:
    others = ["opentelemetry"] if importlib.util.find_spec("opentelemetry.exporter") else []
    both = ["floor", "ours", *others]
    rows: list[tuple[str, str, str]] = []

    def row(what: str, measured: str, limit: str) -> None:
        rows.append((what, measured, limit))
        print(f"{what:<58} {measured:<44} {limit}", flush=True)

    row("what", "measured", "to hold")
    for scenario, limit in (("full_speed", "1.5 x floor"), ("three_extras", "1.6 x floor")):
        got = _medians(both, scenario)
        ratio = got["ours"]["median_us"] / got["floor"]["median_us"]
        row(f"median call, {scenario}", f"{got['ours']['median_us']:.2f} us, {ratio:.2f} x floor", limit)
        if scenario == "full_speed":
            full = got
    hot = json.loads(
        subprocess.run([sys.executable, str(HERE / "hot_path.py")], capture_output=True, check=True).stdout
    )
    exception = hot["exception"]
    row("logger.exception, 30 frames", f"{exception['ours_us'] - exception['floor_us']:.1f} us over floor", "20 us")
    cpu = full["ours"]["cpu_us"] / full["floor"]["cpu_us"]
    row("CPU per delivered record", f"{full['ours']['cpu_us']:.2f} us, {cpu:.2f} x floor", "1.8 x floor")
    rates = {who: (told["records"] - WARM_UP) / told["seconds"] for who, told in full.items()}
    rate = rates["ours"]
    against = f", {rate / rates['opentelemetry']:.1f} x OpenTelemetry" if others else ""
    lost = 100_000 - full["ours"]["unique"]
    row("delivered at full speed", f"{rate:,.0f}/s{against}, {lost:.0f} lost", "8 x OpenTelemetry, 0 lost")
    got = _medians(both, "paced")
    text = ", ".join(f"{who} {told['p999_us']:.0f}" for who, told in got.items())
    row("99.9th percentile at 5,000/s, us", text, "500, and half of OpenTelemetry's")
    got = _medians(["ours"], "flood")
    lost = 300_000 - got["ours"]["unique"]
    row("300,000 at once", f"{lost:.0f} lost, worst call {got['ours']['worst_ms']:.1f} ms", "0 lost, 50 ms")
    got = _medians(["ours"], "outage", 1)
    lost = 1_002_000 - got["ours"]["records"]
    row("1,000,000 in an outage", f"{lost:.0f} lost, {got['ours']['grown_mib']:.1f} MiB more", "0 lost, 64 MiB")
    row("import and dictConfig over bare logging", f"{_start_up_ms():.0f} ms", "60 ms")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        _, who, what, url = sys.argv
        log.setLevel(logging.DEBUG)
        log.propagate = False
        CONTENDERS[who](url)
        print(json.dumps(SCENARIOS[what]()))
