"""1 x 1 convolutions replaced with linear layers, which can be quantized."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import torch
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.effect_reading import summed
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.targets import target_modules
from pytest_diffopt.recipes.torchao_access import torchao_quantization
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

# The class with which torchao replaces a convolution. It is local to a function, so only its name can be compared.
_REPLACEMENT_CLASS = "PermuteSandwich"


@dataclass(frozen=True, kw_only=True)
class PointwiseLinears(Optimization):
    """1 x 1 convolutions as linear layers, replaced by torchao.

    Attributes:
        target: the modules whose convolutions are replaced; the article *Diffusion, Fast* uses the denoiser and the
            VAE.
        channels: replace only convolutions with this number of input or output channels, 128 in the article; 0 replaces
            all.
    """

    name: ClassVar[str] = "pointwise_linears"
    stage: ClassVar[Stage] = Stage.CONVOLUTIONS
    partners: ClassVar[dict[str, str]] = {
        "int8_dynamic": "a linear layer is no faster than the convolution that it replaces, but can be quantized"
    }

    target: tuple[str, ...] = ("denoiser", "vae")
    channels: int = 128

    @override
    def apply(self, pipeline: Any) -> None:
        torchao_quantization(self.name)
        swap = import_module("torchao.quantization.quant_api").swap_conv2d_1x1_to_linear
        modules = target_modules(pipeline, self.target, self.name)
        if not any(self._chosen(module) for module in modules.values()):
            msg = f"{self.name} has no effect: no 1 x 1 convolution{self._with_channels} in {', '.join(modules)}"
            raise RecipeError(msg)
        for module in modules.values():
            swap(module, filter_fn=lambda layer, _name: self._is_chosen(layer))

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        modules = target_modules(pipeline, self.target, self.name)
        replaced = sum(_replaced_count(module) for module in modules.values())
        missing = [
            f"{len(left)} 1 x 1 convolutions of {name}{self._with_channels} are not linears"
            for name, module in modules.items()
            if (left := self._chosen(module))
        ]
        if not replaced and not missing:
            missing.append("no linear replaces a convolution")
        return self.state(f"{replaced} 1 x 1 convolutions are linears", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        seen = [one for one in call.modules if one.kind == _REPLACEMENT_CLASS]
        return self.acted("calls of linears in place of 1 x 1 convolutions", **summed(seen, call))

    @property
    def _with_channels(self) -> str:
        return f" with {self.channels} channels" if self.channels else ""

    def _chosen(self, module: torch.nn.Module) -> list[torch.nn.Module]:
        return [part for part in module.modules() if self._is_chosen(part)]

    def _is_chosen(self, layer: torch.nn.Module) -> bool:
        """Return whether a matrix product can compute the layer: one pixel in, one pixel out, no groups."""
        if not isinstance(layer, torch.nn.Conv2d) or layer.kernel_size != (1, 1):
            return False
        is_plain = layer.stride == (1, 1) and layer.padding in {(0, 0), "valid"} and layer.groups == 1
        return is_plain and (not self.channels or self.channels in {layer.in_channels, layer.out_channels})


def _replaced_count(module: torch.nn.Module) -> int:
    return sum(type(part).__name__ == _REPLACEMENT_CLASS for part in module.modules())
