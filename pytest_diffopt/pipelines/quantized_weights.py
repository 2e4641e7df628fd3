"""Weights that a library quantized, by the class that it stores them in."""

from typing import Any

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

#: The classes of weights that are no wrapper subclasses: those of bitsandbytes, and of GGUF.
_CLASSES = frozenset({"Params4bit", "Int8Params", "GGUFParameter"})


def is_quantized(weight: torch.Tensor) -> bool:
    """Return whether a library quantized a weight: torchao, quanto, bitsandbytes, or diffusers from a GGUF file."""
    return bool(is_traceable_wrapper_subclass(weight)) or type(weight).__name__ in _CLASSES


def can_be_dequantized(weight: torch.Tensor) -> bool:
    """Return whether `dequantized` knows the values: not of bitsandbytes' int8, which keeps outliers apart."""
    return is_quantized(weight) and type(weight).__name__ != "Int8Params"


def dequantized(weight: Any) -> torch.Tensor:
    """Return the values of a quantized weight, by the library that defines its format.

    Args:
        weight: `can_be_dequantized` is true of it.
    """
    if type(weight).__name__ == "GGUFParameter":
        import gguf  # noqa: PLC0415 - needed for this format alone

        packed = weight.as_tensor().cpu().numpy()
        values = gguf.quants.dequantize(packed, gguf.GGMLQuantizationType(int(weight.quant_type)))
        return torch.from_numpy(values).to(weight.device)
    if type(weight).__name__ == "Params4bit":
        import bitsandbytes  # noqa: PLC0415 - needed for this format alone

        unpacked: torch.Tensor = bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)
        return unpacked
    values_of_wrapper: torch.Tensor = weight.dequantize()
    return values_of_wrapper
