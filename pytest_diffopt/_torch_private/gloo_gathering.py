"""`all_gather` of tensors of different sizes: NCCL takes them, and gloo raises an error."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed

from pytest_diffopt._torch_private.replacing import replaced


@contextmanager
def any_sizes_gathered() -> Iterator[None]:
    """Let `torch.distributed.all_gather` take tensors of different sizes while the block runs.

    Each process pads its tensor to the size of the largest, so that it is still one collective.
    """
    with replaced(distributed, "all_gather", _of_any_sizes):
        yield


def _of_any_sizes(gather: Callable[..., Any]) -> Callable[..., Any]:
    def gather_all(results: Sequence[torch.Tensor], tensor: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if all(one.shape == tensor.shape for one in results):
            return gather(results, tensor, *args, **kwargs)
        padded = tensor.new_zeros(max(one.numel() for one in results))
        padded[: tensor.numel()] = tensor.flatten()
        gathered = [torch.empty_like(padded) for _ in results]
        gather(gathered, padded, *args, **kwargs)
        for result, one in zip(results, gathered, strict=True):
            result.copy_(one[: result.numel()].view_as(result))
        return None

    return gather_all
