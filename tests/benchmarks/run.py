"""This handler beside a handler that does nothing and beside its peers, at the same work.

    tox run -e benchmarks               all of it, some sixteen minutes
    tox run -e benchmarks -- --quick    two minutes
    tox run -e benchmarks -- --redraw   the tables and the plot anew, from the results that there are

The numbers to hold (`lines`) come first, then tables of everything that was measured. Results are kept by processor,
because ratios differ between them: a run replaces those of its own processor only. The plot is of the newest run.

Each measurement is a process of its own against a server of its own on loopback, and contenders take turns. What
is shown are medians, and ratios to the handler that does nothing in the same round: those are what to compare,
for times depend on the machine. Of lost records the worst round is shown. Contenders that are not installed are left
out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .contenders import CONTENDERS
from .lines import Machines, Results
from .plan import Work, full, quick
from .plot import draw
from .table import table

HERE = Path(__file__).parent
#: Where `benchmarks` is a package: in tests, because others install a package of that name.
ROOT = HERE.parent
#: Seconds after which a contender has failed at its work.
_TOO_LONG = 300
#: Numbers of which the worst round counts: a record that was lost in one of three is lost.
_WORST = ("lost", "uncounted")


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
    if "dropped" in told:
        told["uncounted"] = abs(told["lost"] - told["dropped"])
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
                if number and (CONTENDERS[name].slow or name in work.once):
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
        found[work.name] = {"title": work.title, "contenders": {name: _together(told) for name, told in runs.items()}}
    return found


def _together(told: list[dict[str, float]]) -> dict[str, float]:
    """The rounds of one contender: what it lost at most, and the median of each other number."""
    names = dict.fromkeys(name for each in told for name in each)
    values = {name: [each[name] for each in told if name in each] for name in names}
    return {name: max(each) if name in _WORST else statistics.median(each) for name, each in values.items()}


def start_up() -> dict[str, float]:
    """Import and dictConfig of this package: CPU time over bare logging's, the median of seven, and what it imports."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def once(handler: str, compiled: str) -> tuple[float, bool]:
        config = {"version": 1, "handlers": {"h": {"class": handler}}, "root": {"handlers": ["h"]}}
        program = f"import logging.config as c, sys; c.dictConfig({config!r}); print('httpx' in sys.modules)"
        command = [sys.executable, "-X", f"pycache_prefix={compiled}", "-c", program]
        # An installed package is compiled, whatever this shell says of bytecode.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        before = spent()
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
        return spent() - before, "True" in done.stdout

    ours, bare = "logcollector_handler.LogCollectorHandler", "logging.NullHandler"
    with tempfile.TemporaryDirectory() as compiled:
        # The first pair compiles.
        pairs = [(once(ours, compiled), once(bare, compiled)) for _ in range(8)][1:]
    return {
        "start_up_ms": statistics.median(one - other for (one, _), (other, _) in pairs) * 1e3,
        "httpx_imported": max(imported for (_, imported), _ in pairs),
    }


def leftovers() -> dict[str, float]:
    """How long a spool takes that a killed process left behind, as `leftovers` says."""
    print("a spool of a killed process", file=sys.stderr, flush=True)
    with sink() as url, sink() as other:
        command = [sys.executable, "-m", "benchmarks.leftovers", url, other]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=_TOO_LONG)
        told: dict[str, float] = json.loads(done.stdout)
        with urllib.request.urlopen(url, timeout=60) as answer:
            told["lost"] = told["calls"] - json.loads(answer.read())["unique"]
    return told


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


def measured(works: list[Work]) -> Results:
    """A run on this machine."""
    hot = [sys.executable, str(HERE / "hot_path.py")]
    return {
        "machine": machine(),
        **start_up(),
        "hot_path": json.loads(subprocess.run(hot, capture_output=True, check=True).stdout),
        "works": run(works),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quick", action="store_true", help="few contenders and fewer records, in less than two minutes")
    how.add_argument("--redraw", action="store_true", help="only show again what was measured before")
    parser.add_argument("--to", type=Path, help="where results are kept, as JSON; a quick run keeps none by default")
    given = parser.parse_args()
    kept: Path | None = given.to or (None if given.quick else HERE / "results.json")
    machines: Machines = json.loads(kept.read_text()) if kept is not None and kept.exists() else {}
    shown = machines
    if not given.redraw:
        start = time.monotonic()
        results = measured(quick()) if given.quick else {**measured(full()), "leftovers": leftovers()}
        results["minutes"] = round((time.monotonic() - start) / 60, 1)
        name = results["machine"]["processor"]
        shown = {name: results}
        # The newest is the last. Those of other processors stay.
        machines = {**{each: old for each, old in machines.items() if each != name}, **shown}
    print(table(shown))
    if kept is not None:
        kept.write_text(json.dumps(machines, indent=1) + "\n")
        kept.with_suffix(".svg").write_text(draw([*machines.values()][-1]))
        print(f"\nKept in {kept} and drawn in {kept.with_suffix('.svg')}.")


if __name__ == "__main__":
    main()
