"""The settings as the README's table. `python -m logcollector_handler.settings.table README.md` writes it there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from . import SETTINGS

_TABLE: Final = re.compile(r"^\| setting \|.*\n(?:\|.*\n)*", re.MULTILINE)


def with_table(text: str) -> str:
    """The text of a README, with the table of settings in it brought up to date."""
    rows = [
        f"| `{name}` | {each.default_shown} | {each.kind.unit} | {each.help} |".replace("|  |", "| |")
        for name, each in SETTINGS.items()
    ]
    lines = ["| setting | default | unit | what it does |", "|---|---|---|---|", *rows]
    return _TABLE.sub(lambda _: "".join(f"{line}\n" for line in lines), text)


if __name__ == "__main__":
    readme: Final = Path(sys.argv[1])
    readme.write_text(with_table(readme.read_text("utf-8")), "utf-8")
