"""Regional compilation: each kind of repeated block of a denoiser is compiled once, instead of the whole denoiser."""

from collections.abc import Mapping
from typing import Any

import accelerate.utils
import diffusers
import torch

from pytest_diffopt._torch_private.compiled_code import is_compiled_module, original_module
from pytest_diffopt.errors import RecipeError


def compile_blocks(denoiser: Any, options: Mapping[str, Any]) -> None:
    """Compile the blocks that the denoiser's class lists, in place, with diffusers.

    Raises:
        RecipeError: the class lists none.
    """
    if not repeated_blocks(denoiser):
        msg = f"compile(regional=True) needs a list of repeated blocks, and {type(denoiser).__name__} has none"
        raise RecipeError(msg)
    denoiser.compile_repeated_blocks(**options)


def forwards_of_blocks(denoiser: Any) -> list[Any]:
    """Return the `forward` of each repeated block; empty unless all of them are compiled."""
    blocks = repeated_blocks(denoiser)
    return [type(block).forward for block in blocks] if all(map(is_compiled_module, blocks)) else []


def compiled_regions(denoiser: Any, options: Mapping[str, Any]) -> Any:
    """Return a denoiser with the same parameters whose layers accelerate compiles one by one.

    Raises:
        RecipeError: the denoiser's own code does not work with wrapped layers.
    """
    if isinstance(denoiser, diffusers.UNet2DConditionModel):
        msg = (
            'compile(regional="accelerate") does not support UNet2DConditionModel: it evaluates '
            "`if self.conv_norm_out`, which raises a TypeError on accelerate's wrapped layer; "
            "use compile(regional=True)"
        )
        raise RecipeError(msg)
    return accelerate.utils.compile_regions(denoiser, **options)


def forwards_of_regions(denoiser: Any) -> list[Any]:
    """Return the `forward` of each block in a list of blocks; empty unless all of them are compiled."""
    lists = [part for part in denoiser.modules() if isinstance(part, torch.nn.ModuleList) and len(part) > 1]
    blocks = [original_module(block) for part in lists for block in part if _is_outermost(denoiser, part)]
    return [type(block).forward for block in blocks if block is not None] if None not in blocks else []


def _is_outermost(denoiser: torch.nn.Module, blocks: torch.nn.ModuleList) -> bool:
    return any(child is blocks for child in denoiser.children())


def repeated_blocks(denoiser: Any) -> list[torch.nn.Module]:
    """Return the blocks of the kinds that the denoiser's class lists."""
    names = getattr(denoiser, "_repeated_blocks", None) or ()
    return [block for block in denoiser.modules() if type(block).__name__ in names]
