"""This handler beside a handler that does nothing and beside its peers, at the same work.

    tox run -e benchmarks               all of it, some twelve minutes
    tox run -e benchmarks -- --quick    a minute
    tox run -e benchmarks -- --redraw   the table and the plot anew, from the results that there are

Each measurement is a process of its own against a server of its own on loopback, and contenders take turns. What
is shown are medians, and ratios to the handler that does nothing in the same round: those are what to compare,
for times depend on the machine. Contenders that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS
from .plan import Work, full, quick
from .plot import draw
from .table import Results, table

HERE = Path(__file__).parent
#: Where `benchmarks` is a package: in tests, because others install a package of that name.
ROOT = HERE.parent
#: Seconds after which a contender has failed at its work.
_TOO_LONG = 300


@contextmanager
def sink() -> Iterator[str]:
    """A server; gives its address."""
    command = [sys.executable, "-m", "benchmarks.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def measure(contender: str, work: Work) -> dict[str, float]:
    """What one contender does once."""
    settings = [f"{name}={value}" for name, value in work.of(contender).items()]
    with sink() as url:
        command = [sys.executable, "-m", "benchmarks.worker", contender, work.scenario, url, *settings]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=_TOO_LONG)
        told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        start, cpu = told.pop("start"), told.pop("cpu_s", None)
        if not CONTENDERS[contender].sends:
            return told | ({} if cpu is None else {"cpu_us": cpu / told["calls"] * 1e6})
        with urllib.request.urlopen(url, timeout=60) as answer:
            came = json.loads(answer.read())
    told["lost"] = told["calls"] - came["unique"]
    told["repeated"] = came["repeated"]
    told["out_of_order"] = came["out_of_order"]
    if came["unique"]:
        if cpu is not None:
            told["cpu_us"] = cpu / came["unique"] * 1e6
        told["delivered_per_s"] = came["unique"] / (came["last"] - start)
        told["wire_bytes"] = came["bytes"] / came["records"]
    return told


def run(works: list[Work]) -> dict[str, Any]:
    """Everybody at every work: each number's median, and its ratio to the floor's in the same round."""
    found: dict[str, Any] = {}
    for work in works:
        here = [name for name in work.contenders if CONTENDERS[name].is_here()]
        runs: dict[str, list[dict[str, float]]] = {}
        for number in range(work.rounds):
            floor: dict[str, float] = {}
            for name in here:
                if number and CONTENDERS[name].slow:
                    continue
                print(f"{work.name}, round {number + 1} of {work.rounds}: {name}", file=sys.stderr, flush=True)
                try:
                    told = measure(name, work)
                except (subprocess.SubprocessError, OSError) as error:
                    # The others are not to suffer for it.
                    print(f"left out: {error}\n{getattr(error, 'stderr', '')}", file=sys.stderr, flush=True)
                    continue
                if name == "floor":
                    floor = told
                for each in ("p50_us", "cpu_us"):
                    # How late a loop is has nothing to do with what a call costs.
                    if each in floor and each in told and work.scenario != "loop":
                        told[f"{each}_ratio"] = told[each] / floor[each]
                runs.setdefault(name, []).append(told)
        found[work.name] = {"title": work.title, "contenders": {name: _medians(told) for name, told in runs.items()}}
    return found


def _medians(told: list[dict[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for each in told for name in each)
    return {name: statistics.median(each[name] for each in told if name in each) for name in names}


def start_up_ms() -> float:
    """Median of seven: import and dictConfig of this package, over bare logging's, in CPU time."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def once(handler: str) -> float:
        config = {"version": 1, "handlers": {"h": {"class": handler}}, "root": {"handlers": ["h"]}}
        before = spent()
        subprocess.run([sys.executable, "-c", f"import logging.config as c; c.dictConfig({config!r})"], check=True)
        return spent() - before

    pairs = [(once("logcollector_handler.LogCollectorHandler"), once("logging.NullHandler")) for _ in range(7)]
    return statistics.median(one - other for one, other in pairs) * 1e3


def machine() -> dict[str, str]:
    """Where it was measured, and which versions."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.split(": ")[1] for line in info.read_text().splitlines() if "model name" in line), model)
    versions = {}
    for name in (
        "opentelemetry-sdk",
        "logtail-python",
        "logzio-python-handler",
        "sentry-sdk",
        "python-logstash-async",
    ):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"processor": model, "python": platform.python_version(), "system": platform.system(), **versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="few contenders and fewer records, in less than two minutes")
    how.add_argument("--redraw", action="store_true", help="only show again what was measured before")
    parser.add_argument("--to", type=Path, default=HERE / "results.json", help="where results are kept, as JSON")
    given = parser.parse_args()
    if not given.redraw:
        start = time.monotonic()
        hot = [sys.executable, str(HERE / "hot_path.py")]
        results: Results = {
            "machine": machine(),
            "start_up_ms": start_up_ms(),
            "hot_path": json.loads(subprocess.run(hot, capture_output=True, check=True).stdout),
            "works": run(quick() if given.quick else full()),
        }
        results["minutes"] = round((time.monotonic() - start) / 60, 1)
        given.to.write_text(json.dumps(results, indent=1) + "\n")
    results = json.loads(given.to.read_text())
    print(table(results))
    given.to.with_suffix(".svg").write_text(draw(results))
    print(f"\nKept in {given.to} and drawn in {given.to.with_suffix('.svg')}.")


if __name__ == "__main__":
    main()
