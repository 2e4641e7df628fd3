"""A pipeline on the simulated GPU for the length of a block, and back where it was after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.simulated_gpu import SimulatedGPU


@contextmanager
def on_simulated_gpu(target: Any) -> Iterator[SimulatedGPU]:
    """Move a pipeline or module to a simulated GPU; a bare callable has nothing to move."""
    with SimulatedGPU() as gpu:
        for part in getattr(target, "components", {}).values():
            if part is not None and not isinstance(part, torch.nn.Module):
                gpu.keep(part)  # a scheduler keeps tensors of the device that it was last used on
        if modules_of(target):
            target.to(gpu.device)
        yield gpu


def moved(values: Any, device: torch.device) -> Any:
    """Return the same arguments with every tensor among them on the device."""
    return tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), values)
