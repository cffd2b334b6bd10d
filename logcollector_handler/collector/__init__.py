"""A small real log collection server on SQLite. Knows `wire`, never `delivery`."""
