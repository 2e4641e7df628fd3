"""The kernels of `scaled_dot_product_attention`: torch's order of preference, switches and operations."""

from typing import Any

import torch
from torch._ops import OpOverload


def attention_order() -> tuple[int, ...]:
    """Return the numbers of the attention kernels, in the order in which torch tries them."""
    return tuple(torch._C._get_sdp_priority_order())


def attention_operation(kernel: str) -> OpOverload:
    """Return the operation of an attention kernel: `math`, `flash_attention`, `efficient_attention`, ..."""
    if kernel == "math":
        return torch.ops.aten._scaled_dot_product_attention_math.default
    found: OpOverload = getattr(torch.ops.aten, f"_scaled_dot_product_{kernel}").default
    return found


def chosen_by_torch(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, *, is_causal: bool
) -> str:
    """Return the kernel that torch would run for an attention call on these tensors' device, without running it."""
    number = torch._fused_sdp_choice(query, key, value, mask, 0.0, is_causal)
    return {0: "math", 1: "flash", 2: "efficient", 3: "cudnn"}.get(number, "none")


def is_attention_enabled(kernel: str) -> bool:
    """Return whether an attention kernel (`flash`, `mem_efficient`, `cudnn`, `math`) is enabled."""
    switches: Any = torch.backends.cuda
    return bool(getattr(switches, f"{kernel}_sdp_enabled")())
