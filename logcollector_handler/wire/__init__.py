"""The server's JSON schema, and how a LogRecord becomes it. Pure: no I/O, no threads."""
