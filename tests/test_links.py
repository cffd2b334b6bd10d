"""The links between the README and the guides lead somewhere, and all guides and programs can be found by them."""

from __future__ import annotations

import posixpath
import re
from typing import Final

import pytest

from tests.readme import DOCUMENTS, TREE, prose

_LINK: Final = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The names that GitHub gives to the headings of a text; of two headings with one name the second gets a number."""
    names: list[str] = []
    for heading in _HEADING.findall(prose(text)):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        again = names.count(name)
        names.append(f"{name}-{again}" if again else name)
    return set(names)


def targets(name: str) -> set[tuple[str, str]]:
    """Where the links of a document lead: a path in the tree, and an anchor there or nothing."""
    found = set()
    for link in _LINK.findall(prose(DOCUMENTS[name])):
        path, _, anchor = link.partition("#")
        found.add((posixpath.normpath(posixpath.join(posixpath.dirname(name), path)) if path else name, anchor))
    return found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_link_into_the_tree_leads_somewhere(name: str) -> None:
    dead = [
        (path, anchor)
        for path, anchor in targets(name)
        if not (TREE / path).exists() or (anchor and anchor not in anchors(DOCUMENTS[path]))
    ]
    assert dead == []


def test_the_readme_leads_to_each_guide() -> None:
    assert set(DOCUMENTS) - {path for path, _ in targets("README.md")} == {"README.md"}


def test_each_program_is_in_the_guide_beside_it() -> None:
    examples = TREE / "examples"
    programs = {path.relative_to(TREE).as_posix() for path in examples.glob("*/*") if path.suffix in (".py", ".mjs")}
    assert len(programs) > 16
    linked = {path for name in DOCUMENTS for path, _ in targets(name)}
    assert programs - linked == set()


@pytest.mark.parametrize(
    ("heading", "anchor"),
    [
        ("SIGTERM and containers", "sigterm-and-containers"),
        ("OpenTelemetry (OTLP)", "opentelemetry-otlp"),
        ("The end of the process, and forks", "the-end-of-the-process-and-forks"),
        ("`flush()` and [close](x.md)", "flush-and-close"),
        ("A snake_case name - and more", "a-snake_case-name---and-more"),
    ],
)
def test_anchors_are_made_as_github_makes_them(heading: str, anchor: str) -> None:
    assert anchors(f"# {heading}\n\n```sh\n# no heading\n```\n") == {anchor}


def test_a_heading_that_repeats_is_numbered() -> None:
    assert anchors("# Logs\n## Keep\n# Logs\n") == {"logs", "keep", "logs-1"}
