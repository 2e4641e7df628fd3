"""Quantization by torchao: int8 and fp8 with dynamically quantized activations, and weight-only int8 and int4."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from typing_extensions import override

from pytest_diffopt._torch_private.tensors import inner_dtypes
from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.effect_reading import empty_steps, summed, work_of
from pytest_diffopt.recipes.layer_filters import LayerFilter, filter_named, linears_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.targets import target_modules
from pytest_diffopt.recipes.torchao_access import torchao_quantization
from pytest_diffopt.records import CallEvidence, OperationKind, Operations, OptimizationEffect, OptimizationState

_ONE_QUANTIZATION = "a layer's weight is quantized once"
# Without a bound a row of zeros (a padded or an empty prompt) is divided by its scale of zero: pytorch/ao#4713.
# As torchao's own epsilon for training.
_LEAST_FP8_MAXIMUM = 1e-12
_FP8_CAPABILITY = (8, 9)
_INT4: torch.dtype = torch.int4  # type: ignore[attr-defined]  # torch's stubs lack it


def _published(uncompiled: str, compiled: str) -> str:
    """Return the published times per image of a format; bfloat16 takes 6.57 s uncompiled and 4.21 s compiled."""
    return (
        f"diffusers-torchao published {uncompiled} s per image uncompiled and {compiled} s compiled for FLUX.1-dev at "
        "batch 1 (bfloat16: 6.57 s and 4.21 s)"
    )


def _keeping_inductors_flags(config: Any) -> Any:
    """Return torchao's configuration so that it leaves Inductor's flags alone: `inductor(flags=...)` sets them."""
    if hasattr(config, "set_inductor_config"):
        config.set_inductor_config = False
    return config


@dataclass(frozen=True, kw_only=True)
class _Quantization(Optimization):
    """The weights of linear layers in a smaller number format.

    Attributes:
        target: the modules whose layers are quantized: `denoiser` or components' names.
        filter: the linear layers that are quantized: `all`; `blocks`, those in the model's repeated blocks, for
            regional compilation; or `diffusion-fast`, the article's selection.
    """

    stage: ClassVar[Stage] = Stage.QUANTIZATION
    affects_precision: ClassVar[bool] = True
    #: The format, for messages.
    weight_format: ClassVar[str]
    #: The dtypes of its matrix products, the first for messages; empty where weights are dequantized before them.
    computes_in: ClassVar[tuple[str, ...]] = ()
    #: The kernel's requirement on a layer's shape, for messages.
    kernel_requirement: ClassVar[str] = ""

    target: tuple[str, ...] = ("denoiser",)
    filter: Literal["all", "blocks", "diffusion-fast"] = "all"

    @override
    def apply(self, pipeline: Any) -> None:
        quantization = torchao_quantization(self.name)
        modules = target_modules(pipeline, self.target, self.name)
        self._refuse_nothing(modules)
        for module in modules.values():
            chosen = {id(layer) for layer in self._filter.choose(module)}
            quantization.quantize_(
                module,
                _keeping_inductors_flags(self._config(quantization, pipeline)),
                filter_fn=lambda layer, _name, chosen=chosen: id(layer) in chosen,
            )

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        total, quantized, left_out, missing = 0, 0, 0, []
        for name, module in target_modules(pipeline, self.target, self.name).items():
            linears = linears_of(module)
            eligible = self._filter.choose(module)
            plain = [layer for layer in eligible if not self._is_quantized(layer.weight)]
            total += len(linears)
            quantized += sum(self._is_quantized(layer.weight) for layer in linears)
            left_out += len(linears) - len(eligible)
            if plain:
                missing.append(f"{len(plain)} of {len(eligible)} linears of {name} do not have {self.weight_format}")
        if not total:
            missing.append("the target has no linear layer")
        left = f", {left_out} left out by the filter" if left_out else ""
        return self.state(f"{quantized} of {total} linears{left}{self._note(pipeline)}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        quantized = set(self._quantized_paths(pipeline))
        calls = [one for one in call.modules if one.module in quantized]
        if not self.computes_in:
            sums = summed(calls, call)
            return self.acted(
                f"calls of linears with {self.weight_format}", **sums, lacking=tuple(empty_steps(sums, call))
            )
        products = [one for one in work_of(call, [OperationKind.MATMUL]) if one.module in quantized]
        sums = summed([one for one in products if one.dtype in self.computes_in], call)
        return self.acted(f"matrix products in {self.computes_in[0]}", **sums, lacking=self._elsewhere(products))

    def _elsewhere(self, products: Sequence[Operations]) -> tuple[str, ...]:
        others = [one for one in products if one.dtype not in self.computes_in]
        kinds = ", ".join(sorted({one.dtype for one in others}))
        count = sum(one.count for one in others)
        return (f"{count} matrix products of quantized linears ran in {kinds}",) if others else ()

    def _quantized_paths(self, pipeline: Any) -> Iterator[str]:
        for name, module in target_modules(pipeline, self.target, self.name).items():
            for path, layer in module.named_modules():
                if isinstance(layer, torch.nn.Linear) and self._is_quantized(layer.weight):
                    yield ".".join(filter(None, [name, path]))

    @property
    def _filter(self) -> LayerFilter:
        named = filter_named(self.filter)
        return LayerFilter(
            rule=f"{named.rule}{self.kernel_requirement and f', {self.kernel_requirement}'}",
            choose=lambda module: [layer for layer in named.choose(module) if self._kernel_supports(layer)],
        )

    def _kernel_supports(self, layer: torch.nn.Linear) -> bool:  # noqa: ARG002 - most kernels support any shape
        return True

    def _config(self, quantization: Any, pipeline: Any) -> Any:
        raise NotImplementedError

    def _is_quantized(self, weight: torch.Tensor) -> bool:
        raise NotImplementedError

    def _note(self, pipeline: Any) -> str:  # noqa: ARG002 - only int4 has a note
        return ""

    def _refuse_nothing(self, modules: dict[str, torch.nn.Module]) -> None:
        if not any(self._filter.choose(module) for module in modules.values()):
            total = sum(len(linears_of(module)) for module in modules.values())
            msg = (
                f"{self.name} has no effect: its filter ({self._filter.rule}) selects none of the {total} linears "
                f"of {', '.join(modules)}"
            )
            raise RecipeError(msg)


@dataclass(frozen=True, kw_only=True)
class Int8Dynamic(_Quantization):
    """int8 weights, and int8 activations with a scale computed in each call; the article's last level.

    Attributes:
        target: the modules whose layers are quantized; the article uses the denoiser and the VAE.
        filter: the linear layers that are quantized, by default the article's selection.
    """

    name: ClassVar[str] = "int8_dynamic"
    weight_format: ClassVar[str] = "int8 weights with dynamic activations"
    # On the CPU, int8 activations are uint8, or int32 for a few rows.
    computes_in: ClassVar[tuple[str, ...]] = ("int8", "uint8", "int32")
    conflicts: ClassVar[dict[str, str]] = {
        "int8_weight_only": _ONE_QUANTIZATION,
        "int4_weight_only": _ONE_QUANTIZATION,
        "fp8_dynamic": _ONE_QUANTIZATION,
    }
    partners: ClassVar[dict[str, str]] = {"compile": _published("130.5", "3.41")}

    target: tuple[str, ...] = ("denoiser", "vae")
    filter: Literal["all", "blocks", "diffusion-fast"] = "diffusion-fast"

    @override
    def _config(self, quantization: Any, pipeline: Any) -> Any:
        return quantization.Int8DynamicActivationInt8WeightConfig(version=2)

    @override
    def _is_quantized(self, weight: torch.Tensor) -> bool:
        return torch.int8 in inner_dtypes(weight) and getattr(weight, "act_quant_kwargs", None) is not None


@dataclass(frozen=True, kw_only=True)
class Int8WeightOnly(_Quantization):
    """int8 weights that are dequantized before each matmul: half the memory of bfloat16."""

    name: ClassVar[str] = "int8_weight_only"
    weight_format: ClassVar[str] = "int8 weights"
    conflicts: ClassVar[dict[str, str]] = {"int4_weight_only": _ONE_QUANTIZATION, "fp8_dynamic": _ONE_QUANTIZATION}
    partners: ClassVar[dict[str, str]] = {"compile": _published("8.55", "4.62")}

    @override
    def _config(self, quantization: Any, pipeline: Any) -> Any:
        return quantization.Int8WeightOnlyConfig(version=2)

    @override
    def _is_quantized(self, weight: torch.Tensor) -> bool:
        return torch.int8 in inner_dtypes(weight) and getattr(weight, "act_quant_kwargs", None) is None


@dataclass(frozen=True, kw_only=True)
class Int4WeightOnly(_Quantization):
    """int4 weights in groups with one scale each: a quarter of bfloat16's memory.

    CUDA's kernels store two values per byte. On other devices the same values take one byte each, and the state
    reports this.

    Attributes:
        target: the modules whose layers are quantized.
        filter: the linear layers that are quantized.
        group_size: the number of values that share a scale; layers whose `in_features` is not a multiple of it are left
            out.
    """

    name: ClassVar[str] = "int4_weight_only"
    weight_format: ClassVar[str] = "int4 weights"
    kernel_requirement: ClassVar[str] = "in_features a multiple of group_size"
    conflicts: ClassVar[dict[str, str]] = {"fp8_dynamic": _ONE_QUANTIZATION}
    partners: ClassVar[dict[str, str]] = {
        "compile": "its weights are dequantized in separate operations, which only a compiler fuses"
    }

    group_size: Literal[32, 64, 128, 256] = 32

    @override
    def _kernel_supports(self, layer: torch.nn.Linear) -> bool:
        return layer.in_features % self.group_size == 0

    @override
    def _config(self, quantization: Any, pipeline: Any) -> Any:
        if pipeline.device.type == "cuda":
            return quantization.Int4WeightOnlyConfig(
                group_size=self.group_size, int4_packing_format="tile_packed_to_4d", version=2
            )
        granularity = quantization.PerGroup(self.group_size)
        return quantization.IntxWeightOnlyConfig(weight_dtype=_INT4, granularity=granularity)

    @override
    def _is_quantized(self, weight: torch.Tensor) -> bool:
        return type(weight).__name__.startswith("Int4") or getattr(weight, "target_dtype", None) is _INT4

    @override
    def _note(self, pipeline: Any) -> str:
        return "" if pipeline.device.type == "cuda" else " (one value per byte: no GPU)"


@dataclass(frozen=True, kw_only=True)
class Fp8Dynamic(_Quantization):
    """float8 weights, and float8 activations with one scale per row, computed in each call."""

    name: ClassVar[str] = "fp8_dynamic"
    weight_format: ClassVar[str] = "float8 weights with dynamic activations"
    computes_in: ClassVar[tuple[str, ...]] = ("float8_e4m3fn", "float8_e4m3fnuz")
    kernel_requirement: ClassVar[str] = "in_features and out_features multiples of 16"
    partners: ClassVar[dict[str, str]] = {"compile": _published("8.62", "3.24")}

    @override
    def _kernel_supports(self, layer: torch.nn.Linear) -> bool:
        return layer.in_features % 16 == 0 and layer.out_features % 16 == 0

    @override
    def why_unavailable(self, device: torch.device) -> str:
        major, minor = _FP8_CAPABILITY
        needs = f"needs a GPU of compute capability {major}.{minor} or newer"
        if device.type != "cuda":
            return f"{needs}, and this pipeline is on {device.type!r}"
        found = torch.cuda.get_device_capability(device)
        return "" if found >= _FP8_CAPABILITY else f"{needs}, and this one has {found[0]}.{found[1]}"

    @override
    def _config(self, quantization: Any, pipeline: Any) -> Any:
        return quantization.Float8DynamicActivationFloat8WeightConfig(
            granularity=quantization.PerRow(), activation_value_lb=_LEAST_FP8_MAXIMUM
        )

    @override
    def _is_quantized(self, weight: torch.Tensor) -> bool:
        is_float8 = bool({torch.float8_e4m3fn, torch.float8_e4m3fnuz} & inner_dtypes(weight))
        return is_float8 and getattr(weight, "act_quant_kwargs", None) is not None
