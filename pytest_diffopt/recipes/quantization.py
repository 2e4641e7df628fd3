"""Quantization by torchao: int8 and fp8 with activations quantized as they come, int8 and int4 of weights alone."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from typing_extensions import override

from pytest_diffopt._torch_private.tensors import inner_dtypes
from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.layer_filters import LayerFilter, filter_named, linears_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.targets import target_modules
from pytest_diffopt.recipes.torchao_access import torchao_quantization
from pytest_diffopt.records import OptimizationState

_ONE_QUANTIZATION = "a layer's weight is quantized once"
_FP8_CAPABILITY = (8, 9)
_INT4: torch.dtype = torch.int4  # type: ignore[attr-defined]  # torch's stubs lack it
_PUBLISHED = "FLUX.1-dev, batch 1, as diffusers-torchao published it"


@dataclass(frozen=True, kw_only=True)
class _Quantization(Optimization):
    """The weights of linear layers in a smaller number format.

    Attributes:
        target: whose layers: `denoiser` or a component's name.
        filter: which linears: `all`, those in the `blocks` that the model repeats, for regional compilation, or the
            article's choice, `diffusion-fast`.
    """

    stage: ClassVar[Stage] = Stage.QUANTIZATION
    holds: ClassVar[str]
    #: What the format's kernel asks of a layer's shape, in words.
    needs_of_kernel: ClassVar[str] = ""

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
                self._config(quantization, pipeline),
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
                missing.append(f"{len(plain)} of {len(eligible)} linears of {name} do not hold {self.holds}")
        if not total:
            missing.append("there is no linear layer")
        left = f", {left_out} left out by the filter" if left_out else ""
        return self.state(f"{quantized} of {total} linears{left}{self._note(pipeline)}", missing)

    @property
    def _filter(self) -> LayerFilter:
        named = filter_named(self.filter)
        return LayerFilter(
            rule=f"{named.rule}{self.needs_of_kernel and f', {self.needs_of_kernel}'}",
            choose=lambda module: [layer for layer in named.choose(module) if self._kernel_takes(layer)],
        )

    def _kernel_takes(self, layer: torch.nn.Linear) -> bool:  # noqa: ARG002 - most take any
        return True

    def _config(self, quantization: Any, pipeline: Any) -> Any:
        raise NotImplementedError

    def _is_quantized(self, weight: torch.Tensor) -> bool:
        raise NotImplementedError

    def _note(self, pipeline: Any) -> str:  # noqa: ARG002 - of one kind only
        return ""

    def _refuse_nothing(self, modules: dict[str, torch.nn.Module]) -> None:
        if not any(self._filter.choose(module) for module in modules.values()):
            total = sum(len(linears_of(module)) for module in modules.values())
            msg = (
                f"{self.name} would quantize nothing: its filter ({self._filter.rule}) lets none of the "
                f"{total} linears of {', '.join(modules)} through"
            )
            raise RecipeError(msg)


@dataclass(frozen=True, kw_only=True)
class Int8Dynamic(_Quantization):
    """int8 weights and, at each call, int8 activations with a scale of their own; the article's last level.

    Attributes:
        target: whose layers; the article takes the denoiser and the VAE.
        filter: which linears, by default the article's choice.
    """

    name: ClassVar[str] = "int8_dynamic"
    holds: ClassVar[str] = "int8 weights with dynamic activations"
    conflicts: ClassVar[dict[str, str]] = {
        "int8_weight_only": _ONE_QUANTIZATION,
        "int4_weight_only": _ONE_QUANTIZATION,
        "fp8_dynamic": _ONE_QUANTIZATION,
    }
    partners: ClassVar[dict[str, str]] = {
        "compile": f"{_PUBLISHED}, takes 130.5 s an image uncompiled and 3.41 s compiled (bfloat16: 6.57 s and 4.21 s)"
    }

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
    """int8 weights, turned back before each product: half the memory of bfloat16."""

    name: ClassVar[str] = "int8_weight_only"
    holds: ClassVar[str] = "int8 weights"
    conflicts: ClassVar[dict[str, str]] = {"int4_weight_only": _ONE_QUANTIZATION, "fp8_dynamic": _ONE_QUANTIZATION}
    partners: ClassVar[dict[str, str]] = {
        "compile": f"{_PUBLISHED}, takes 8.55 s an image uncompiled and 4.62 s compiled (bfloat16: 6.57 s and 4.21 s)"
    }

    @override
    def _config(self, quantization: Any, pipeline: Any) -> Any:
        return quantization.Int8WeightOnlyConfig(version=2)

    @override
    def _is_quantized(self, weight: torch.Tensor) -> bool:
        return torch.int8 in inner_dtypes(weight) and getattr(weight, "act_quant_kwargs", None) is None


@dataclass(frozen=True, kw_only=True)
class Int4WeightOnly(_Quantization):
    """int4 weights in groups with a scale each: a quarter of bfloat16's memory.

    CUDA's kernels hold two values a byte. Elsewhere the same values are held one a byte, and the state says so.

    Attributes:
        target: whose layers.
        filter: which linears.
        group_size: how many values share a scale; layers whose input is no multiple of it are left out.
    """

    name: ClassVar[str] = "int4_weight_only"
    holds: ClassVar[str] = "int4 weights"
    needs_of_kernel: ClassVar[str] = "in_features a multiple of group_size"
    conflicts: ClassVar[dict[str, str]] = {"fp8_dynamic": _ONE_QUANTIZATION}
    partners: ClassVar[dict[str, str]] = {
        "compile": "its weights are turned back in operations of their own, which only a compiler fuses"
    }

    group_size: Literal[32, 64, 128, 256] = 32

    @override
    def _kernel_takes(self, layer: torch.nn.Linear) -> bool:
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
        return "" if pipeline.device.type == "cuda" else " (one value a byte: no GPU)"


@dataclass(frozen=True, kw_only=True)
class Fp8Dynamic(_Quantization):
    """float8 weights and, at each call, float8 activations with a scale a row."""

    name: ClassVar[str] = "fp8_dynamic"
    holds: ClassVar[str] = "float8 weights with dynamic activations"
    needs_of_kernel: ClassVar[str] = "in_features and out_features multiples of 16"
    partners: ClassVar[dict[str, str]] = {
        "compile": f"{_PUBLISHED}, takes 8.62 s an image uncompiled and 3.24 s compiled (bfloat16: 6.57 s and 4.21 s)"
    }

    @override
    def _kernel_takes(self, layer: torch.nn.Linear) -> bool:
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
        return quantization.Float8DynamicActivationFloat8WeightConfig(granularity=quantization.PerRow())

    @override
    def _is_quantized(self, weight: torch.Tensor) -> bool:
        is_float8 = bool({torch.float8_e4m3fn, torch.float8_e4m3fnuz} & inner_dtypes(weight))
        return is_float8 and getattr(weight, "act_quant_kwargs", None) is not None
