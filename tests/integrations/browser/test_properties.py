"""Whatever is posted, it is answered, nothing is raised, and the server takes what was handed on."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from logcollector_handler.entry.model import COLUMNS
from logcollector_handler.integrations.browser import Limits
from tests.capturing import capturing
from tests.integrations.browser.sites import wsgi_site

_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from([*COLUMNS, "name", "args", "exc_info", "client_address", "user_agent", "password"]) | st.text()
_ENTRIES: Any = st.dictionaries(_NAMES, _VALUES, max_size=6) | _VALUES
_GOOD: Any = st.builds(
    lambda fields, metadata, message: {**fields, "message": message, "metadata": metadata},
    st.dictionaries(_NAMES.filter(lambda name: name not in COLUMNS), _VALUES, max_size=6),
    st.dictionaries(_NAMES, _VALUES, max_size=6),
    st.text(),
)


@given(st.lists(_ENTRIES | _GOOD, max_size=4))
def test_any_body_is_answered_and_what_is_taken_is_what_the_server_takes(entries: list[Any]) -> None:
    with capturing("shop", service="shop", environment="production") as handler:
        answer = wsgi_site(handler, Limits()).post_bytes(json.dumps({"logs": entries}).encode())
        assert answer.status in (200, 400, 422)
        assert len(handler.entries) == (len(entries) if answer.status == 200 else 0)
        for entry in handler.entries:
            assert (entry["service"], entry["environment"]) == ("shop", "production")
            assert entry["metadata"]["client_address"] == "203.0.113.5"


@given(st.binary(max_size=100), st.text(max_size=10))
def test_any_bytes_and_headers_are_answered(body: bytes, text: str) -> None:
    header = text.encode("utf-8", "replace").decode("latin-1")
    with capturing("shop") as handler:
        site = wsgi_site(handler)
        for name in ("content-encoding", "idempotency-key", "traceparent", "user-agent"):
            assert site.post_bytes(body, **{name: header}).status in (200, 400, 415, 422)
        for name in ("origin", "sec-fetch-site", "host"):
            assert site.request("POST", "logs", {name: header}, body).status in (400, 403)
