"""Ship logging records to a log collection server. The public names; nothing else lives here."""

__version__ = "0.1.0"

__all__ = ["__version__"]
