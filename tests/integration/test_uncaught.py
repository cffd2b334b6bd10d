"""The exception that ends a program arrives, whatever hook was set after ours."""

from __future__ import annotations

import pytest

from tests.integration.faulty import FaultyServer
from tests.integration.programs import messages, run

pytestmark = pytest.mark.integration

SETUP = """
from logcollector_handler import capture_uncaught
configure()
capture_uncaught()
"""

HIDING = {
    "a hook that does not chain": "sys.excepthook = lambda *_: None\n1 / 0",
    "one that shows nothing and ends": "sys.excepthook = lambda *_: sys.exit(4)\n1 / 0",
    "rich": "import rich.traceback; rich.traceback.install()\n1 / 0",
    "typer": """
import typer
app = typer.Typer()
@app.command()
def main():
    1 / 0
app()
""",
    "none": "1 / 0",
    "one that chains": "ours = sys.excepthook; sys.excepthook = lambda *args: ours(*args)\n1 / 0",
}


@pytest.mark.parametrize("hook", HIDING)
def test_the_exception_that_ends_the_program_arrives_once(server: FaultyServer, hook: str) -> None:
    ended = run(server, SETUP + HIDING[hook])
    assert ended.code != 0
    (entry,) = [each for each in server.stored if each["level"] == "FATAL"]
    assert entry["message"] == "uncaught exception: ZeroDivisionError: division by zero"
    assert entry["error_type"] == "ZeroDivisionError"
    assert str(entry["stack_trace"]).endswith("ZeroDivisionError: division by zero")


ENDINGS = {
    "sys.exit": "sys.exit(3)",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "one that a debugger has noted": """
def debugger():
    try:
        1 / 0
    except ZeroDivisionError as error:
        sys.last_value = sys.last_exc = error
debugger()
""",
    "nothing": "",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_does_not_end_the_program_is_not_logged(server: FaultyServer, ending: str) -> None:
    run(server, SETUP + "sys.excepthook = lambda *_: None\nlog.info('x')\n" + ENDINGS[ending])
    assert messages(server) == ["x"]


def test_an_interactive_shell_is_not_a_program_that_ends(server: FaultyServer) -> None:
    run(server, SETUP + "sys.excepthook = lambda *_: None\nlog.info('x')\nsys.ps1 = '> '\n1 / 0")
    assert messages(server) == ["x"]
