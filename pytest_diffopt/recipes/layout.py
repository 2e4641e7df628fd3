"""Memory layout: channels_last."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from typing_extensions import override

from pytest_diffopt.pipelines.components import spatial_modules
from pytest_diffopt.recipes.effect_reading import component_of, summed, work_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, Layout, OperationKind, OptimizationEffect, OptimizationState

_DIMENSIONS_OF_3D = 5


@dataclass(frozen=True, kw_only=True)
class ChannelsLast(Optimization):
    """NHWC weights in every 2-d convolution of the denoiser, VAE and ControlNet."""

    name: ClassVar[str] = "channels_last"
    stage: ClassVar[Stage] = Stage.LAYOUT

    @override
    def apply(self, pipeline: Any) -> None:
        for module in spatial_modules(pipeline).values():
            for part in _convertible(module):
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this one

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        total, missing = 0, []
        for name, module in spatial_modules(pipeline).items():
            weights = _layout_sensitive_weights(module)
            laid_out = sum(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)
            total += laid_out
            if laid_out < len(weights):
                missing.append(f"{len(weights) - laid_out} of {len(weights)} convolution weights of {name} are NCHW")
        if not total and not missing:
            missing.append("the pipeline has no convolution whose layout can change")
        return self.state(f"{total} convolution weights are channels_last", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        convolutions = work_of(call, [OperationKind.CONVOLUTION])
        sums = summed([one for one in convolutions if one.layout is Layout.NHWC], call)
        others = [one for one in convolutions if one.layout is Layout.NCHW]
        lacking = [
            f"{sum(one.count for one in found)} convolutions of {name} ran in NCHW"
            for name in spatial_modules(pipeline)
            if (found := [one for one in others if component_of(one.module) == name])
        ]
        figure = "convolutions computed in channels_last"
        return self.acted(figure, **sums, lacking=tuple(lacking))


def _convertible(module: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the module, or its 2-d convolutions where others are 3-d, of which torch would raise."""
    if all(parameter.dim() < _DIMENSIONS_OF_3D for parameter in module.parameters()):
        return [module]
    return [part for part in module.modules() if isinstance(part, torch.nn.Conv2d)]


def _layout_sensitive_weights(module: torch.nn.Module) -> list[torch.Tensor]:
    """Return the convolution weights whose strides differ between the layouts.

    The weights of a 1 x 1 kernel or a single channel have the same strides in both.
    """
    convolutions = [part for part in module.modules() if isinstance(part, torch.nn.Conv2d)]
    return [part.weight for part in convolutions if not (_is_nchw(part.weight) and _is_nhwc(part.weight))]


def _is_nchw(weight: torch.Tensor) -> bool:
    return weight.is_contiguous()


def _is_nhwc(weight: torch.Tensor) -> bool:
    return weight.is_contiguous(memory_format=torch.channels_last)
