"""Time for the tests of the paired gate: in a worker it passes only in paced calls.

So no figure depends on the machine.

A test's project has a copy of this file, and a conftest that replaces the clocks of the worker processes.
"""

import time

import pytest

_now_ns = {"wall-clock": 1, "CPU": 1}


def sleep(seconds: float) -> None:
    """Let wall-clock time pass."""
    _now_ns["wall-clock"] += round(seconds * 1e9)


def compute(seconds: float) -> None:
    """Let wall-clock time and CPU time pass, as a call does that only computes in one thread."""
    sleep(seconds)
    _now_ns["CPU"] += round(seconds * 1e9)


def pytest_configure(config: pytest.Config) -> None:
    """Replace the clocks of a worker for the life of its process."""
    if config.pluginmanager.hasplugin("pytest_diffopt.paired.worker"):
        time.perf_counter_ns = lambda: _now_ns["wall-clock"]
        time.process_time_ns = lambda: _now_ns["CPU"]
