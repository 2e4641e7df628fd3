"""What holds for the suites and for `tests/`: the garbage collector looks seldom, and the CPU computes in float32.

Dynamo makes and drops small objects by the million while it traces, and at Python's own thresholds each few hundred of
them make the collector walk through all of torch and diffusers: a fifth of the suites' time. Pipelines that ended are
collected by the plugin itself.

A CPU without AVX-512 convolves and multiplies matrices in half precision with torch's reference kernels, up to 40 times
as slowly (tools/half_precision.py). Both are computed in float32 and rounded.
"""

import gc
import sys
from contextlib import ExitStack

_until_the_end = ExitStack()


def pytest_configure() -> None:
    """Collect after every 50 000 new objects, and the oldest hardly ever."""
    gc.set_threshold(50_000, 20, 100)


def pytest_collection_finish() -> None:
    """Replace the kernels, if any test needs torch; leave what was imported so far out of every later collection."""
    if "torch" in sys.modules:
        from tools.half_precision import half_precision_in_float32  # noqa: PLC0415 - imports torch

        _until_the_end.enter_context(half_precision_in_float32())
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Give torch its kernels back."""
    _until_the_end.close()
