"""What each command of the command line takes: its arguments, with their defaults and help."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from logcollector_handler import __version__

from . import kinds

#: Runs a command and returns the exit status.
Run = Callable[[argparse.Namespace], int]

_LANGUAGE: Final = (
    'A QUERY has words and "phrases", and what fields are: level>=warn, status:500, path:/api/*, duration_ms>50, '
    "has:trace_id. OR, NOT, a minus before a part and parentheses combine them."
)
#: The options of a query that no value follows, and the short ones: all else with one dash is a part of the query.
_FLAGS: Final = ("--json", "--csv", "--traces")
_SHORT: Final = re.compile(r"-h|-n[0-9]*")


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line. `load` of what it parsed imports the command and gives its function."""
    whole = argparse.ArgumentParser(
        prog="logcollector", description="See the logging handler at work, and the logs that it ships."
    )
    whole.add_argument("--version", action="version", version=f"logcollector-handler {__version__}")
    commands = whole.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser(
        "demo",
        help="watch an example application log into the embedded collector",
        description="Watch an example application log into the embedded collector, and see whether all of it arrived.",
        epilog="Exit status: 0 everything that was logged is stored, once; 1 it is not.",
    )
    demo.add_argument("--seconds", type=kinds.positive, default=5.0, help="how long the application logs (default: 5)")
    demo.add_argument("--rate", type=kinds.positive, default=1000.0, help="records a second (default: 1000)")
    demo.add_argument("--keep", action="store_true", help="keep collector and database afterwards, until Ctrl-C")
    demo.set_defaults(load=_load_demo)

    serve = commands.add_parser(
        "serve",
        help="run the embedded collector until Ctrl-C",
        description="Run the embedded collector, a small log collection server for development, until Ctrl-C.",
    )
    serve.add_argument("--port", type=kinds.port, default=8000, help="port; 0 takes a free one (default: 8000)")
    serve.add_argument(
        "--host", default="127.0.0.1", help="address; all but this machine needs a token (default: 127.0.0.1)"
    )
    _add_token(serve, "token that clients must send (better set LOGCOLLECTOR_API_KEY, which no other user sees)")
    serve.add_argument(
        "--database", type=Path, default=Path("logs.sqlite"), help="SQLite file for the logs (default: logs.sqlite)"
    )
    serve.add_argument(
        "--keep-days", type=kinds.positive, metavar="DAYS", help="remove logs that are older (default: never)"
    )
    serve.add_argument(
        "--max-size",
        type=kinds.positive,
        metavar="MIB",
        help="remove the logs that arrived first when the file is larger; at least 64 (default: never)",
    )
    serve.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let pages of this origin, such as https://shop.example, post logs; may be given more than once",
    )
    serve.set_defaults(load=_load_serve)

    tail = commands.add_parser(
        "tail",
        help="follow the logs of a collector in the terminal",
        description="Follow the logs of a collector until Ctrl-C. It reconnects to a server that was restarted.",
        epilog=_LANGUAGE,
    )
    _add_filters(tail)
    tail.add_argument(
        "-n",
        "--last",
        type=kinds.lines,
        metavar="N",
        help="first show the last N logs that are stored already, up to 1000 (default: 10; with --since all of them)",
    )
    tail.add_argument("--json", action="store_true", help="print each entry as one line of JSON, as it is stored")
    tail.set_defaults(load=_load_tail)

    query = commands.add_parser(
        "query",
        help="print the logs of a collector that match, the newest first",
        description="Print the logs of a collector that match, the newest first.",
        epilog=f"{_LANGUAGE} Exit status: 0 it was answered to the end; 1 it was not; 2 the arguments are wrong.",
    )
    _add_filters(query)
    query.add_argument("--until", metavar="TIME", help="only before this time")
    query.add_argument(
        "--limit", type=kinds.limit, default="100", metavar="N", help="at most so many, or `all` (default: 100)"
    )
    form = query.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print each entry as one line of JSON, as it is stored")
    form.add_argument("--csv", action="store_true", help="print CSV")
    query.add_argument("--columns", metavar="NAMES", help="fields of JSON or CSV, with commas between (default: all)")
    query.set_defaults(load=_load_query)

    spool = commands.add_parser("spool", help="list and send the batches in a spool directory")
    actions = spool.add_subparsers(title="actions", dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("ls", help="list the batches, by server and state")
    show.add_argument("directory", type=Path, metavar="DIR", help="the spool_dir of the handlers")
    show.set_defaults(load=_load_spool_ls)
    replay = actions.add_parser(
        "replay",
        help="send the batches that dead processes left; running processes send theirs themselves",
        description="Send the batches that dead processes left, and those that were handed over, as they lie there "
        "when it begins. All other settings come from LOGCOLLECTOR_… variables, as for the handler.",
        epilog="Exit status: 0 all of them were settled; 1 some are left, or the directory is not one with batches for "
        "this server; 2 the settings are wrong.",
    )
    replay.add_argument("directory", type=Path, metavar="DIR", help="the spool_dir of the handlers")
    replay.add_argument("--server-url", help="default: LOGCOLLECTOR_SERVER_URL, or http://localhost:8000")
    replay.add_argument("--wire", metavar="FORMAT", help="default: LOGCOLLECTOR_WIRE, or collector")
    replay.add_argument(
        "--seconds",
        type=kinds.positive,
        default=300.0,
        help="give up after that long without a delivery (default: 300)",
    )
    replay.set_defaults(load=_load_spool_replay)

    forward = commands.add_parser(
        "forward",
        help="send what handlers with `deliver: false` leave in a spool directory, until SIGTERM or Ctrl-C",
        description="Send what lies in a spool directory for this server, and what is left there from now on, until "
        "SIGTERM or Ctrl-C; then what is left, for at most `shutdown_timeout` seconds. The directory need not exist "
        "yet. All other settings come from LOGCOLLECTOR_… variables, as for the handler.",
        epilog="Exit status: 0 after SIGTERM or SIGINT, as process 1 of a container 128 + signal; 2 the settings are "
        "wrong.",
    )
    forward.add_argument("directory", type=Path, metavar="DIR", help="the spool_dir of the handlers")
    forward.add_argument("--server-url", help="default: LOGCOLLECTOR_SERVER_URL, or http://localhost:8000")
    forward.add_argument("--wire", metavar="FORMAT", help="default: LOGCOLLECTOR_WIRE, or collector")
    forward.add_argument(
        "--api-key", metavar="KEY", help="better set LOGCOLLECTOR_API_KEY, which no other user sees; the default"
    )
    forward.set_defaults(load=_load_forward)

    doctor = commands.add_parser(
        "doctor",
        help="check whether a handler with these settings can do its work",
        description="Check the way to the server, with one test record, and the spool. Settings come from the "
        "arguments, then from the file, then from LOGCOLLECTOR_… variables, as for the handler.",
        epilog="Exit status: 0 no check failed; 1 a check failed; 2 the settings are wrong.",
    )
    doctor.add_argument("--config", type=Path, metavar="FILE", help="dictConfig as JSON, TOML or YAML")
    doctor.add_argument("--server-url", help="default: http://localhost:8000")
    doctor.add_argument("--wire", metavar="FORMAT", help="default: collector")
    doctor.add_argument("--verify", metavar="FILE", help="certificates of the CA, or a directory of them")
    doctor.add_argument("--proxy", help="URL of a proxy")
    doctor.add_argument("--spool-dir", metavar="DIR", help="the spool_dir of the handlers")
    doctor.set_defaults(load=_load_doctor)
    return whole


# A command is imported only when it is run, so that --help and --version work without extras.


def _load_demo() -> Run:
    from .demo import run

    return run


def _load_serve() -> Run:
    from .serve import run

    return run


def _load_tail() -> Run:
    from .tail import run

    return run


def _load_query() -> Run:
    from .query import run

    return run


def _load_spool_ls() -> Run:
    from .spool import show

    return show


def _load_spool_replay() -> Run:
    from .spool import replay

    return replay


def _load_forward() -> Run:
    from .forward import run

    return run


def _load_doctor() -> Run:
    from .doctor import run

    return run


def _environment(name: str) -> str | None:
    return os.environ.get(name) or None


def _add_token(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--token", default=_environment("LOGCOLLECTOR_API_KEY"), help=what)


def _add_filters(parser: argparse.ArgumentParser) -> None:
    """What `tail` and `query` have in common."""
    parser.add_argument("query", nargs="*", metavar="QUERY", help="what to look for (see below)")
    parser.add_argument(
        "--server-url",
        default=_environment("LOGCOLLECTOR_SERVER_URL") or "http://localhost:8000",
        help="(default: LOGCOLLECTOR_SERVER_URL, or http://localhost:8000)",
    )
    _add_token(parser, "token of the collector (better set LOGCOLLECTOR_API_KEY, which no other user sees)")
    parser.add_argument("--since", metavar="TIME", help="only from this time on: -1h, an ISO date, or Unix seconds")
    parser.add_argument("--level", type=kinds.level, metavar="LEVEL", help="this level and those above it")
    parser.add_argument("--service", action="append", metavar="VALUE", help="only this service; may be repeated")
    for name in ("environment", "logger", "trace-id", "user-id", "session-id"):
        parser.add_argument(f"--{name}", metavar="VALUE", help=f"only this {name.removesuffix('-id')}")
    parser.add_argument("--text", help="only logs with words that begin like these in their message or stack trace")
    parser.add_argument("--traces", action="store_true", help="print whole stack traces, not only their last lines")


def for_argparse(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--since -1h` as `--since=-1h`, and all parts of a query behind `--`, wherever they stood.

    argparse takes both `-1h` and the `-word` of a query for options.
    """
    if arguments[:1] not in (["query"], ["tail"]):
        return list(arguments)
    options: list[str] = []
    parts: list[str] = []
    before = ""
    for number, argument in enumerate(arguments):
        takes_value = before == "-n" or (before.startswith("--") and "=" not in before and before not in _FLAGS)
        if before in ("--since", "--until") and re.match("-[0-9]", argument):
            options[-1] += f"={argument}"
        elif argument == "--":
            parts += arguments[number + 1 :]
            break
        elif number == 0 or takes_value or argument.startswith("--") or _SHORT.fullmatch(argument):
            options.append(argument)
        else:
            parts.append(argument)
        before = argument
    return [*options, "--", *parts] if parts else options
