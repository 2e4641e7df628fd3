"""The number of accelerators that torch reports, for libraries that give each process one of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pytest_diffopt._torch_private.replacing import replaced


@contextmanager
def a_device_for_each_process(processes: int) -> Iterator[None]:
    """Let torch report one accelerator for each process while the block runs.

    Without an accelerator it reports none, and a library that divides a rank by their number raises
    ZeroDivisionError.

    Args:
        processes: the number of processes on this machine.
    """
    with replaced(torch.accelerator, "device_count", lambda _original: lambda: processes):
        yield
