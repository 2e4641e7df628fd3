"""Fused projections: Q, K and V of an attention layer in one matmul."""

from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import spatial_modules
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import OptimizationState


@dataclass(frozen=True, kw_only=True)
class FuseQkv(Optimization):
    """`fuse_qkv_projections()` on the denoiser and the VAE; cross-attention fuses K and V only."""

    name: ClassVar[str] = "fuse_qkv"
    stage: ClassVar[Stage] = Stage.PROJECTIONS

    @override
    def apply(self, pipeline: Any) -> None:
        modules = _modules_that_fuse(pipeline)
        if not modules:
            msg = f"fuse_qkv needs a module with fuse_qkv_projections(), and {type(pipeline).__name__} has none"
            raise RecipeError(msg)
        for module in modules.values():
            module.fuse_qkv_projections()

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        fused, missing = 0, []
        for name, module in _modules_that_fuse(pipeline).items():
            layers: list[Any] = [layer for layer in module.modules() if hasattr(layer, "fused_projections")]
            unfused = [layer for layer in layers if not _is_fused(layer)]
            unused = [layer for layer in layers if _is_fused(layer) and not _uses_fused(layer)]
            fused += len(layers) - len(unfused) - len(unused)
            if unfused:
                missing.append(f"{len(unfused)} of {len(layers)} attention layers of {name} are not fused")
            if unused:
                processors = ", ".join(sorted({type(layer.processor).__name__ for layer in unused}))
                missing.append(
                    f"{len(unused)} of {len(layers)} attention layers of {name} are fused, but {processors}"
                    " does not use it"
                )
        if not fused and not missing:
            missing.append("there is no attention layer that could be fused")
        return self.state(f"{fused} attention layers use fused projections", missing)


def _modules_that_fuse(pipeline: Any) -> dict[str, Any]:
    """Return the modules that can fuse; a ControlNet has such layers, and diffusers gives it no way to."""
    parts = spatial_modules(pipeline).items()
    return {name: module for name, module in parts if hasattr(module, "fuse_qkv_projections")}


def _is_fused(layer: Any) -> bool:
    return bool(layer.fused_projections) and (hasattr(layer, "to_qkv") or hasattr(layer, "to_kv"))


def _uses_fused(layer: Any) -> bool:
    """Tell whether the layer's processor reads the fused weights.

    diffusers' `Attention` has a processor of its own for that; the later attention modules (`AttentionModuleMixin`)
    keep their processor, which asks for `fused_projections` at every call.
    """
    from diffusers.models.attention import AttentionModuleMixin  # noqa: PLC0415 - diffusers is slow to import

    return isinstance(layer, AttentionModuleMixin) or type(layer.processor).__name__.startswith("Fused")
