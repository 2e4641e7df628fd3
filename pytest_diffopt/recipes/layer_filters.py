"""Which layers an optimization takes: the article's choices, by name."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

# SDXL's matmuls that int8 made no faster, as the article's repository lists them: (in_features, out_features).
_ARTICLES_SLOW_SHAPES = frozenset(
    {
        (1280, 640),
        (1920, 1280),
        (1920, 640),
        (2048, 1280),
        (2048, 2560),
        (2560, 1280),
        (256, 128),
        (2816, 1280),
        (320, 640),
        (512, 1536),
        (512, 256),
        (512, 512),
        (640, 1280),
        (640, 1920),
        (640, 320),
        (640, 5120),
        (640, 640),
        (960, 320),
        (960, 640),
    }
)
_ARTICLES_SMALLEST_INPUT = 16


@dataclass(frozen=True, kw_only=True)
class LayerFilter:
    """A choice of linear layers.

    Attributes:
        rule: the choice in words.
        choose: returns what is chosen of a module's linears.
    """

    rule: str
    choose: Callable[[torch.nn.Module], list[torch.nn.Linear]]


def by_shape(rule: str, is_chosen: Callable[[int, int], bool]) -> LayerFilter:
    """Choose layers by their inputs and outputs."""
    return LayerFilter(
        rule=rule,
        choose=lambda module: [one for one in linears_of(module) if is_chosen(one.in_features, one.out_features)],
    )


def filter_named(name: str) -> LayerFilter:
    """Return a filter by its name: `all`, `blocks` or `diffusion-fast`."""
    return _FILTERS[name]


def linears_of(module: torch.nn.Module) -> list[torch.nn.Linear]:
    """Return every linear layer, each once."""
    return [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]


def _linears_of_blocks(module: torch.nn.Module) -> list[torch.nn.Linear]:
    names = getattr(module, "_repeated_blocks", None) or ()
    blocks = [part for part in module.modules() if type(part).__name__ in names]
    return list(dict.fromkeys(layer for block in blocks for layer in linears_of(block)))


_FILTERS = {
    "all": LayerFilter(rule="all", choose=linears_of),
    # What regional compilation leaves outside would run uncompiled, and be slower than before.
    "blocks": LayerFilter(rule="blocks: those in the blocks that the model repeats", choose=_linears_of_blocks),
    "diffusion-fast": by_shape(
        "diffusion-fast: more than 16 inputs, and none of the article's 19 slow shapes",
        lambda inputs, outputs: inputs > _ARTICLES_SMALLEST_INPUT and (inputs, outputs) not in _ARTICLES_SLOW_SHAPES,
    ),
}
