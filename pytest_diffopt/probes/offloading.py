"""Offload hooks of accelerate and diffusers, which move a module to its own device in every call."""

from collections.abc import Iterator
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.pipelines.components import modules_of

_GROUP_OFFLOADING = "group_offloading"
#: accelerate's hooks that move parameters; others, such as those that only cast, stay on the module's device.
_MOVING_HOOKS = frozenset({"CpuOffload", "AlignDevicesHook"})


def refuse_offloaded(target: Any) -> None:
    """Refuse a pipeline or module that offload hooks would move away from the simulated GPU.

    Raises:
        ProbeError: a module has such a hook.
    """
    offloaded = [f"{name} ({hook})" for name, module in modules_of(target).items() for hook in _first_hook(module)]
    if offloaded:
        msg = (
            "offloaded modules cannot be watched on the simulated GPU, because their hooks move them in every call: "
            f"{', '.join(offloaded)}; build the pipeline without offload for this test"
        )
        raise ProbeError(msg)


def _first_hook(module: torch.nn.Module) -> list[str]:
    return [hook for part in module.modules() for hook in _hooks_of(part)][:1]


def _hooks_of(module: torch.nn.Module) -> Iterator[str]:
    """Yield the offload hooks of one module: accelerate keeps them in `_hf_hook`, diffusers in `_diffusers_hook`."""
    of_accelerate = getattr(module, "_hf_hook", None)
    for hook in getattr(of_accelerate, "hooks", [of_accelerate]):  # a SequentialHook has several
        if type(hook).__name__ in _MOVING_HOOKS:
            yield f"accelerate {type(hook).__name__}"
    registry = getattr(module, "_diffusers_hook", None)
    if any(_GROUP_OFFLOADING in name for name in getattr(registry, "hooks", ())):
        yield "diffusers group offloading"
