"""Host memory for the weights of a pipeline that was built without them."""

from collections.abc import Callable
from typing import Any

import torch

from pytest_diffopt.pipelines.components import modules_of

# The system provides larger blocks page by page, when they are first written.
_SMALL_BYTES = 2**20


def give_host_memory(pipeline: Any) -> None:
    """Replace each tensor on the meta device by one on the host, whose values are zero or were never written.

    An offload hook moves what is on the host, and can move nothing from the meta device. Memory that is never written
    takes no room, so that a pipeline of any size fits.

    Args:
        pipeline: a diffusers pipeline.
    """
    tensors = (one for module in modules_of(pipeline).values() for one in (*module.parameters(), *module.buffers()))
    if any(one.is_meta for one in tensors):
        replace_tensors(pipeline, lambda tensor: _on_host(tensor) if tensor.is_meta else tensor)


def _on_host(tensor: torch.Tensor) -> torch.Tensor:
    create = torch.zeros_like if tensor.nbytes < _SMALL_BYTES else torch.empty_like
    return create(tensor, device="cpu")


def replace_tensors(pipeline: Any, make: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Replace each parameter and buffer, in the order of `to`; modules that share one share what replaces it.

    Args:
        pipeline: a diffusers pipeline.
        make: returns the replacement of a tensor; called once for each.
    """
    made: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # with the original, so that its id stays its own

    def replaced(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            made[id(tensor)] = tensor, make(tensor)
        return made[id(tensor)][1]

    for module in modules_of(pipeline).values():
        module._apply(replaced)  # type: ignore[no-untyped-call] # noqa: SLF001 - as `Module.to` does
