"""Which attention kernel torch's own CUDA code chooses, and which the simulated GPU, for the same random calls."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from pytest_diffopt._torch_private.attention_kernels import chosen_by_torch
from pytest_diffopt.simulated_gpu import SimulatedGPU
from pytest_diffopt.simulated_gpu.cuda.attention_choice import Attention, choose

_CALLS = 700
_SIZES = (
    (2, 10, 4096, 4096), (2, 10, 4096, 77), (2, 20, 1024, 77), (1, 1, 256, 256), (2, 4, 64, 64), (2, 24, 4096, 4096),
    (1, 24, 4608, 4608), (2, 16, 1, 1), (2, 8, 7, 77), (0, 8, 4, 4),
)  # fmt: skip
_HEADS = (8, 16, 20, 32, 33, 36, 40, 64, 72, 80, 88, 96, 128, 160, 192, 256, 264, 300, 512)
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_MASKS = ("no mask", "float mask", "bool mask", "causal")


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionCall:
    """One call: (batch, heads, queries, keys), the head dimension, dtype and mask."""

    sizes: tuple[int, int, int, int]
    width: int
    dtype: torch.dtype
    mask: str

    def __str__(self) -> str:
        """Return a name."""
        sizes = "x".join(map(str, self.sizes))
        return f"{sizes}, heads of {self.width}, {str(self.dtype).removeprefix('torch.')}, {self.mask}"

    def operands(self, device: torch.device) -> tuple[tuple[torch.Tensor, ...], dict[str, Any]]:
        """Make query, key and value, and the keywords."""
        batch, heads, queries, keys = self.sizes

        def tensor(*shape: int, dtype: torch.dtype = self.dtype) -> torch.Tensor:
            return torch.empty(shape, dtype=dtype, device=device)

        options: dict[str, Any] = {"is_causal": self.mask == "causal"}
        if self.mask.endswith("mask") and self.mask != "no mask":
            dtype = torch.bool if self.mask == "bool mask" else self.dtype
            options["attn_mask"] = tensor(batch, 1, queries, keys, dtype=dtype)
        query = tensor(batch, heads, queries, self.width)
        key, value = (tensor(batch, heads, keys, self.width) for _ in range(2))
        return (query, key, value), options


def calls() -> tuple[AttentionCall, ...]:
    """Return the random calls, which are always the same."""
    everything = [
        AttentionCall(sizes=sizes, width=width, dtype=dtype, mask=mask)
        for sizes, width, dtype, mask in itertools.product(_SIZES, _HEADS, _DTYPES, _MASKS)
    ]
    return tuple(random.Random(0).sample(everything, _CALLS))  # noqa: S311 - a sample, not a secret


def choices_on_cuda() -> Mapping[str, str]:
    """Return for each call the kernel that `select_sdp_backend` of this torch chooses on this GPU."""
    return dict(_choices(torch.device("cuda"), _chosen_by_cuda))


def _chosen_by_cuda(tensors: tuple[torch.Tensor, ...], options: Mapping[str, Any]) -> str:
    mask = options.get("attn_mask")
    if mask is not None and mask.dtype == torch.bool:  # torch converts it before it chooses
        mask = torch.zeros(mask.shape, dtype=tensors[0].dtype, device=mask.device)
    query, key, value = tensors
    return chosen_by_torch(query, key, value, mask, is_causal=options["is_causal"])


def choices_on(gpu: SimulatedGPU) -> Mapping[str, str]:
    """Return for each call the kernel that the simulated GPU chooses."""

    def chosen(tensors: tuple[torch.Tensor, ...], options: Mapping[str, Any]) -> str:
        query, key, value = tensors
        call = Attention(
            query=query,
            key=key,
            value=value,
            mask=options.get("attn_mask"),
            dropout_p=0.0,
            is_causal=options["is_causal"],
            scale=None,
            enable_gqa=False,
        )
        return choose(call, gpu.gpu_model)[0].value

    return dict(_choices(gpu.device, chosen))


def _choices(
    device: torch.device, chosen: Callable[[tuple[torch.Tensor, ...], Mapping[str, Any]], str]
) -> Iterator[tuple[str, str]]:
    with torch.no_grad():
        for call in calls():
            tensors, options = call.operands(device)
            yield str(call), chosen(tensors, options)
