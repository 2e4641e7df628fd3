"""Attention processors: diffusers' vanilla processors, or scaled_dot_product_attention with a selected kernel."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from diffusers.models.attention_processor import Attention, AttnAddedKVProcessor2_0, AttnProcessor2_0
from torch.nn.attention import SDPBackend, sdpa_kernel
from typing_extensions import override

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.components import spatial_modules
from pytest_diffopt.recipes.effect_reading import component_of, empty_steps, summed, work_of
from pytest_diffopt.recipes.optimization import Optimization, Stage
from pytest_diffopt.records import CallEvidence, OperationKind, Operations, OptimizationEffect, OptimizationState

# Processors that run matmul, softmax and matmul as separate operations.
_VANILLA = frozenset({"AttnProcessor", "AttnAddedKVProcessor", "SlicedAttnProcessor", "SlicedAttnAddedKVProcessor"})
# Fusing the projections replaces the first with the second; both call SDPA.
_PROCESSOR_2_0 = frozenset({"AttnProcessor2_0", "FusedAttnProcessor2_0"})
_BACKENDS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "math": SDPBackend.MATH,
}


@dataclass(frozen=True, kw_only=True)
class VanillaAttention(Optimization):
    """Attention as separate operations, as before PyTorch 2: the first level of the ladder, for comparison."""

    name: ClassVar[str] = "vanilla_attention"
    stage: ClassVar[Stage] = Stage.ATTENTION
    conflicts: ClassVar[dict[str, str]] = {
        "sdpa": "a layer has one attention processor",
        "fuse_qkv": "fused projections use a processor that calls SDPA",
    }

    @override
    def apply(self, pipeline: Any) -> None:
        for name, module in _with_processors(pipeline, self).items():
            if not hasattr(module, "set_default_attn_processor"):
                msg = f"vanilla_attention needs set_default_attn_processor(), and {name} has none"
                raise RecipeError(msg)
            module.set_default_attn_processor()

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        return _state(self, pipeline, uses="vanilla attention", is_expected=lambda name: name in _VANILLA)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        sums = summed(_in_attention(self, pipeline, call, OperationKind.SOFTMAX), call)
        fused = _in_attention(self, pipeline, call, OperationKind.ATTENTION)
        lacking = [f"{sum(one.count for one in fused)} attention calls ran a fused kernel"] if fused else []
        return self.acted("softmaxes of attention as separate operations", **sums, lacking=tuple(lacking))


@dataclass(frozen=True, kw_only=True)
class Sdpa(Optimization):
    """`scaled_dot_product_attention`, the default of diffusers on PyTorch 2.

    Attributes:
        backend: the only kernel that is enabled; None leaves the choice to torch.
    """

    name: ClassVar[str] = "sdpa"
    stage: ClassVar[Stage] = Stage.ATTENTION

    backend: Literal["flash", "efficient", "cudnn", "math"] | None = None

    @override
    def apply(self, pipeline: Any) -> None:
        for module in _with_processors(pipeline, self).values():
            if any(name in _VANILLA for name in _processor_names(module)):
                added = _layers_with_added_projections(module)
                module.set_attn_processor(AttnAddedKVProcessor2_0() if added else AttnProcessor2_0())

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        state = _state(self, pipeline, uses="SDPA", is_expected=lambda name: name not in _VANILLA)
        if self.backend is None:
            return state
        enabled = [name for name, is_enabled in _enabled_backends().items() if is_enabled]
        missing = [*state.missing] if enabled == [self.backend] else [*state.missing, f"enabled backends: {enabled}"]
        return self.state(f"{state.found}, backend {', '.join(enabled)}", missing)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        if self.backend == "math":
            sums = summed(_in_attention(self, pipeline, call, OperationKind.SOFTMAX), call)
            return self.acted("attention calls of the math kernel", **sums, lacking=ignored_masks(call))
        return _fused(self, pipeline, call, kernel=self.backend or "")

    @override
    def call_context(self) -> AbstractContextManager[object]:
        return sdpa_kernel(_BACKENDS[self.backend]) if self.backend else nullcontext()

    @property
    @override
    def needs_call_context(self) -> bool:
        return self.backend is not None


@dataclass(frozen=True, kw_only=True)
class AttnProcessor20(Optimization):
    """`AttnProcessor2_0` in every layer, set by name as on diffusers' "PyTorch 2.0" page."""

    name: ClassVar[str] = "attn_processor_2_0"
    stage: ClassVar[Stage] = Stage.ATTENTION
    conflicts: ClassVar[dict[str, str]] = {"vanilla_attention": "a layer has one attention processor"}

    @override
    def apply(self, pipeline: Any) -> None:
        for name, module in _with_processors(pipeline, self).items():
            others = [layer for layer in _layers_with_processor(module) if not isinstance(layer, Attention)]
            if others:
                msg = (
                    f"attn_processor_2_0 needs layers of the class Attention, and {len(others)} attention layers of "
                    f"{name} are {type(others[0]).__name__}, which calls SDPA from its own processor"
                )
                raise RecipeError(msg)
            added = _layers_with_added_projections(module)
            if added:
                msg = (
                    f"attn_processor_2_0 ignores the added key and value projections of {len(added)} attention layers "
                    f"of {name}: use sdpa, which selects a processor that reads them"
                )
                raise RecipeError(msg)
            module.set_attn_processor(AttnProcessor2_0())

    @override
    def verify(self, pipeline: Any) -> OptimizationState:
        return _state(self, pipeline, uses="AttnProcessor2_0", is_expected=lambda name: name in _PROCESSOR_2_0)

    @override
    def effect(self, pipeline: Any, call: CallEvidence) -> OptimizationEffect:
        return _fused(self, pipeline, call)


def _in_attention(
    optimization: Optimization, pipeline: Any, call: CallEvidence, kind: OperationKind
) -> tuple[Operations, ...]:
    """Return the operations of one kind in layers with an attention processor; others, such as poolings, have none."""
    layers = {
        ".".join(filter(None, [component, path]))
        for component, module in _with_processors(pipeline, optimization).items()
        for path, layer in module.named_modules()
        if hasattr(layer, "set_processor")
    }
    return tuple(one for one in work_of(call, [kind]) if one.module in layers)


def _fused(optimization: Optimization, pipeline: Any, call: CallEvidence, *, kernel: str = "") -> OptimizationEffect:
    seen = _in_attention(optimization, pipeline, call, OperationKind.ATTENTION)
    sums = summed([one for one in seen if kernel in one.name], call)
    apart = () if kernel else _in_attention(optimization, pipeline, call, OperationKind.SOFTMAX)
    lacking = [
        f"{count} attention calls of {component} ran as separate operations"
        for component in _with_processors(pipeline, optimization)
        if (count := sum(one.count for one in apart if component_of(one.module) == component))
    ]
    figure = f"attention calls of the {kernel} kernel" if kernel else "attention calls of a fused kernel"
    return optimization.acted(figure, **sums, lacking=(*lacking, *ignored_masks(call), *empty_steps(sums, call)))


def ignored_masks(call: CallEvidence) -> tuple[str, ...]:
    """Return a line for each backend of diffusers that was given masks and ignored them."""
    backends = dict.fromkeys(one.backend for one in call.backends if one.ignored_masks)
    return tuple(
        f"{sum(one.ignored_masks for one in seen)} of {sum(one.masked for one in seen)} masks were ignored by {name}"
        for name in backends
        for seen in [[one for one in call.backends if one.backend == name]]
    )


def _layers_with_processor(module: torch.nn.Module) -> list[torch.nn.Module]:
    return [layer for layer in module.modules() if hasattr(layer, "set_processor")]


def _layers_with_added_projections(module: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the layers with separate key and value projections for the text, as in DeepFloyd IF."""
    return [layer for layer in module.modules() if getattr(layer, "added_kv_proj_dim", None) is not None]


def _enabled_backends() -> dict[str, bool]:
    cuda: Any = torch.backends.cuda  # these functions of torch are not typed
    return {
        "flash": cuda.flash_sdp_enabled(),
        "efficient": cuda.mem_efficient_sdp_enabled(),
        "cudnn": cuda.cudnn_sdp_enabled(),
        "math": cuda.math_sdp_enabled(),
    }


def _with_processors(pipeline: Any, optimization: Optimization) -> dict[str, Any]:
    found = {name: module for name, module in spatial_modules(pipeline).items() if hasattr(module, "attn_processors")}
    if not found:
        msg = f"{optimization.name} needs a module with attention processors, and {type(pipeline).__name__} has none"
        raise RecipeError(msg)
    return found


def _processor_names(module: Any) -> list[str]:
    return [type(processor).__name__ for processor in module.attn_processors.values()]


def _state(
    optimization: Optimization, pipeline: Any, *, uses: str, is_expected: Callable[[str], bool]
) -> OptimizationState:
    total, right, missing = 0, 0, []
    for name, module in _with_processors(pipeline, optimization).items():
        names = _processor_names(module)
        others = [processor for processor in names if not is_expected(processor)]
        total += len(names)
        right += len(names) - len(others)
        if others:
            kinds = ", ".join(sorted(set(others)))
            missing.append(f"{len(others)} of {len(names)} attention layers of {name} use {kinds}")
    return optimization.state(f"{right} of {total} attention layers use {uses}", missing)
