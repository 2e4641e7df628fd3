"""Fused projections: one matmul for Q, K and V of an attention layer."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers.models.attention import AttentionMixin, AttentionModuleMixin
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import spatial_modules
from pytest_diffopt.recipes.effect_reading import empty_steps, summed
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OptimizationEffect, OptimizationState

_FUSED_NAMES = frozenset({"to_qkv", "to_kv", "to_added_qkv"})
_CALLS_FOLLOWED = 2


@dataclass(frozen=True, kw_only=True)
class FuseQkv(Optimization):
    """`fuse_qkv_projections()` on the denoiser and the VAE; cross-attention fuses K and V only."""

    name: ClassVar[str] = "fuse_qkv"
    stage: ClassVar[Stage] = Stage.PROJECTIONS

    @override
    def apply(self, pipeline: Any) -> None:
        modules = _fusing_modules(pipeline)
        if not modules:
            msg = f"fuse_qkv needs a module with fuse_qkv_projections(), and {type(pipeline).__name__} has none"
            raise RecipeError(msg)
        for name, module in modules.items():
            _fuse(name, module)
        if not any(_is_fused(layer) for module in modules.values() for layer in _attention_layers(module)):
            kinds = ", ".join(type(module).__name__ for module in modules.values())
            msg = f"fuse_qkv has no effect: no attention layer of {kinds} can fuse its projections"
            raise RecipeError(msg)

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        fused, missing = 0, []
        for name, module in _fusing_modules(pipeline).items():
            layers = _attention_layers(module)
            unfused = [layer for layer in layers if not _is_fused(layer)]
            unused = [layer for layer in layers if _is_fused(layer) and not _uses_fused(layer)]
            fused += len(layers) - len(unfused) - len(unused)
            if unfused:
                missing.append(f"{len(unfused)} of {len(layers)} attention layers of {name} are not fused")
            if unused:
                processors = ", ".join(sorted({type(layer.processor).__name__ for layer in unused}))
                missing.append(
                    f"{len(unused)} of {len(layers)} attention layers of {name} are fused, but {processors}"
                    " does not use the fused weights"
                )
        if not fused and not missing:
            missing.append("the pipeline has no attention layer that can be fused")
        return self.state(f"{fused} attention layers use fused projections", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        seen = [one for one in call.modules if one.module.rpartition(".")[2] in _FUSED_NAMES]
        sums = summed(seen, call)
        return self.acted(
            "calls of fused projections", **sums, lacking=(*_unfused_calls(pipeline, call), *empty_steps(sums, call))
        )


def _unfused_calls(pipeline: Any, call: CallEvidence) -> Iterator[str]:
    """Yield a line for each component whose layers computed K alone although their fused projections exist."""
    called = {one.module for one in call.modules}
    for name, module in _fusing_modules(pipeline).items():
        fused = [path for path, layer in module.named_modules() if hasattr(layer, "fused_projections")]
        apart = [path for path in fused if f"{name}.{path}.to_k" in called]
        if apart:
            yield f"{len(apart)} of {len(fused)} attention layers of {name} computed their projections one by one"


def _fuse(name: str, module: Any) -> None:
    try:
        module.fuse_qkv_projections()
    except ValueError as error:
        msg = f"fuse_qkv cannot fuse {name}: {error}"
        raise RecipeError(msg) from error


def _fusing_modules(pipeline: Any) -> dict[str, Any]:
    return {name: module for name, module in spatial_modules(pipeline).items() if _fuses(module)}


def _fuses(module: Any) -> bool:
    """Return whether a module's `fuse_qkv_projections()` has an effect.

    The inherited method fuses only instances of `AttentionModuleMixin`. A ControlNet has the method, but none of them.
    """
    method = getattr(type(module), "fuse_qkv_projections", None)
    if method is not AttentionMixin.fuse_qkv_projections:
        return method is not None
    return any(isinstance(part, AttentionModuleMixin) for part in module.modules())


def _attention_layers(module: torch.nn.Module) -> list[Any]:
    return [layer for layer in module.modules() if hasattr(layer, "fused_projections") and _can_fuse(layer)]


def _can_fuse(layer: Any) -> bool:
    """Return whether a layer has projections to fuse; diffusers marks the layers that are fused as published."""
    return bool(getattr(layer, "_supports_qkv_fusion", True))


def _is_fused(layer: Any) -> bool:
    return bool(layer.fused_projections) and (hasattr(layer, "to_qkv") or hasattr(layer, "to_kv"))


def _uses_fused(layer: Any) -> bool:
    """Return whether the code of the layer's processor reads the fused weights.

    diffusers' `Attention` has a separate processor for fused weights. Instances of `AttentionModuleMixin` keep their
    processor, which reads `fused_projections` in every call, itself or in a function that it calls.
    """
    return _reads(type(layer.processor).__call__, depth=_CALLS_FOLLOWED)


def _reads(function: Any, *, depth: int) -> bool:
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return False
    if not _FUSED_NAMES.isdisjoint(code.co_names):
        return True
    names = inspect.unwrap(function).__globals__
    called = [names[name] for name in code.co_names if inspect.isfunction(names.get(name))]
    return depth > 0 and any(_reads(one, depth=depth - 1) for one in called)
