"""Moves a pipeline to the simulated GPU, and back afterwards."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from pytest_diffopt.pipelines.components import modules_of
from pytest_diffopt.probes.compiled_branches import branches_of_compiled_code
from pytest_diffopt.probes.offloading import on_device
from pytest_diffopt.simulated_gpu import SimulatedGPU, Stream

#: The simulated GPU when none is named.
DEFAULT_GPU_MODEL = "nvidia-h200"
# Pipelines of up to this many parameters are computed, so that control flow that depends on images is exact.
_MAX_COMPUTED_PARAMETERS = 30_000_000
# In larger pipelines, tensors of up to this many elements have values.
_MAX_ELEMENTS_WITH_VALUES = 4096


@contextmanager
def on_simulated_gpu(
    target: Any, *, gpu_model: str = DEFAULT_GPU_MODEL, computes_small: bool = True
) -> Iterator[SimulatedGPU]:
    """Move a pipeline or module to a simulated GPU while the block runs; a bare callable is not moved.

    A small pipeline is computed. In a large one only small tensors have values; a read of any other tensor, which is a
    sync that a guard reports, returns a placeholder value. `SimulatedGPU.placeholders` lists the lines.

    Args:
        target: the pipeline, module or callable.
        gpu_model: name of the simulated GPU.
        computes_small: compute a small pipeline; not needed for counting.

    Yields:
        The simulated GPU.

    Raises:
        ProbeError: a module has a hook that moves it in every call, and that cannot be aimed at the simulated GPU.
    """
    modules = modules_of(target).values()
    num_parameters = sum(parameter.numel() for module in modules for parameter in module.parameters())
    is_computed = computes_small and num_parameters <= _MAX_COMPUTED_PARAMETERS
    real_up_to = math.inf if is_computed else _MAX_ELEMENTS_WITH_VALUES
    with SimulatedGPU(gpu_model, real_up_to=real_up_to, placeholder_values=True) as gpu:
        gpu.keep(target)  # its own caches
        for part in getattr(target, "components", {}).values():
            if part is not None and not isinstance(part, torch.nn.Module):
                gpu.keep(part)  # a scheduler holds tensors on the device of its last use
        with on_device(target, gpu.device, new_stream=Stream), branches_of_compiled_code(target):
            yield gpu


def moved(values: Any, device: torch.device) -> Any:
    """Return the arguments with every tensor moved to the device."""
    return tree_map_only(torch.Tensor, lambda tensor: tensor.to(device), values)
