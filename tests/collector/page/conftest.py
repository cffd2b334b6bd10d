"""One browser for all tests of the page, and the page of a collector with a fresh store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from logcollector_handler.collector.app import create_app
from logcollector_handler.collector.server import BackgroundServer
from logcollector_handler.collector.store import Store
from tests import needed

if TYPE_CHECKING:
    from tests.collector.page.browser import Page, webdriver


@pytest.fixture(scope="package")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One browser for all tests of the page. Each test has a collector on another port, so its storage is empty."""
    binary, driver = needed.program("chromium", "chromium"), needed.program("chromedriver", "chromium-driver")
    # Not at the top: the module skips its importer where Selenium is not installed.
    from tests.collector.page.browser import FLAGS, webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def page(store: Store, chromium: webdriver.Chrome) -> Iterator[Page]:
    from tests.collector.page.browser import Page

    server = BackgroundServer(create_app(store, local_only=True))
    server.start()
    with closing(Page(chromium, server.url)) as page:
        page.complaints()
        yield page
    server.stop()
