"""The README and the guides in `examples`: their texts, their blocks of code, and their Python run as programs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Final, NamedTuple

TREE: Final = Path(__file__).parents[1]
#: The texts by their paths in the tree: the README, and the guides, which stand beside the programs that they explain.
DOCUMENTS: Final = {
    path.relative_to(TREE).as_posix(): path.read_text("utf-8")
    for path in [TREE / "README.md", *sorted((TREE / "examples").rglob("*.md"))]
    if "node_modules" not in path.parts
}
README: Final = DOCUMENTS["README.md"]
#: The heading of the configuration in the README, its first block; and how a guide says that it goes on from that.
USE_IT: Final = "Use it"
GOES_ON: Final = "(../../README.md#use-it)"

_FENCED: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of code in a text."""

    heading: str
    code: str


def prose(text: str) -> str:
    """The text with empty lines for its blocks of code, in which `#` begins a comment."""
    return _FENCED.sub(lambda found: "\n" * found[0].count("\n"), text)


def blocks(text: str, language: str) -> list[Block]:
    """The blocks of a language, in order, each with the heading above it."""
    return [Block(heading, code) for _, heading, code in _numbered(text, language)]


def program(text: str) -> str:
    """The Python of a text, each line where it stands there, so that errors name it."""
    lines = [""] * (text.count("\n") + 1)
    for start, _, code in _numbered(text, "python"):
        inside = code.splitlines()
        lines[start : start + len(inside)] = inside
    return "\n".join(lines)


def run(name: str, directory: Path, server_url: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the Python of a document as one program, behind the configuration in the README where it goes on from that.

    Args:
        name: the path of the document in the tree.
        directory: an empty one, where the program runs.
        server_url: where it sends its logs.
        code: the program, where it is not that of the document as it stands.
    """
    code = code or program(DOCUMENTS[name])
    if GOES_ON in DOCUMENTS[name]:
        (directory / "use_it.py").write_text(blocks(README, "python")[0].code, "utf-8")
        # In the first line, which is the title of the guide.
        code = f"from use_it import *{code}"
    (directory / "guide.py").write_text(code, "utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", "guide.py"],
        cwd=directory,
        env={**os.environ, "LOGCOLLECTOR_SERVER_URL": server_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _numbered(text: str, language: str) -> list[tuple[int, str, str]]:
    """The blocks of a language: the index of the first line, the heading, the code."""
    lines = prose(text).splitlines()
    found = []
    for fenced in _FENCED.finditer(text):
        if fenced[2] == language:
            start = text.count("\n", 0, fenced.start(3))
            heading = next((line.lstrip("# ") for line in reversed(lines[:start]) if line.startswith("#")), "")
            found.append((start, heading, textwrap.dedent(fenced[3])))
    return found
