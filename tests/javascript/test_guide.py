"""What the guide shows of the client for Node works as it stands there."""

from __future__ import annotations

import re

import pytest

from tests.integration.faulty import FaultyServer
from tests.javascript.conftest import PACKAGE, App
from tests.readme import DOCUMENTS, blocks

GUIDE = DOCUMENTS["examples/javascript/README.md"]


@pytest.mark.integration
def test_the_script_of_the_guide(app: App, server: FaultyServer) -> None:
    (script,) = blocks(GUIDE, "js")
    ended = app.run(script.code.replace("http://localhost:8000", server.url))
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    order, bad, fetched, sold = server.stored
    assert (order["message"], order["user_id"], order["metadata"]["amount"]) == ("order placed", "12345", 99.5)
    assert (bad["error_type"], bad["metadata"]["order"]) == ("SyntaxError", "A-1")
    assert fetched["duration_ms"] >= 0
    assert sold["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_the_options_that_the_guide_names_are_all_there_are() -> None:
    (section,) = re.findall(r"^## Options\n(.*?)^## ", GUIDE, re.MULTILINE | re.DOTALL)
    source = (PACKAGE / "settings.js").read_text()
    options = set(re.findall(r"^ \* @property \{[^}]+\} \[(\w+)\]", source, re.MULTILINE))
    assert len(options) > 12
    assert options <= set(re.findall(r"`(\w+)`", section))
