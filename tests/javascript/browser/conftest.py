"""A site with a relay, and one visitor for all tests. Each test has a site at another port, so its storage is empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests import needed
from tests.capturing import capturing

if TYPE_CHECKING:
    from tests.javascript.browser.sites import Site, Visitor


@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    binary, driver = needed.program("chromium", "chromium"), needed.program("chromedriver", "chromium-driver")
    # Not at the top: the module skips its importer where Selenium is not installed.
    from tests.javascript.browser.sites import Visitor

    visitor = Visitor(binary, driver, tmp_path_factory.mktemp("chromium"))
    yield visitor
    visitor.quit()


@pytest.fixture
def visitor(chromium: Visitor) -> Iterator[Visitor]:
    """The visitor with one empty tab."""
    chromium.leave_all()
    chromium.complaints()
    yield chromium
    chromium.leave_all()


@pytest.fixture
def site(visitor: Visitor) -> Iterator[Site]:
    from tests.javascript.browser.sites import Site

    with capturing("shop", service="shop", environment="production") as handler, closing(Site(handler)) as site:
        yield site
        visitor.leave_all()
