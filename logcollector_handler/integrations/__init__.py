"""Integrations, one file a framework. The package itself imports none of them: the application imports what it uses."""
