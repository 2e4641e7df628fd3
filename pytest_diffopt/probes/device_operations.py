"""Operations of this process on the watched GPU so far, real or null: the evidence that a call ran there."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_diffopt.probes.null_gpu_launches import launches_so_far
from pytest_diffopt.probes.step_operations import GpuOperations
from pytest_diffopt.records import Device


@contextmanager
def operations_counted(device: Device) -> Iterator[Callable[[], int]]:
    """Yield a function that returns the number of operations so far: launches on the null GPU.

    Args:
        device: the real GPU or the null one.
    """
    if device is Device.NULL_GPU:
        yield launches_so_far
        return
    with GpuOperations() as gpu:
        yield gpu.so_far
