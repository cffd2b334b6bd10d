"""The command line: its help, its arguments, and its messages for wrong ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from subprocess import CompletedProcess
from subprocess import run as run_program

import pytest

from logcollector_handler import __version__
from logcollector_handler.cli import main
from logcollector_handler.cli.arguments import for_argparse, parser


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"logcollector-handler {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["demo", "serve", "--version"]),
        (["demo", "--help"], ["--seconds", "--rate", "--keep", "Exit status"]),
        (["serve", "--help"], ["--port", "--database", "default: 8000"]),
        (["doctor", "--help"], ["--config", "--server-url", "--verify", "--proxy", "--spool-dir", "Exit status"]),
    ],
)
def test_help_names_every_command_and_option(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert [word for word in words if word not in out] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["dome"], "invalid choice: 'dome'"),
        (["demo", "--rate", "fast"], "argument --rate: 'fast' is not a number above 0 and up to 1,000,000"),
        (["demo", "--rate", "1000001"], "argument --rate: '1000001' is not a number above 0 and up to 1,000,000"),
        (["demo", "--seconds", "0"], "argument --seconds: '0' is not a number"),
        (["demo", "--seconds", "nan"], "argument --seconds: 'nan' is not a number"),
        (["serve", "--port", "65536"], "argument --port: '65536' is not a port from 0 to 65535"),
        (["serve", "--port", "-1"], "argument --port: '-1' is not a port from 0 to 65535"),
        (["serve", "--port", "http"], "argument --port: 'http' is not a port from 0 to 65535"),
        (["tail", "--level", "loud"], "argument --level: 'loud' is none of TRACE, DEBUG, INFO, WARN, ERROR, FATAL"),
        (["serve", "there"], "unrecognized arguments: there"),
    ],
)
def test_wrong_arguments_are_reported(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert re.match("usage: logcollector", err)


@pytest.mark.integration
@pytest.mark.parametrize("command", ["demo", "serve"])
@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    run: Callable[..., CompletedProcess[str]], command: str, missing: str
) -> None:
    ended = run(command, before=f"import sys; sys.modules['{missing}'] = None")
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"logcollector: The embedded collector needs {missing}, which is not installed. "
        "Install it with: pip install 'logcollector-handler[collector]'\n"
    )


@pytest.mark.parametrize(("given", "level"), [("WARNING", "WARN"), ("critical", "FATAL"), ("error", "ERROR")])
def test_tail_takes_the_names_of_levels_that_people_use(given: str, level: str) -> None:
    assert parser().parse_args(["tail", "--level", given]).level == level


@pytest.mark.integration
def test_the_package_itself_is_the_command_line_too() -> None:
    ended = run_program([sys.executable, "-m", "logcollector_handler", "--version"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, f"logcollector-handler {__version__}\n"), ended.stderr
    ended = run_program([sys.executable, "-m", "logcollector_handler", "dome"], capture_output=True, text=True)
    assert (ended.returncode, "usage: logcollector" in ended.stderr) == (2, True)


@pytest.mark.integration
def test_help_needs_no_extra(run: Callable[..., CompletedProcess[str]]) -> None:
    ended = run("demo", "--help", before="import sys; sys.modules['starlette'] = None")
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("given", "query"),
    [
        (["-refund"], "-refund"),
        (["card", "-level:info", "-7"], "card -level:info -7"),
        (["card -refund"], "card -refund"),
        (["-(a", "OR", "b)"], "-(a OR b)"),
        (["-n:9", "-h:1"], "-n:9 -h:1"),
        (["a", "--json", "-b", "--since", "-1h", "-c", "--service=x", "-d", "--level", "info", "e"], "a -b -c -d e"),
        (["a", "--", "-b", "--c"], "a -b --c"),
        (["a", "-", "b"], "a - b"),
        (["--", "query"], "query"),
        ([], ""),
    ],
)
@pytest.mark.parametrize("command", ["query", "tail"])
def test_a_part_of_a_query_may_begin_with_a_minus(given: list[str], query: str, command: str) -> None:
    options = parser().parse_args(for_argparse([command, *given]))
    assert " ".join(options.query) == query


def test_options_of_one_letter_and_their_values_are_no_parts_of_a_query(capsys: pytest.CaptureFixture[str]) -> None:
    options = parser().parse_args(for_argparse(["tail", "-n", "5", "--since", "-2h", "-a"]))
    assert (options.last, options.since, options.query) == (5, "-2h", ["-a"])
    assert parser().parse_args(for_argparse(["tail", "-n7"])).last == 7
    for wrong, message in (
        (["query", "--trace-id", "-x"], "expected one argument"),
        (["query", "--refund"], "unrecognized arguments: --refund"),
        (["serve", "-x"], "unrecognized arguments: -x"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(wrong)
        assert ended.value.code == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["query", "-h"])
    assert ended.value.code == 0
