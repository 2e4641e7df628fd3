"""Nothing is configured here for the suites; `tests/` has its own conftest."""
