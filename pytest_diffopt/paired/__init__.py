"""Base and head as two processes that wait for each other: the same test, timed in turn on one machine."""
