"""A pipeline on the simulated GPU for the length of a block, and back where it was after it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.compiled_branches import branches_of_compiled_code
from pytest_diffopt.simulated_gpu import SimulatedGPU

#: The GPU that is simulated where nobody names one.
DEFAULT_GPU_MODEL = "nvidia-h200"
# Up to so many parameters everything is really computed, so control flow that looks at images is exact too.
_COMPUTED_UP_TO_PARAMETERS = 30_000_000
_VALUES_KEPT_OF_LARGER = 4096


@contextmanager
def on_simulated_gpu(
    target: Any, *, gpu_model: str = DEFAULT_GPU_MODEL, computes_small: bool = True
) -> Iterator[SimulatedGPU]:
    """Move a pipeline or module to a simulated GPU; a bare callable has nothing to move.

    A small pipeline is really computed. Of a large one only small tensors have values; where the host reads another
    one, that wait is what a guard is after, so the value is invented, and the GPU's `invented` says where.

    Args:
        target: what is moved.
        gpu_model: the name of the GPU that is simulated.
        computes_small: really compute a small pipeline; counting needs no values.
    """
    modules = modules_of(target).values()
    num_parameters = sum(parameter.numel() for module in modules for parameter in module.parameters())
    is_computed = computes_small and num_parameters <= _COMPUTED_UP_TO_PARAMETERS
    real_up_to = math.inf if is_computed else _VALUES_KEPT_OF_LARGER
    with SimulatedGPU(gpu_model, real_up_to=real_up_to, placeholder_values=True) as gpu:
        for part in getattr(target, "components", {}).values():
            if part is not None and not isinstance(part, torch.nn.Module):
                gpu.keep(part)  # a scheduler keeps tensors of the device that it was last used on
        if modules_of(target):
            target.to(gpu.device)
        with branches_of_compiled_code(target):
            yield gpu


def moved(values: Any, device: torch.device) -> Any:
    """Return the same arguments with every tensor among them on the device."""
    return tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), values)
