"""How a LogRecord becomes an entry. Pure: no I/O, no threads, and no format: `wire` writes entries."""
