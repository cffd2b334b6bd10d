"""From a LogRecord to an entry: what was logged, as columns and `metadata`.

Belongs here: what follows from the record alone. Nothing here does I/O, starts a thread or knows a format; how an entry
is written is up to `wire`.
"""
