"""Named filters that select the linear layers that an optimization changes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

# SDXL's matmuls that int8 does not speed up, (in_features, out_features). Source: the diffusion-fast repository.
_ARTICLE_SLOW_SHAPES = frozenset(
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
_ARTICLE_SMALLEST_INPUT = 16


@dataclass(frozen=True, kw_only=True)
class LayerFilter:
    """A selection of linear layers.

    Attributes:
        rule: a description of the selection.
        choose: returns the selected linear layers of a module.
    """

    rule: str
    choose: Callable[[torch.nn.Module], list[torch.nn.Linear]]


def by_shape(rule: str, is_chosen: Callable[[int, int], bool]) -> LayerFilter:
    """Return a filter that selects layers by `in_features` and `out_features`."""
    return LayerFilter(
        rule=rule,
        choose=lambda module: [one for one in linears_of(module) if is_chosen(one.in_features, one.out_features)],
    )


def filter_named(name: str) -> LayerFilter:
    """Return the filter with a name: `all`, `blocks` or `diffusion-fast`."""
    return _FILTERS[name]


def linears_of(module: torch.nn.Module) -> list[torch.nn.Linear]:
    """Return every linear layer of a module once."""
    return [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]


def _linears_of_blocks(module: torch.nn.Module) -> list[torch.nn.Linear]:
    names = getattr(module, "_repeated_blocks", None) or ()
    blocks = [part for part in module.modules() if type(part).__name__ in names]
    return list(dict.fromkeys(layer for block in blocks for layer in linears_of(block)))


_FILTERS = {
    "all": LayerFilter(rule="all", choose=linears_of),
    # Layers that regional compilation leaves uncompiled are slower after quantization.
    "blocks": LayerFilter(rule="blocks: only the model's repeated blocks", choose=_linears_of_blocks),
    "diffusion-fast": by_shape(
        "diffusion-fast: more than 16 inputs, and none of the article's 19 slow shapes",
        lambda inputs, outputs: inputs > _ARTICLE_SMALLEST_INPUT and (inputs, outputs) not in _ARTICLE_SLOW_SHAPES,
    ),
}
