"""The module for browsers, as the relay serves it: all of its files, and no other."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

import logcollector_handler
from logcollector_handler.integrations.browser.files import NAMES
from tests.integrations.browser.sites import Site

FOLDER = Path(logcollector_handler.__file__).parent / "javascript"
#: What one file loads of the others. Types are imported in comments only.
LOADED = re.compile(
    r"""^import .*?from "\./(.+?)";|\bimport\("\./([\w.]+)"\)\.then|new URL\("\./(.+?)",""", re.MULTILINE
)


def test_all_that_the_module_and_its_worker_load_is_served_and_nothing_else() -> None:
    found, waiting = set(), ["browser.js"]
    while waiting:
        name = waiting.pop()
        found.add(name)
        loaded = {each for groups in LOADED.findall((FOLDER / name).read_text("utf-8")) for each in groups if each}
        waiting += loaded - found
    assert found == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_file_is_served_as_it_stands(site: Site, name: str) -> None:
    plain = site.request("GET", name)
    content = (FOLDER / name).read_bytes()
    assert (plain.status, plain.body) == (200, content)
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert plain.headers["x-content-type-options"] == "nosniff"
    assert plain.headers["content-length"] == str(len(content))
    packed = site.request("GET", name, {"accept-encoding": "br, gzip"})
    assert (packed.headers["content-encoding"], gzip.decompress(packed.body)) == ("gzip", content)


def test_a_browser_that_has_a_file_is_told_so_without_its_body(site: Site) -> None:
    etag = site.request("GET", "browser.js").headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = site.request("GET", "browser.js", {"if-none-match": known})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
        assert answer.headers["cache-control"] == "no-cache"
    assert site.request("GET", "browser.js", {"if-none-match": '"other"'}).status == 200


def test_head_is_answered_without_a_body(site: Site) -> None:
    answer = site.request("HEAD", "browser.js")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 0
    assert site.request("POST", "browser.js").status == 405
