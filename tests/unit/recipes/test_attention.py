"""Attention processors and enabled kernels are verified."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.recipes.attention import Sdpa, VanillaAttention
from pytest_diffopt.recipes.grammar import parse_recipe
from pytest_diffopt.recipes.optimization import Optimization
from pytest_diffopt.records import OptimizationState

BACKENDS = ["flash", "efficient", "cudnn", "math"]


def enabled_backends() -> list[str]:
    """Return the kernels that torch has enabled."""
    cuda: Any = torch.backends.cuda
    queries = [cuda.flash_sdp_enabled, cuda.mem_efficient_sdp_enabled, cuda.cudnn_sdp_enabled, cuda.math_sdp_enabled]
    return [name for name, is_enabled in zip(BACKENDS, queries, strict=True) if is_enabled()]


def test_vanilla_attention_is_in_every_layer(pipeline: Any) -> None:
    """The layers of the denoiser and the VAE have vanilla processors."""
    recipe = parse_recipe("vanilla_attention")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(name="vanilla_attention", found="24 of 24 attention layers use vanilla attention"),
    )


def test_missing_vanilla_attention_is_reported(
    pipeline: Any, does_nothing: Callable[[type[Optimization]], None]
) -> None:
    """The state names the processors in use, diffusers' default."""
    does_nothing(VanillaAttention)
    recipe = parse_recipe("vanilla_attention")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name="vanilla_attention",
            found="0 of 24 attention layers use vanilla attention",
            missing=(
                "22 of 22 attention layers of unet use AttnProcessor2_0",
                "2 of 2 attention layers of vae use AttnProcessor2_0",
            ),
        ),
    )


def test_sdpa_replaces_vanilla_attention(pipeline: Any) -> None:
    """Every layer has SDPA afterwards."""
    pipeline.unet.set_default_attn_processor()
    pipeline.vae.set_default_attn_processor()
    recipe = parse_recipe("sdpa")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (OptimizationState(name="sdpa", found="24 of 24 attention layers use SDPA"),)


def test_missing_sdpa_is_reported(pipeline: Any, does_nothing: Callable[[type[Optimization]], None]) -> None:
    """The layers with vanilla attention are counted per module."""
    pipeline.unet.set_attn_processor(AttnProcessor())
    does_nothing(Sdpa)
    recipe = parse_recipe("sdpa")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name="sdpa",
            found="2 of 24 attention layers use SDPA",
            missing=("22 of 22 attention layers of unet use AttnProcessor",),
        ),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_the_selected_backend_is_enabled_during_calls(pipeline: Any, backend: str) -> None:
    """It is verified inside the call context; afterwards all kernels are enabled again."""
    before = enabled_backends()
    recipe = parse_recipe(f"sdpa(backend={backend!r})")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name=f'sdpa(backend="{backend}")', found=f"24 of 24 attention layers use SDPA, backend {backend}"
        ),
    )
    assert enabled_backends() == before


def test_a_missing_backend_is_reported(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state lists the enabled kernels."""
    monkeypatch.setattr(Sdpa, "call_context", Optimization.call_context)
    recipe = parse_recipe("sdpa(backend='math')")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name='sdpa(backend="math")',
            found="24 of 24 attention layers use SDPA, backend flash, efficient, cudnn, math",
            missing=("enabled backends: ['flash', 'efficient', 'cudnn', 'math']",),
        ),
    )


@pytest.mark.parametrize("name", ["sdpa", "vanilla_attention"])
def test_a_pipeline_without_attention_is_refused(name: str) -> None:
    """The optimization does not apply to it."""

    class Convolutional:
        def __init__(self) -> None:
            self.components = {"unet": torch.nn.Conv2d(4, 4, 3)}

    with pytest.raises(RecipeError) as error:
        parse_recipe(name).apply(Convolutional())

    assert str(error.value) == f"{name} needs a module with attention processors, and Convolutional has none"


def test_a_module_without_vanilla_processors_is_refused() -> None:
    """Diffusers' transformers have attention processors, but no vanilla ones."""

    class Transformer(torch.nn.Module):
        attn_processors: dict[str, object] = {}  # noqa: RUF012 - diffusers has a property here

    class Pipeline:
        def __init__(self) -> None:
            self.components = {"transformer": Transformer()}

    with pytest.raises(RecipeError) as error:
        parse_recipe("vanilla_attention").apply(Pipeline())

    assert str(error.value) == "vanilla_attention needs set_default_attn_processor(), and transformer has none"
