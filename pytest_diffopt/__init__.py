"""Guard the optimizations of diffusion pipelines with pytest.

The names below are imported at first use: pytest imports this package at every start, and torch is slow to import.

PYTEST_DONT_REWRITE: the command `null-gpu` imports this package before pytest, which would warn that it came too late.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_diffopt._version import __version__

if TYPE_CHECKING:
    from pytest_diffopt.api.applied import assert_optimizations_applied
    from pytest_diffopt.api.compilation import assert_no_graph_breaks, assert_no_recompiles
    from pytest_diffopt.api.compile_baseline import CompileGate
    from pytest_diffopt.api.count_baseline import CountGate
    from pytest_diffopt.api.effect_baseline import EffectGate
    from pytest_diffopt.api.effects import assert_optimizations_effective
    from pytest_diffopt.api.faster import assert_faster
    from pytest_diffopt.api.image_baseline import ImageGate
    from pytest_diffopt.api.images import assert_images_similar, assert_same_images
    from pytest_diffopt.api.kernel_baseline import KernelGate
    from pytest_diffopt.api.kernels import assert_fewer_kernels
    from pytest_diffopt.api.latency_baseline import LatencyGate
    from pytest_diffopt.api.memory_baseline import MemoryGate
    from pytest_diffopt.api.memory_growth import assert_memory_stable
    from pytest_diffopt.api.numerics import assert_compiled_matches_eager, assert_quantized_matches_dequantized
    from pytest_diffopt.api.own_guard import conclude_own_guard
    from pytest_diffopt.api.parallel_images import assert_same_images_in_parallel
    from pytest_diffopt.api.repeatability import assert_repeatable
    from pytest_diffopt.api.syncs import assert_no_syncs, no_syncs
    from pytest_diffopt.guards.audio_thresholds import AudioThresholds
    from pytest_diffopt.guards.compile_allowances import AllowedGraphBreaks, AllowedRecompiles
    from pytest_diffopt.guards.failed_assertion import DiffoptAssertionError
    from pytest_diffopt.guards.image_thresholds import ImageThresholds
    from pytest_diffopt.guards.syncs import AllowedSyncs
    from pytest_diffopt.pipelines.call_changes import another_scheduler, shape_variations
    from pytest_diffopt.pipelines.inputs import PipelineInputs
    from pytest_diffopt.pipelines.lora_changes import lora_disabled, lora_loaded, lora_scaled, lora_variations
    from pytest_diffopt.pipelines.registry import register_pipeline
    from pytest_diffopt.pipelines.scale import Scale
    from pytest_diffopt.recipes.grammar import parse_recipe
    from pytest_diffopt.recipes.ladders import ladder
    from pytest_diffopt.recipes.optimization import Optimization
    from pytest_diffopt.recipes.registry import register_optimization

_HOMES = {
    "AllowedGraphBreaks": "guards.compile_allowances",
    "AllowedRecompiles": "guards.compile_allowances",
    "AllowedSyncs": "guards.syncs",
    "AudioThresholds": "guards.audio_thresholds",
    "CompileGate": "api.compile_baseline",
    "CountGate": "api.count_baseline",
    "DiffoptAssertionError": "guards.failed_assertion",
    "EffectGate": "api.effect_baseline",
    "ImageGate": "api.image_baseline",
    "ImageThresholds": "guards.image_thresholds",
    "KernelGate": "api.kernel_baseline",
    "LatencyGate": "api.latency_baseline",
    "MemoryGate": "api.memory_baseline",
    "Optimization": "recipes.optimization",
    "PipelineInputs": "pipelines.inputs",
    "Scale": "pipelines.scale",
    "another_scheduler": "pipelines.call_changes",
    "assert_compiled_matches_eager": "api.numerics",
    "assert_faster": "api.faster",
    "assert_fewer_kernels": "api.kernels",
    "assert_images_similar": "api.images",
    "assert_memory_stable": "api.memory_growth",
    "assert_no_graph_breaks": "api.compilation",
    "assert_no_recompiles": "api.compilation",
    "assert_no_syncs": "api.syncs",
    "assert_optimizations_applied": "api.applied",
    "assert_optimizations_effective": "api.effects",
    "assert_quantized_matches_dequantized": "api.numerics",
    "assert_repeatable": "api.repeatability",
    "assert_same_images": "api.images",
    "assert_same_images_in_parallel": "api.parallel_images",
    "conclude_own_guard": "api.own_guard",
    "ladder": "recipes.ladders",
    "lora_disabled": "pipelines.lora_changes",
    "lora_loaded": "pipelines.lora_changes",
    "lora_scaled": "pipelines.lora_changes",
    "lora_variations": "pipelines.lora_changes",
    "no_syncs": "api.syncs",
    "parse_recipe": "recipes.grammar",
    "register_optimization": "recipes.registry",
    "register_pipeline": "pipelines.registry",
    "shape_variations": "pipelines.call_changes",
}

__all__ = [
    "AllowedGraphBreaks",
    "AllowedRecompiles",
    "AllowedSyncs",
    "AudioThresholds",
    "CompileGate",
    "CountGate",
    "DiffoptAssertionError",
    "EffectGate",
    "ImageGate",
    "ImageThresholds",
    "KernelGate",
    "LatencyGate",
    "MemoryGate",
    "Optimization",
    "PipelineInputs",
    "Scale",
    "__version__",
    "another_scheduler",
    "assert_compiled_matches_eager",
    "assert_faster",
    "assert_fewer_kernels",
    "assert_images_similar",
    "assert_memory_stable",
    "assert_no_graph_breaks",
    "assert_no_recompiles",
    "assert_no_syncs",
    "assert_optimizations_applied",
    "assert_optimizations_effective",
    "assert_quantized_matches_dequantized",
    "assert_repeatable",
    "assert_same_images",
    "assert_same_images_in_parallel",
    "conclude_own_guard",
    "ladder",
    "lora_disabled",
    "lora_loaded",
    "lora_scaled",
    "lora_variations",
    "no_syncs",
    "parse_recipe",
    "register_optimization",
    "register_pipeline",
    "shape_variations",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
