"""How each WSGI and ASGI server is started with `apps/tiny_app.py`, and the signal that ends it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.integration.served import APPS


@dataclass(frozen=True)
class Server:
    """How a server is started, and the signal that ends it.

    `{port}`, `{directory}` (an empty one) and `{prefix}` (that of this Python) stand in the command.

    Args:
        loads: processes that load the application, and overlook a signal that comes before they have.
    """

    command: str
    end_by: signal.Signals = signal.SIGTERM
    environ: Mapping[str, str] = field(default_factory=dict)
    loads: int = 0

    @property
    def executable(self) -> str | None:
        """Its path, beside this Python's or elsewhere; None where it is not installed."""
        beside = os.path.dirname(sys.executable)
        return shutil.which(shlex.split(self.command)[0], path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")


_GUNICORN = "gunicorn --bind 127.0.0.1:{port} --workers 2"
_UWSGI = (
    "uwsgi --http-socket 127.0.0.1:{port} --home {prefix} --module tiny_app:wsgi --master --need-app --disable-logging"
)
# Without it SIGTERM reloads; with --die-on-term workers end where they are, in a request without exit handlers.
_GRACEFULLY = "--hook-master-start 'unix_signal:15 gracefully_kill_them_all'"

SERVERS = {
    "uvicorn": Server("uvicorn --port {port} tiny_app:asgi"),
    "uvicorn, 4 workers": Server("uvicorn --port {port} --workers 4 tiny_app:asgi"),
    "uvicorn --reload": Server("uvicorn --port {port} --reload --reload-dir {directory} tiny_app:asgi"),
    "uvicorn, SIGINT": Server("uvicorn --port {port} tiny_app:asgi", signal.SIGINT),
    "hypercorn": Server("hypercorn --bind 127.0.0.1:{port} tiny_app:asgi"),
    "hypercorn, 4 workers": Server("hypercorn --bind 127.0.0.1:{port} --workers 4 tiny_app:asgi"),
    "granian, 2 workers": Server("granian --port {port} --workers 2 --interface asgi tiny_app:asgi"),
    "granian, 2 workers, WSGI": Server("granian --port {port} --workers 2 --interface wsgi tiny_app:wsgi"),
    "gunicorn sync": Server(f"{_GUNICORN} tiny_app:wsgi"),
    "gunicorn sync --preload": Server(f"{_GUNICORN} --preload tiny_app:wsgi"),
    "gunicorn gthread": Server(f"{_GUNICORN} -k gthread --threads 4 tiny_app:wsgi"),
    "gunicorn gthread --preload": Server(f"{_GUNICORN} -k gthread --threads 4 --preload tiny_app:wsgi"),
    "gunicorn gevent": Server(f"{_GUNICORN} -k gevent tiny_app:wsgi"),
    "gunicorn gevent --preload": Server(f"{_GUNICORN} -k gevent --preload tiny_app:wsgi"),
    "gunicorn gevent, logconfig_dict": Server(f"{_GUNICORN} -k gevent -c python:tiny_logging tiny_app:wsgi"),
    "gunicorn gevent --preload, logconfig_dict": Server(
        f"{_GUNICORN} -k gevent --preload -c python:tiny_logging tiny_app:wsgi"
    ),
    "gunicorn asgi": Server(f"{_GUNICORN} -k asgi tiny_app:asgi"),
    "gunicorn asgi --preload": Server(f"{_GUNICORN} -k asgi --preload tiny_app:asgi"),
    "gunicorn UvicornWorker": Server(f"{_GUNICORN} -k uvicorn.workers.UvicornWorker tiny_app:asgi"),
    "waitress, SIGINT": Server("waitress-serve --listen=127.0.0.1:{port} tiny_app:wsgi", signal.SIGINT),
    "waitress, SIGTERM": Server("waitress-serve --listen=127.0.0.1:{port} tiny_app:wsgi"),
    "waitress, SIGTERM, drain_on_signals()": Server(
        "waitress-serve --listen=127.0.0.1:{port} tiny_app:wsgi", environ={"DRAIN_ON_SIGNALS": "1"}
    ),
    "uWSGI, 1 process": Server(f"{_UWSGI} {_GRACEFULLY} --enable-threads"),
    "uWSGI, 2 processes": Server(f"{_UWSGI} {_GRACEFULLY} --processes 2 --enable-threads"),
    "uWSGI without --enable-threads": Server(f"{_UWSGI} {_GRACEFULLY} --processes 2"),
    "uWSGI --py-call-osafterfork": Server(
        f"{_UWSGI} {_GRACEFULLY} --processes 2 --enable-threads --py-call-osafterfork"
    ),
    "uWSGI --lazy-apps": Server(f"{_UWSGI} {_GRACEFULLY} --processes 2 --enable-threads --lazy-apps", loads=2),
    "uWSGI --lazy-apps without --enable-threads": Server(f"{_UWSGI} {_GRACEFULLY} --processes 2 --lazy-apps", loads=2),
    "uWSGI --gevent": Server(f"{_UWSGI} {_GRACEFULLY} --processes 2 --gevent 50 --gevent-monkey-patch"),
    "uWSGI --gevent --lazy-apps": Server(
        f"{_UWSGI} {_GRACEFULLY} --processes 2 --gevent 50 --gevent-monkey-patch --lazy-apps", loads=2
    ),
    "uWSGI --lazy-apps --die-on-term": Server(
        f"{_UWSGI} --die-on-term --processes 2 --enable-threads --lazy-apps", loads=2
    ),
    "mod_wsgi": Server(
        "mod_wsgi-express start-server --port {port} --server-root {directory}/apache --processes 2 --threads 4 "
        f"--log-to-terminal --python-path {APPS} --application-type module "
        "--callable-object wsgi tiny_app"
    ),
}
