"""What diffusers' `enable_parallelism` left in a denoiser."""

import re
from typing import Any

from diffusers.models.attention_dispatch import _AttentionBackendRegistry
from torch.distributed.tensor import DTensor

from pytest_diffopt.recipes.attention_backend import processors_of

_NATIVE = "native"


def context_config(denoiser: Any) -> Any:
    """Return diffusers' configuration of context parallelism; None without one."""
    return getattr(getattr(denoiser, "_parallel_config", None), "context_parallel_config", None)


def exchanging_layers(denoiser: Any) -> tuple[int, int]:
    """Return the number of attention layers that exchange tokens with other processes, and that of all."""
    processors = processors_of(denoiser)
    return sum(getattr(one, "_parallel_config", None) is not None for one in processors), len(processors)


def uses_native_backend(denoiser: Any) -> bool:
    """Return whether attention runs in diffusers' default backend; a name in an environment variable changes it."""
    chosen = {getattr(one, "_attention_backend", None) for one in processors_of(denoiser)}
    names = {_default_backend() if one is None else str(getattr(one, "value", one)) for one in chosen}
    return _NATIVE in names


def planned_layers(denoiser: Any, degree: int) -> tuple[list[str], list[str]]:
    """Return the layers of diffusers' plan of tensor parallelism: those split over a number of processes, and others.

    Args:
        denoiser: the denoiser.
        degree: the number of processes.
    """
    patterns = [re.escape(one).replace(r"\*", "[^.]+") for one in getattr(denoiser, "_tp_plan", None) or ()]
    planned = re.compile("|".join(patterns) or "(?!)")
    layers = {name: layer for name, layer in denoiser.named_modules() if planned.fullmatch(name)}
    split = [name for name, layer in layers.items() if _is_split(layer.weight, degree)]
    return split, [name for name in layers if name not in split]


def _is_split(weight: Any, degree: int) -> bool:
    is_sharded = isinstance(weight, DTensor) and any(one.is_shard() for one in weight.placements)
    return is_sharded and weight.device_mesh.size() == degree


def _default_backend() -> str:
    active, _ = _AttentionBackendRegistry.get_active_backend()
    return str(getattr(active, "value", active))
