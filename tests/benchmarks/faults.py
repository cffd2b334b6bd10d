"""What is lost, and what is stored twice, when things fail: the table of faults, measured with real processes.

    python tests/benchmarks/faults.py              all of it, some four minutes
    python tests/benchmarks/faults.py --skip-growth    without the million records

For each rung of the durability ladder an application logs numbered records while something goes wrong; then another
process uses the same settings, as after a restart, and what the server has is compared with the logging calls that
had returned. The server remembers keys.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Behind the others, so that an installed package is the one that is measured.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.integration.behaviours import answer
from tests.integration.faulty import FaultyServer
from tests.integration.programs import PRELUDE

#: Records a second of an application that logs steadily.
RATE = 2000
LADDER = {
    "memory": {},
    "`spool_dir`": {"spool_dir": "{spool}"},
    "`durability: record`": {"spool_dir": "{spool}", "durability": "record"},
}
#: A record counts from here on: its call has returned.
TOLD = """
def tell(name):
    os.write(1, (name + "\\n").encode())
def steadily(count):
    began = time.monotonic()
    for n in range(count):
        log.info("r%d", n)
        tell("r%d" % n)
        time.sleep(max(0.0, began + n / RATE - time.monotonic()))
handler = configure(**SETTINGS)
"""
GROWTH = """
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE") / 2**20
log.info("warm")
handler.flush(1)
before = resident()
for n in range(1_000_000):
    log.info("order %d placed for user %d", n, n % 1000, extra={"user_id": n % 1000, "amount": n / 100})
    if n % 200 == 0: time.sleep(0.002)
print("grown", resident() - before, flush=True)
sys.stdin.read()
handler.flush(120)
stats = handler.stats()
print("lost", stats.accepted - stats.delivered, flush=True)
"""


@dataclass
class Measured:
    """What became of the records of one application."""

    logged: int
    lost: int
    repeated: int


class Application:
    """A program, and what it told."""

    def __init__(self, server: FaultyServer, settings: dict[str, str], program: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{PRELUDE}\nRATE = {RATE}\nSETTINGS = {settings!r}\n{textwrap.dedent(program)}"],
            env={**os.environ, "SERVER": server.url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def wait(self) -> list[str]:
        out, _ = self.process.communicate(timeout=120)
        return [line for line in out.split("\n")[:-1] if line]

    def read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def steady(trouble: Callable[[FaultyServer, Application], None], prelude: str = "") -> Callable[..., list[str]]:
    """Logs for five seconds; in the midst of it, when the first batch has arrived, trouble."""

    def scenario(server: FaultyServer, settings: dict[str, str]) -> list[str]:
        application = Application(server, settings, f"{TOLD}{prelude}\nsteadily({5 * RATE})\nhandler.close()\n")
        # Not before it is there: a busy machine takes its time.
        assert server.wait_for_stored(1, 60)
        trouble(server, application)
        return application.wait()

    return scenario


def unavailable(server: FaultyServer, application: Application) -> None:
    server.default = answer(503)
    time.sleep(3)
    server.default = answer()


def refused(server: FaultyServer, application: Application) -> None:
    server.refuse()
    time.sleep(3)
    server.resume()


def killed(number: int) -> Callable[[FaultyServer, Application], None]:
    return lambda server, application: application.process.send_signal(number)


def exits(server: FaultyServer, settings: dict[str, str]) -> list[str]:
    return Application(server, settings, TOLD + "for n in range(5000): log.info('r%d', n); tell('r%d' % n)").wait()


def forks(server: FaultyServer, settings: dict[str, str]) -> list[str]:
    program = """
for n in range(200): log.info("p%d", n); tell("p%d" % n)
for child in range(4):
    if not os.fork():
        for n in range(500): log.info("c%d-%d", child, n); tell("c%d-%d" % (child, n))
        sys.exit()
for _ in range(4): os.wait()
"""
    return Application(server, settings, TOLD + program).wait()


FAULTS: dict[str, Callable[[FaultyServer, dict[str, str]], list[str]]] = {
    "3 s of 503": steady(unavailable),
    "3 s refused": steady(refused),
    "exit without close": exits,
    "SIGTERM": steady(killed(signal.SIGTERM)),
    "SIGTERM, `drain_on_signals()`": steady(
        killed(signal.SIGTERM), "import logcollector_handler; logcollector_handler.drain_on_signals()"
    ),
    "SIGKILL, restart": steady(killed(signal.SIGKILL)),
    "fork, 4 children": forks,
}


def measure(rung: str, fault: str) -> Measured:
    """One cell of the table."""
    with FaultyServer() as server, tempfile.TemporaryDirectory() as spool:
        settings = {name: value.format(spool=spool) for name, value in LADDER[rung].items()}
        logged = FAULTS[fault](server, settings)
        # What comes after it, as a restart does; without a spool there is nothing to find.
        heir = "handler = configure(**SETTINGS)\nlog.info('heir')\nhandler.flush(20)\ntime.sleep(1)\nhandler.flush(20)"
        Application(server, settings, heir).wait()
        stored = Counter(str(entry["message"]) for entry in server.stored)
    lost = set(logged) - set(stored)
    return Measured(len(logged), len(lost), sum(count - 1 for count in stored.values() if count > 1))


def growth(rung: str) -> tuple[float, int]:
    """MiB more after a million records during an outage, and how many of them did not arrive after it."""
    with FaultyServer() as server, tempfile.TemporaryDirectory() as spool:
        settings = {name: value.format(spool=spool) for name, value in LADDER[rung].items()}
        server.refuse()
        application = Application(server, settings, f"handler = configure(**SETTINGS)\n{GROWTH}")
        grown = float(application.read().split()[1])
        server.resume()
        (line,) = application.wait()
    return grown, int(line.split()[1])


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-growth", action="store_true", help="without the million records")
    options = parser.parse_args()
    head = ["records lost (repeated)", *FAULTS]
    if not options.skip_growth:
        head.append("1,000,000 in an outage")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    for rung in LADDER:
        cells = []
        for fault in FAULTS:
            seen = measure(rung, fault)
            repeated = f" ({seen.repeated:,})" if seen.repeated else ""
            cells.append(f"{seen.lost:,}{repeated} of {seen.logged:,}")
        if not options.skip_growth:
            grown, lost = growth(rung)
            cells.append(f"{grown:.0f} MiB, {lost:,} lost")
        print(f"| {' | '.join([rung, *cells])} |", flush=True)


if __name__ == "__main__":
    main()
