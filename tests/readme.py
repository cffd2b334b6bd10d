"""The README as a text, and its Python blocks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

TREE = Path(__file__).parents[1]
README = (TREE / "README.md").read_text("utf-8")


class Block(NamedTuple):
    """A Python block of the README."""

    heading: str
    code: str


def python_blocks() -> list[Block]:
    """All of them, in order; `code` stands in the lines that it has in the README, so that errors name them."""
    blocks = []
    heading = ""
    for number, line in enumerate(README.splitlines()):
        if line.startswith("#") and not blocks_open(number):
            heading = line.lstrip("# ")
        if line.strip() == "```python":
            indent = len(line) - len(line.lstrip())
            inside = README.splitlines()[number + 1 :]
            end = next(index for index, one in enumerate(inside) if one.strip() == "```")
            blocks.append(Block(heading, "\n" * (number + 1) + "\n".join(one[indent:] for one in inside[:end])))
    return blocks


def blocks_open(number: int) -> bool:
    """Whether a line is inside of a fenced block, where # begins a comment."""
    fences = [line for line in README.splitlines()[:number] if line.lstrip().startswith("```")]
    return len(fences) % 2 == 1


BLOCKS = python_blocks()
