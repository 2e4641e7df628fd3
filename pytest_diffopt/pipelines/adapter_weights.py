"""The weights of LoRA adapters: kept while others are swapped in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pytest_diffopt.pipelines.components import modules_of

_LORA = ("lora_A", "lora_B")


@contextmanager
def lora_weights_kept(pipeline: Any) -> Iterator[Callable[[], bool]]:
    """Keep the weights and scales of a pipeline's adapters, and write them back in place when the block ends.

    Yields:
        A function that returns whether all weights are still the same.
    """
    layers = adapted_layers(pipeline)
    weights = [(weight, weight.detach().clone()) for layer in layers for weight in _weights(layer)]
    scales = [(layer.scaling, dict(layer.scaling), _numbers(layer.scaling)) for layer in layers]

    def is_unchanged() -> bool:
        return all(weight.shape == kept.shape and torch.equal(weight, kept) for weight, kept in weights)

    try:
        yield is_unchanged
    finally:
        with torch.no_grad():
            for weight, kept in weights:
                _write(weight, kept)
            for scaling, kept_scales, numbers in scales:
                _restore(scaling, kept_scales, numbers)


def adapted_layers(pipeline: Any) -> list[Any]:
    """Return the layers of a pipeline that have an adapter."""
    return [layer for one in modules_of(pipeline).values() for layer in one.modules() if hasattr(layer, "lora_B")]


def _write(weight: torch.Tensor, kept: torch.Tensor) -> None:
    if weight.shape == kept.shape:
        weight.copy_(kept)
    else:  # another rank was swapped into a module that is not prepared for it
        weight.data = kept


def _weights(layer: Any) -> Iterator[torch.Tensor]:
    for name in _LORA:
        yield from getattr(layer, name).parameters()


def _numbers(scaling: dict[str, Any]) -> dict[str, float]:
    return {name: float(scale) for name, scale in scaling.items()}


def _restore(scaling: dict[str, Any], kept: dict[str, Any], numbers: dict[str, float]) -> None:
    """Write scales back: a tensor, which a graph has as its input, stays the same tensor."""
    for name, scale in kept.items():
        if isinstance(scale, torch.Tensor):
            scale.fill_(numbers[name])
        scaling[name] = scale
