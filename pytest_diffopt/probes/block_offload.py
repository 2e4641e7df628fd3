"""Layers that diffusers' block-level group offload leaves on the host, in words for the error that they cause."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from pytest_diffopt.pipelines.components import modules_of

_HOOK = "group_offloading"
_BLOCK_LEVEL = "block_level"


def layers_left_on_host(target: Any) -> tuple[str, ...]:
    """Return a sentence for each component with layers that are moved only in its `forward`, while others decode.

    Args:
        target: the pipeline or module.
    """
    return tuple(
        f"block-level group offload moves {', '.join(layers)} of {name} only in its forward, which decode does not "
        f'call: offload it with offload_type="leaf_level", or leave it out with exclude_modules="{name}"'
        for name, module in modules_of(target).items()
        if callable(getattr(module, "decode", None)) and (layers := list(_moved_in_forward(module)))
    )


def _moved_in_forward(module: nn.Module) -> Iterator[str]:
    hook = getattr(vars(module).get("_diffusers_hook"), "hooks", {}).get(_HOOK)
    if hook is None or hook.group.onload_leader is not module or hook.config.offload_type != _BLOCK_LEVEL:
        return
    for name, child in module.named_children():
        if any(child is one for one in hook.group.modules):
            yield name
