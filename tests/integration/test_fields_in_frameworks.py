"""structlog in Flask as its documentation has it, and bound fields under greenlets."""

from __future__ import annotations

import logging
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
import structlog

from logcollector_handler.integrations.structlog import LogCollectorProcessor
from logcollector_handler.testing import CapturingHandler
from tests.capturing import capturing, fields

pytestmark = pytest.mark.integration


@pytest.fixture
def handler() -> Iterator[CapturingHandler]:
    with capturing("nobody") as made:
        yield made
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("by_processor", [True, False])
def test_structlogs_flask_example_ships_both_events_with_the_requests_fields(
    by_processor: bool, handler: CapturingHandler
) -> None:
    # Here, for the environments of the quick tests collect this and have no Flask.
    import flask

    logging.getLogger().setLevel(logging.INFO)
    if by_processor:
        last = [LogCollectorProcessor(handler), structlog.processors.KeyValueRenderer(key_order=["event", "view"])]
    else:
        last = [structlog.stdlib.render_to_log_kwargs]
    logging.getLogger().addHandler(handler)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *last],  # type: ignore[list-item]  # both are processors
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    logger = structlog.get_logger()
    elsewhere = structlog.get_logger("some_module")
    app = flask.Flask(__name__)

    @app.route("/login", methods=["POST"])
    def some_route() -> str:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            view=flask.request.path, request_id=str(uuid.uuid4()), peer=flask.request.access_route[0]
        )
        log = logger.bind()
        log.info("user logged in", user="test-user")
        elsewhere.error("user did something", something="shot_in_foot")
        return "logged in!"

    assert app.test_client().post("/login").status_code == 200
    mine = [entry for entry in handler.entries if entry["function_name"] == "some_route"]
    first, second = map(fields, mine)
    assert [(entry["level"], entry["message"]) for entry in mine] == [
        ("INFO", "user logged in"),
        ("ERROR", "user did something"),
    ]
    assert (first.pop("user"), second.pop("something")) == ("test-user", "shot_in_foot")
    assert first == second
    assert (first["view"], first["peer"]) == ("/login", "127.0.0.1")


GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent, logging
from logcollector_handler import bind_context, log_context
from logcollector_handler.testing import CapturingHandler

handler = CapturingHandler()
log = logging.getLogger("greenlets")
log.setLevel("INFO")
log.addHandler(handler)

def request(number):
    bind_context(user_id=number)
    for _ in range(3):
        gevent.sleep(0)
        with log_context(trace_id=f"t-{number}"):
            gevent.sleep(0)
            log.info("in %d", number)

with log_context(region="eu"):
    gevent.joinall([gevent.spawn(request, number) for number in range(10)])
log.info("outside")
*inside, outside = handler.entries
assert len(inside) == 30
assert all(each["message"] == "in " + each["user_id"] for each in inside)
assert all(each["trace_id"] == "t-" + each["user_id"] for each in inside)
assert "user_id" not in outside and "trace_id" not in outside
"""


def test_greenlets_keep_their_fields_apart() -> None:
    done = subprocess.run([sys.executable, "-c", GREENLETS], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
