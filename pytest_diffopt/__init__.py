"""Guard the optimizations of diffusion pipelines with pytest.

The names below are imported when they are first used: pytest imports this package at every start, and torch is slow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pytest_diffopt._version import __version__

if TYPE_CHECKING:
    from pytest_diffopt.api.assertions import (
        assert_faster,
        assert_no_syncs,
        assert_optimizations_applied,
        no_syncs,
    )
    from pytest_diffopt.api.compilation import (
        assert_compiled_matches_eager,
        assert_no_graph_breaks,
        assert_no_recompiles,
    )
    from pytest_diffopt.api.compile_counts import CompileGate
    from pytest_diffopt.api.image_baseline import ImageGate
    from pytest_diffopt.api.images import assert_images_similar, assert_repeatable, assert_same_images
    from pytest_diffopt.api.stored_gates import CountGate, LatencyGate, MemoryGate
    from pytest_diffopt.guards.compile_allowances import AllowedGraphBreaks, AllowedRecompiles
    from pytest_diffopt.guards.images import ImageThresholds
    from pytest_diffopt.guards.syncs import AllowedSyncs
    from pytest_diffopt.pipelines.call_changes import another_scheduler, lora_scaled, lora_variations, shape_variations
    from pytest_diffopt.pipelines.inputs import PipelineInputs
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
    "CompileGate": "api.compile_counts",
    "CountGate": "api.stored_gates",
    "ImageGate": "api.image_baseline",
    "ImageThresholds": "guards.images",
    "LatencyGate": "api.stored_gates",
    "MemoryGate": "api.stored_gates",
    "Optimization": "recipes.optimization",
    "PipelineInputs": "pipelines.inputs",
    "Scale": "pipelines.scale",
    "another_scheduler": "pipelines.call_changes",
    "assert_compiled_matches_eager": "api.compilation",
    "assert_faster": "api.assertions",
    "assert_images_similar": "api.images",
    "assert_no_graph_breaks": "api.compilation",
    "assert_no_recompiles": "api.compilation",
    "assert_no_syncs": "api.assertions",
    "assert_optimizations_applied": "api.assertions",
    "assert_repeatable": "api.images",
    "assert_same_images": "api.images",
    "ladder": "recipes.ladders",
    "lora_scaled": "pipelines.call_changes",
    "lora_variations": "pipelines.call_changes",
    "no_syncs": "api.assertions",
    "parse_recipe": "recipes.grammar",
    "register_optimization": "recipes.registry",
    "register_pipeline": "pipelines.registry",
    "shape_variations": "pipelines.call_changes",
}

__all__ = [
    "AllowedGraphBreaks",
    "AllowedRecompiles",
    "AllowedSyncs",
    "CompileGate",
    "CountGate",
    "ImageGate",
    "ImageThresholds",
    "LatencyGate",
    "MemoryGate",
    "Optimization",
    "PipelineInputs",
    "Scale",
    "__version__",
    "another_scheduler",
    "assert_compiled_matches_eager",
    "assert_faster",
    "assert_images_similar",
    "assert_no_graph_breaks",
    "assert_no_recompiles",
    "assert_no_syncs",
    "assert_optimizations_applied",
    "assert_repeatable",
    "assert_same_images",
    "ladder",
    "lora_scaled",
    "lora_variations",
    "no_syncs",
    "parse_recipe",
    "register_optimization",
    "register_pipeline",
    "shape_variations",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first used."""
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
