"""What holds for the suites and for `tests/`: the garbage collector looks seldom.

Dynamo makes and drops small objects by the million while it traces, and at Python's own thresholds each few hundred of
them make the collector walk through all of torch and diffusers: a fifth of the suites' time. Pipelines that ended are
collected by the plugin itself.
"""

import gc


def pytest_configure() -> None:
    """Collect after every 50 000 new objects, and the oldest hardly ever."""
    gc.set_threshold(50_000, 20, 100)


def pytest_collection_finish() -> None:
    """Leave what was imported so far out of every later collection."""
    gc.collect()
    gc.freeze()
