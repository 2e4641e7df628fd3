"""Quantization by diffusers while a model is loaded: found in the pipeline that `from_pretrained` returned."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, Literal

import torch
from typing_extensions import override

from pytest_diffopt._torch_private.tensors import stored_bytes
from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.quantized_weights import is_quantized
from pytest_diffopt.recipes.effect_reading import empty_steps, summed
from pytest_diffopt.recipes.layer_filters import linears_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.recipes.targets import target_modules
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_PACKAGES = {"torchao": "torchao", "bitsandbytes": "bitsandbytes", "gguf": "gguf", "quanto": "optimum.quanto"}
_GGUF_LAYER = "GGUFLinear"
_HALF_BYTES = 2
_KIB = 1024
_ONE_QUANTIZATION = "a layer's weight is quantized once"


@dataclass(frozen=True, kw_only=True)
class QuantizedOnLoad(Optimization):
    """A model that `from_pretrained(quantization_config=PipelineQuantizationConfig(...))` quantized.

    It is part of a recipe so that it is verified; applying it to a pipeline that is not quantized is an error.

    Attributes:
        backend: the library that quantized it.
        target: the quantized modules: `denoiser` or components' names.
    """

    name: ClassVar[str] = "quantized_on_load"
    stage: ClassVar[Stage] = Stage.QUANTIZATION
    affects_precision: ClassVar[bool] = True
    conflicts: ClassVar[dict[str, str]] = {
        "int8_dynamic": _ONE_QUANTIZATION,
        "int8_weight_only": _ONE_QUANTIZATION,
        "int4_weight_only": _ONE_QUANTIZATION,
        "fp8_dynamic": _ONE_QUANTIZATION,
        "layerwise_casting": "a quantized weight cannot be cast to float8",
    }

    backend: Literal["torchao", "bitsandbytes", "gguf", "quanto"] = "torchao"
    target: tuple[str, ...] = ("denoiser",)

    @override
    def why_unavailable(self, device: torch.device) -> str:
        package = _PACKAGES[self.backend]
        is_installed = find_spec(package.partition(".")[0]) is not None and find_spec(package) is not None
        return "" if is_installed else f"needs the package {package.replace('.', '-')}, which is not installed"

    @override
    def apply(self, pipeline: Any) -> None:
        for name, module in target_modules(pipeline, self.target, self.name).items():
            if found := self._other(module):
                msg = (
                    f"quantized_on_load needs a pipeline that was loaded with "
                    f"quantization_config=PipelineQuantizationConfig(...), and {name} ({type(module).__name__}) {found}"
                )
                raise RecipeError(msg)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        lines, missing = [], []
        for name, module in target_modules(pipeline, self.target, self.name).items():
            linears, excluded = linears_of(module), _excluded(module)
            quantized = [layer for layer in linears if is_quantized(layer.weight)]
            plain = [layer for layer in linears if layer not in quantized and layer not in excluded]
            lines.append(
                f"{len(quantized)} of {len(linears)} linears of {name}, {len(excluded)} excluded, {_sizes(quantized)}"
            )
            if found := self._other(module):
                missing.append(f"{name} {found}")
            elif plain or not quantized:
                missing.append(f"{len(plain)} of {len(linears) - len(excluded)} linears of {name} are not quantized")
        return self.state("; ".join(lines), missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        paths = set(self._paths(pipeline))
        sums = summed([one for one in call.modules if one.module in paths], call)
        figure = f"calls of linears that {self.backend} quantized"
        return self.acted(figure, **sums, lacking=tuple(empty_steps(sums, call)))

    @override
    def takes_over(self, pipeline: Any) -> Iterable[torch.Tensor]:
        for module in target_modules(pipeline, self.target, self.name).values():
            yield from (layer.weight for layer in linears_of(module) if is_quantized(layer.weight))

    def _other(self, module: Any) -> str:
        """Return what a module is instead of quantized by the backend; empty if it is."""
        quantizer = getattr(module, "hf_quantizer", None)
        if quantizer is None:
            return "is not quantized"
        method = _method_of(quantizer)
        return "" if method == self.backend else f"is quantized by {method}, not by {self.backend}"

    def _paths(self, pipeline: Any) -> Iterator[str]:
        for name, module in target_modules(pipeline, self.target, self.name).items():
            for path, layer in module.named_modules():
                if isinstance(layer, torch.nn.Linear) and is_quantized(layer.weight):
                    yield f"{name}.{path}"


def _method_of(quantizer: Any) -> str:
    return str(getattr(quantizer.quantization_config.quant_method, "value", "unknown"))


def _excluded(module: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the linear layers that the configuration leaves out, by diffusers' rule for names of parameters.

    A GGUF file has some weights in a plain dtype, and diffusers replaces only the layers of the others.
    """
    quantizer = getattr(module, "hf_quantizer", None)
    if quantizer is not None and _method_of(quantizer) == "gguf":
        return [layer for layer in linears_of(module) if type(layer).__name__ != _GGUF_LAYER]
    left_out = getattr(quantizer, "modules_to_not_convert", None) or ()
    return [
        layer
        for path, layer in module.named_modules()
        if isinstance(layer, torch.nn.Linear) and any(f"{key}." in f"{path}.weight" for key in left_out)
    ]


def _sizes(quantized: Sequence[torch.nn.Linear]) -> str:
    packed = sum(stored_bytes(layer.weight) for layer in quantized)
    in_half = sum(layer.in_features * layer.out_features * _HALF_BYTES for layer in quantized)
    return f"{packed / _KIB:,.0f} KiB in place of {in_half / _KIB:,.0f} KiB in half precision"
