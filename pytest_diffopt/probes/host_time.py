"""Calls whose host time is measured."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from pytest_diffopt.null_gpu.activity import is_active


def timed_call(call: Callable[[], object]) -> AbstractContextManager[Callable[[], object]]:
    """Give the call to time; on the null GPU its values are computed the first and the second time only."""
    if not is_active():
        return nullcontext(call)
    # It needs internals of those versions of torch that the null GPU supports.
    from pytest_diffopt.null_gpu.values.host_reads import without_values  # noqa: PLC0415

    return without_values(call)
