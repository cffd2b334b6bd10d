"""What real servers lose when they are told to end: the table of ends, measured with real processes.

    python tests/benchmarks/ends.py                   all of it, some half an hour
    python tests/benchmarks/ends.py gunicorn uWSGI    servers whose names begin so

Each server runs a tiny application that logs when it is loaded and in each request. It gets 200 requests and, right
after the last answer, its signal. What the collector has stored is compared with what the application wrote into a
plain file beside. Batches in a spool are sent after that, as a restart does. What the processes said of their losses
goes to stderr.

Servers that are not installed are named and left out. uWSGI comes from `pip install pyuwsgi`, or built from `uwsgi`;
mod_wsgi from `pip install mod_wsgi` where apache2 and its headers (apache2-dev) are, and runs as an ordinary user only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

# Behind the others, so that an installed package is the one that is measured.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from tests.integration.behaviours import Behaviour, answer, hang
from tests.integration.faulty import FaultyServer
from tests.integration.server_commands import SERVERS, Server
from tests.integration.servers import NotServingError, Outcome, serve_and_end

REQUESTS = 200
#: What the collector does, and the seconds after the signal from which on it is well.
COLLECTORS: dict[str, tuple[Behaviour, float | None]] = {
    "well": (answer(), None),
    "hangs": (hang(), None),
    "503, well 1 s later": (answer(503), 1.0),
}
LADDER: dict[str, dict[str, str]] = {
    "memory": {},
    "spool": {"spool_dir": "{directory}/spool"},
    "record": {"spool_dir": "{directory}/spool", "durability": "record"},
}
#: The server that stands for all of them with the last rung: there the logging call itself keeps the record.
RECORD = "gunicorn sync"
HEAD = [
    "server",
    "collector",
    "durability",
    "answered",
    "logged",
    "arrived",
    "sent from the spool",
    "repeated",
    "lost, and said",
    "lost in silence",
    "seconds to the end",
]


def measure(server: Server, collector: str, rung: str) -> Outcome:
    """One row of the table."""
    behaviour, well_after = COLLECTORS[collector]
    with FaultyServer(default=behaviour) as faulty, tempfile.TemporaryDirectory() as directory:
        settings = {name: value.format(directory=directory) for name, value in LADDER[rung].items()}
        return serve_and_end(
            server, faulty, Path(directory), settings, requests=REQUESTS, well_after=well_after, patience=40
        )


def cells(seen: Outcome) -> list[str]:
    """What one row says."""
    said = min(seen.said, seen.lost)
    return [
        f"{seen.answered} of {REQUESTS}",
        f"{seen.logged.total()}",
        f"{(seen.arrived & seen.logged).total()}",
        f"{(seen.stored & seen.logged).total() - (seen.arrived & seen.logged).total()}",
        f"{seen.repeated}",
        f"{said}",
        f"{seen.lost - said}",
        f"{seen.seconds:.1f}{', killed' if seen.killed else ''}",
    ]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("server", nargs="*", help="how the names of servers begin (default: all)")
    parser.add_argument("--collector", choices=COLLECTORS, action="append", help="what it does (default: all)")
    parser.add_argument("--durability", choices=LADDER, action="append", help="default: all")
    options = parser.parse_args()
    chosen = {name: each for name, each in SERVERS.items() if name.startswith(tuple(options.server or [""]))}
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for name, server in chosen.items():
        if server.executable is None:
            print(f"{name} is not installed.", file=sys.stderr)
            continue
        for collector in options.collector or COLLECTORS:
            for rung in options.durability or LADDER:
                if rung == "record" and name != RECORD and not options.durability:
                    continue
                row = [name, collector, rung]
                try:
                    seen = measure(server, collector, rung)
                except NotServingError as error:
                    print(f"{name} does not start:\n{error}", file=sys.stderr)
                    row += ["does not start", *[""] * (len(HEAD) - 4)]
                else:
                    row += cells(seen)
                    said = [line for line in seen.output.splitlines() if "logcollector-handler:" in line]
                    print("\n".join([f"{' / '.join(row)}:", *said]), file=sys.stderr)
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
