"""1 x 1 convolutions turned into linear layers, which quantization can take."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import torch
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.targets import target_modules
from pytest_diffopt.recipes.torchao_access import torchao_quantization
from pytest_diffopt.records import OptimizationState

# The class that torchao puts in a convolution's place; it is local to a function, so its name is all there is.
_IN_ITS_PLACE = "PermuteSandwich"


@dataclass(frozen=True, kw_only=True)
class PointwiseLinears(Optimization):
    """1 x 1 convolutions as linear layers, done by torchao.

    Attributes:
        target: whose convolutions; the article takes the denoiser and the VAE.
        channels: only convolutions with so many input or output channels, 128 in the article; 0 takes all.
    """

    name: ClassVar[str] = "pointwise_linears"
    stage: ClassVar[Stage] = Stage.CONVOLUTIONS
    partners: ClassVar[dict[str, str]] = {
        "int8_dynamic": "a linear layer is no faster than its convolution; it is there to be quantized"
    }

    target: tuple[str, ...] = ("denoiser", "vae")
    channels: int = 128

    @override
    def apply(self, pipeline: Any) -> None:
        torchao_quantization(self.name)
        swap = import_module("torchao.quantization.quant_api").swap_conv2d_1x1_to_linear
        modules = target_modules(pipeline, self.target, self.name)
        if not any(self._chosen(module) for module in modules.values()):
            msg = f"{self.name} would turn nothing: no 1 x 1 convolution of {', '.join(modules)}{self._with_channels}"
            raise RecipeError(msg)
        for module in modules.values():
            swap(module, filter_fn=lambda layer, _name: self._is_chosen(layer))

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        modules = target_modules(pipeline, self.target, self.name)
        turned = sum(_turned_count(module) for module in modules.values())
        missing = [
            f"{len(left)} 1 x 1 convolutions of {name}{self._with_channels} are no linears"
            for name, module in modules.items()
            if (left := self._chosen(module))
        ]
        if not turned and not missing:
            missing.append("there is no linear that was a convolution")
        return self.state(f"{turned} 1 x 1 convolutions are linears", missing)

    @property
    def _with_channels(self) -> str:
        return f" with {self.channels} channels" if self.channels else ""

    def _chosen(self, module: torch.nn.Module) -> list[torch.nn.Module]:
        return [part for part in module.modules() if self._is_chosen(part)]

    def _is_chosen(self, layer: torch.nn.Module) -> bool:
        """Choose what a matrix product can compute: one pixel in, one pixel out, all channels together."""
        if not isinstance(layer, torch.nn.Conv2d) or layer.kernel_size != (1, 1):
            return False
        is_plain = layer.stride == (1, 1) and layer.padding in {(0, 0), "valid"} and layer.groups == 1
        return is_plain and (not self.channels or self.channels in {layer.in_channels, layer.out_channels})


def _turned_count(module: torch.nn.Module) -> int:
    return sum(type(part).__name__ == _IN_ITS_PLACE for part in module.modules())
