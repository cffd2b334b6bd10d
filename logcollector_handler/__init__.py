"""Ship logging records to a log collection server. The public names; nothing else lives here."""

from .handler import LogCollectorHandler
from .settings import SettingError
from .stats import Stats

__version__ = "0.1.0"

__all__ = ["LogCollectorHandler", "SettingError", "Stats", "__version__"]
