"""Queueing, batching and posting. Knows `wire`, and is known by the handler alone."""
