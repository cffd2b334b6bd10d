"""A site with a relay, once by each interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from logcollector_handler.integrations.browser import Limits
from tests.capturing import capturing
from tests.integrations.browser.sites import Site, asgi_site, wsgi_site

Make = Callable[..., Site]


@pytest.fixture(params=[asgi_site, wsgi_site], ids=["asgi", "wsgi"])
def make_site(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes the site, with the limits that it is given."""
    with capturing("shop", service="shop", environment="production", service_version="v7") as handler:

        def make(limits: Limits | None = None) -> Site:
            site: Site = request.param(handler, limits)
            return site

        yield make


@pytest.fixture
def site(make_site: Make) -> Site:
    return make_site()
