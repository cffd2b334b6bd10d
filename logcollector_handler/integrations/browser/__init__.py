"""A relay for browsers: serves the module that pages log with, and hands what they post to the handler.

    app.mount("/logs-relay", BrowserRelay())                                                # FastAPI, Starlette
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/logs-relay": WsgiBrowserRelay()})  # Flask

The page is of the same origin as the relay, so it needs neither CORS nor a key. Entries go the way of all records: they
are masked, bounded, batched, spooled. It imports no framework.
"""

from .asgi import BrowserRelay
from .limits import Limits
from .wsgi import WsgiBrowserRelay

__all__ = ["BrowserRelay", "Limits", "WsgiBrowserRelay"]
