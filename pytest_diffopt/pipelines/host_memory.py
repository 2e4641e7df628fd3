"""Host memory for the weights of a pipeline that was built without them."""

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
    given: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # with the original, so that its id stays its own

    def give(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.is_meta:
            return tensor
        if id(tensor) not in given:  # modules that share a weight share its memory
            create = torch.zeros_like if tensor.nbytes < _SMALL_BYTES else torch.empty_like
            given[id(tensor)] = tensor, create(tensor, device="cpu")
        return given[id(tensor)][1]

    for module in modules_of(pipeline).values():
        module._apply(give)  # type: ignore[no-untyped-call] # noqa: SLF001 - as `Module.to` does
