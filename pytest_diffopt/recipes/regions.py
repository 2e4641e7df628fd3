"""Regional compilation: the blocks that a denoiser repeats are compiled once each kind, instead of the whole."""

from collections.abc import Mapping
from typing import Any

import torch

from pytest_diffopt._torch_private.compiled_code import is_compiled_module, original_module
from pytest_diffopt.errors import RecipeError


def compile_blocks(denoiser: Any, options: Mapping[str, Any]) -> None:
    """Compile the blocks that the denoiser's class names, in place, by diffusers.

    Raises:
        RecipeError: it names none.
    """
    if not _repeated_blocks(denoiser):
        msg = f"compile(regional=True) needs repeated blocks, and {type(denoiser).__name__} names none"
        raise RecipeError(msg)
    denoiser.compile_repeated_blocks(**options)


def forwards_of_blocks(denoiser: Any) -> list[Any]:
    """Return the `forward` of each repeated block; nothing unless all of them are compiled."""
    blocks = _repeated_blocks(denoiser)
    return [type(block).forward for block in blocks] if all(map(is_compiled_module, blocks)) else []


def compiled_regions(denoiser: Any, options: Mapping[str, Any]) -> Any:
    """Return a denoiser of the same parameters whose layers are compiled one by one, by accelerate.

    Raises:
        RecipeError: its own code could not work with wrapped layers.
    """
    from accelerate.utils import compile_regions  # noqa: PLC0415 - slow to import
    from diffusers import UNet2DConditionModel  # noqa: PLC0415 - slow to import

    if isinstance(denoiser, UNet2DConditionModel):
        msg = (
            'compile(regional="accelerate") cannot take a UNet2DConditionModel: it asks `if self.conv_norm_out`, which '
            "accelerate's wrapper of a layer answers with a TypeError; compile(regional=True) can"
        )
        raise RecipeError(msg)
    return compile_regions(denoiser, **options)


def forwards_of_regions(denoiser: Any) -> list[Any]:
    """Return the `forward` of each block in a list of blocks; nothing unless all of them are compiled."""
    lists = [part for part in denoiser.modules() if isinstance(part, torch.nn.ModuleList) and len(part) > 1]
    blocks = [original_module(block) for part in lists for block in part if _is_outermost(denoiser, part)]
    return [type(block).forward for block in blocks if block is not None] if None not in blocks else []


def _is_outermost(denoiser: torch.nn.Module, blocks: torch.nn.ModuleList) -> bool:
    return any(child is blocks for child in denoiser.children())


def _repeated_blocks(denoiser: Any) -> list[torch.nn.Module]:
    names = getattr(denoiser, "_repeated_blocks", None) or ()
    return [block for block in denoiser.modules() if type(block).__name__ in names]
