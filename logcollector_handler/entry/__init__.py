"""From a LogRecord to an entry: what was logged, as columns and `metadata`.

Belongs here: what follows from the record, the fields bound around it, and the handler's settings. Nothing here starts
a thread or knows a format: `wire` writes entries. The only I/O is that source files are read when a traceback is
printed, which happens when the entry is encoded, not when it is made.
"""
