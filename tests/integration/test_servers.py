"""Real servers answer requests and are told to end: every record of every process arrives, once.

gunicorn and uvicorn with frameworks are in `test_web_frameworks.py`, gunicorn with plain logging in
`test_process_models.py`. All servers, with collectors that are not well, are in `tests/benchmarks/ends.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.behaviours import hang
from tests.integration.faulty import FaultyServer
from tests.integration.server_commands import SERVERS
from tests.integration.servers import serve_and_end

pytestmark = pytest.mark.integration

REQUESTS = 200


def loses_nothing(
    name: str, collector: FaultyServer, directory: Path, flush_interval: str = "3600", loaded_first: int = 0
) -> None:
    """Full batches are sent while the server runs, the rest, unless the interval is short, when it ends."""
    settings = {"batch_size": "50", "flush_interval": flush_interval, "shutdown_timeout": "60"}
    seen = serve_and_end(SERVERS[name], collector, directory, settings, requests=REQUESTS, loaded_first=loaded_first)
    assert seen.answered == REQUESTS, seen.output
    assert not seen.killed, seen.output
    # One of the application and one of the middleware for each request, and that of loading.
    assert seen.logged.total() > 2 * REQUESTS, seen.output
    assert seen.logged - seen.stored == {}, seen.output
    assert seen.stored - seen.logged == {}, seen.output
    assert "logcollector-handler" not in seen.output


@pytest.mark.parametrize(
    "name",
    [
        "uvicorn, 4 workers",
        "uvicorn --reload",
        "hypercorn, 4 workers",
        "granian, 2 workers",
        "granian, 2 workers, WSGI",
        "gunicorn gevent",
        "gunicorn gevent, logconfig_dict",
        "gunicorn gevent --preload",
        "gunicorn gevent --preload, logconfig_dict",
        "gunicorn asgi",
        "waitress, SIGINT",
        "waitress, SIGTERM, drain_on_signals()",
    ],
)
def test_a_server_that_is_told_to_end_has_shipped_every_record_once(
    server: FaultyServer, tmp_path: Path, name: str
) -> None:
    loses_nothing(name, server, tmp_path)


needs_uwsgi = pytest.mark.skipif(
    SERVERS["uWSGI, 1 process"].executable is None,
    reason="uWSGI is not installed: pyuwsgi, which has it built, has no wheel for this Python or machine",
)


@needs_uwsgi
@pytest.mark.parametrize(
    "name",
    ["uWSGI, 1 process", "uWSGI, 2 processes", "uWSGI --py-call-osafterfork", "uWSGI --lazy-apps"],
)
@pytest.mark.parametrize("flush_interval", ["0.1", "3600"])
def test_uwsgi_whose_forks_python_does_not_see_has_shipped_every_record_once(
    server: FaultyServer, tmp_path: Path, name: str, flush_interval: str
) -> None:
    # What the first process logs when it loads the application it sends soon: it runs no exit handlers.
    loaded_first = 0 if "--lazy-apps" in name else 1
    loses_nothing(name, server, tmp_path, flush_interval, loaded_first)


@needs_uwsgi
def test_uwsgi_with_gevent_ships_every_record_once_while_it_runs(server: FaultyServer, tmp_path: Path) -> None:
    count = 2 * REQUESTS + 1
    seen = serve_and_end(SERVERS["uWSGI --gevent"], server, tmp_path, {}, requests=REQUESTS, arrived_first=count)
    assert seen.answered == REQUESTS, seen.output
    assert (seen.logged.total(), seen.lost, seen.repeated) == (count, 0, 0), seen.output
    assert "logcollector-handler" not in seen.output


@needs_uwsgi
@pytest.mark.parametrize("name", ["uWSGI --gevent", "uWSGI --gevent --lazy-apps"])
def test_uwsgi_with_gevent_runs_no_exit_handlers_and_records_in_files_are_sent_after_it(
    server: FaultyServer, tmp_path: Path, name: str
) -> None:
    settings = {"spool_dir": str(tmp_path / "spool"), "durability": "record", "flush_interval": "3600"}
    seen = serve_and_end(SERVERS[name], server, tmp_path, settings, requests=REQUESTS)
    assert seen.answered == REQUESTS, seen.output
    assert seen.logged.total() > 2 * REQUESTS
    assert (seen.lost, seen.repeated) == (0, 0), seen.output


@pytest.mark.parametrize("name", ["uvicorn", "uvicorn, 4 workers", "hypercorn", "gunicorn sync"])
def test_what_a_server_cannot_send_at_its_end_is_said(server: FaultyServer, tmp_path: Path, name: str) -> None:
    server.default = hang()
    seen = serve_and_end(SERVERS[name], server, tmp_path, {"shutdown_timeout": "1"}, requests=20)
    assert seen.answered == 20, seen.output
    assert not seen.killed, seen.output
    assert seen.arrived == {}
    assert seen.said == seen.lost == seen.logged.total() > 40, seen.output


def test_what_a_server_loses_is_seen(server: FaultyServer, tmp_path: Path) -> None:
    """The tests above can fail: nobody handles the SIGTERM that ends this one, and it has sent nothing yet."""
    seen = serve_and_end(SERVERS["waitress, SIGTERM"], server, tmp_path, {"flush_interval": "3600"}, requests=20)
    assert seen.answered == 20, seen.output
    assert seen.lost == seen.logged.total() > 40
    assert seen.said == 0
