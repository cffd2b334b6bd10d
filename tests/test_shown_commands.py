"""What the README and the guides tell a person to type is there: commands, options, files, packages, variables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import httpx
import pytest

from logcollector_handler.cli import main
from logcollector_handler.cli.arguments import for_argparse, parser
from logcollector_handler.settings import SETTINGS
from logcollector_handler.testing import CollectorServer
from tests.readme import DOCUMENTS, README, TREE, blocks, prose

#: As text: Python 3.10 cannot read TOML.
PYPROJECT: Final = (TREE / "pyproject.toml").read_text("utf-8")
TOX: Final = (TREE / "tox.ini").read_text("utf-8")


def commands(name: str) -> Iterator[list[str]]:
    """The commands in the shell blocks of a document, in words."""
    for block in blocks(DOCUMENTS[name], "sh"):
        for line in block.code.splitlines():
            words = shlex.split(line, comments=True)
            while words:
                end = next((index for index, word in enumerate(words) if word in ("&&", "&", "|")), len(words))
                if words[:end]:
                    yield words[:end]
                words = words[end + 1 :]


def inline(name: str, start: str) -> Iterator[list[str]]:
    """The commands in the sentences of a document that start so, in words."""
    for command in re.findall(rf"`({start} [^`]+)`", prose(DOCUMENTS[name])):
        yield shlex.split(command)


def is_there(name: str, program: str) -> bool:
    """Whether a document's reader has a file: it stands beside the document or in the tree, or is to be saved first."""
    beside = TREE / Path(name).parent / program
    return beside.is_file() or (TREE / program).is_file() or f"Save this as `{program}`" in DOCUMENTS[name]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_commands_of_the_package_take_these_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for _, *arguments in [each for each in commands(name) if Path(each[0]).name == "logcollector"]:
        try:
            parser().parse_args(for_argparse(arguments))
        except SystemExit:
            pytest.fail(f"logcollector {shlex.join(arguments)}: {capsys.readouterr().err}")
    # Sentences name commands and options, but do not always give them their values.
    for _, *arguments in inline(name, "logcollector"):
        words = [each for each in arguments if re.fullmatch("[a-z]+", each)]
        with pytest.raises(SystemExit) as ended:
            main([*words[: 2 if words[0] == "spool" else 1], "--help"])
        assert ended.value.code == 0, arguments
        text = capsys.readouterr().out
        there = re.findall(r"--[\w-]+", text)
        assert [option for option in arguments if option.startswith("--") and option not in there] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_programs_that_are_run_are_there(name: str) -> None:
    missing = []
    for program, *arguments in [*commands(name), *inline(name, "python"), *inline(name, "(?:uvicorn|gunicorn)")]:
        first = arguments[0] if arguments else ""
        if program == "python" and first == "-m":
            package, *_ = path = arguments[1].split(".")
            # Those of the tests are run in the directory of the tests.
            found = (TREE / "tests" / "/".join(path)).with_suffix(".py").is_file() or bool(find_spec(package))
        elif program == "python" and first.endswith(".py"):
            found = is_there(name, first)
        elif program in ("uvicorn", "gunicorn") and ":" in first:
            found = is_there(name, f"{first.partition(':')[0]}.py")
        else:
            continue
        missing += [] if found else [(program, first)]
    assert missing == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_is_installed_is_known(name: str) -> None:
    extras = set(
        re.findall(r"^([\w-]+) = \[", PYPROJECT.partition("[project.optional-")[2].partition("[project.s")[0], re.M)
    )
    known = set(re.findall(r'^ *"([\w-]+)>=', PYPROJECT, re.M)) | {"tox"}
    known |= set(re.findall(r'= \["([\w-]+)>=', PYPROJECT))
    for program, *arguments in commands(name):
        if Path(program).name == "pip":
            for package in [each for each in arguments[1:] if not each.startswith("-")]:
                bare, _, extra = package.rstrip("]").partition("[")
                assert not extra or extra in extras, package
                assert bare in known | {".", "logcollector-handler"}, package
    assert set(re.findall(r"logcollector-handler\[(\w+)\]", DOCUMENTS[name])) <= extras


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_variables_are_those_of_settings(name: str) -> None:
    settings = {f"LOGCOLLECTOR_{setting.upper()}" for setting in SETTINGS}
    # LOGCOLLECTOR_ alone begins the name of each.
    assert set(re.findall(r"LOGCOLLECTOR_\w+", DOCUMENTS[name])) <= settings | {"LOGCOLLECTOR_"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_environments_of_tox_are_there(name: str) -> None:
    shown = re.findall(r"tox run -e ([\w-]+)", DOCUMENTS[name])
    there = re.findall(r"^\[testenv:([\w-]+)\]", TOX, re.M) + re.findall(r"\bpy3\d+\b", TOX)
    assert set(shown) <= set(there)


@pytest.mark.integration
def test_the_collector_answers_the_requests_and_queries_that_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    asked = 0
    with CollectorServer() as collector, httpx.Client(trust_env=False) as client:
        entry = {"message": "declined", "level": "ERROR", "service": "shop"}
        client.post(f"{collector.url}/logs", json={"logs": [entry]}).raise_for_status()
        for name in DOCUMENTS:
            for program, *arguments in commands(name):
                local = [each for each in arguments if each.startswith("http://localhost:8000")]
                if program == "curl" and local:
                    (url,) = local
                    data = [arguments[at + 1] for at, each in enumerate(arguments) if each == "-d"]
                    url = url.replace("http://localhost:8000", collector.url).replace("/4711", "/1")
                    with client.stream("GET", url, params=dict(each.split("=", 1) for each in data) or None) as answer:
                        assert answer.status_code == 200, (url, answer.read())
                    asked += 1
                elif (
                    program == "logcollector" and arguments[0] in ("query", "tail") and "--server-url" not in arguments
                ):
                    # The same language and filters, but `tail` goes on for ever.
                    assert main(["query", "--server-url", collector.url, *arguments[1:]]) == 0, capsys.readouterr().err
                    asked += 1
    assert asked > 15


def test_continuous_integration_runs_the_command_of_the_readme() -> None:
    found = re.findall(r"^command='(.+)'$", (TREE / ".ci/run").read_text("utf-8"), re.MULTILINE)
    assert len(found) == 1
    assert found[0] in [line.strip() for line in README.splitlines()]
