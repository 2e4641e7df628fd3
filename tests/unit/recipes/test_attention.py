"""Attention processors and the kernels that may answer are what was asked for, or are missed."""

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
    """Ask torch which kernels may answer now."""
    cuda: Any = torch.backends.cuda
    asked = [cuda.flash_sdp_enabled, cuda.mem_efficient_sdp_enabled, cuda.cudnn_sdp_enabled, cuda.math_sdp_enabled]
    return [name for name, ask in zip(BACKENDS, asked, strict=True) if ask()]


def test_vanilla_attention_is_in_every_layer(pipeline: Any) -> None:
    """The denoiser's and the VAE's layers multiply, take the softmax and multiply again."""
    recipe = parse_recipe("vanilla_attention")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(name="vanilla_attention", found="24 of 24 attention layers use vanilla attention"),
    )


def test_vanilla_attention_that_was_not_applied_is_missed(
    pipeline: Any, does_nothing: Callable[[type[Optimization]], None]
) -> None:
    """Diffusers' default is SDPA, and is named."""
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
    """A pipeline that came with other processors has SDPA in every layer afterwards."""
    pipeline.unet.set_default_attn_processor()
    pipeline.vae.set_default_attn_processor()
    recipe = parse_recipe("sdpa")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (OptimizationState(name="sdpa", found="24 of 24 attention layers use SDPA"),)


def test_sdpa_that_was_not_applied_is_missed(pipeline: Any, does_nothing: Callable[[type[Optimization]], None]) -> None:
    """The layers that still write attention out are counted, module by module."""
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
def test_a_backend_is_the_only_one_while_the_pipeline_runs(pipeline: Any, backend: str) -> None:
    """It is verified in the state of the calls, and afterwards every kernel may answer again."""
    before = enabled_backends()
    recipe = parse_recipe(f"sdpa(backend={backend!r})")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name=f'sdpa(backend="{backend}")', found=f"24 of 24 attention layers use SDPA, backend {backend}"
        ),
    )
    assert enabled_backends() == before


def test_a_backend_that_was_not_chosen_is_missed(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which kernels may answer stands there."""
    monkeypatch.setattr(Sdpa, "call_context", Optimization.call_context)
    recipe = parse_recipe("sdpa(backend='math')")
    recipe.apply(pipeline)

    assert recipe.verify(pipeline) == (
        OptimizationState(
            name='sdpa(backend="math")',
            found="24 of 24 attention layers use SDPA, backend flash, efficient, cudnn, math",
            missing=("backends allowed: ['flash', 'efficient', 'cudnn', 'math']",),
        ),
    )


@pytest.mark.parametrize("name", ["sdpa", "vanilla_attention"])
def test_a_pipeline_without_attention_is_refused(name: str) -> None:
    """There is nothing that the optimization could change."""

    class Convolutional:
        def __init__(self) -> None:
            self.components = {"unet": torch.nn.Conv2d(4, 4, 3)}

    with pytest.raises(RecipeError) as error:
        parse_recipe(name).apply(Convolutional())

    assert str(error.value) == f"{name} needs a module with attention processors, and Convolutional has none"


def test_a_module_that_cannot_go_back_to_vanilla_attention_is_refused() -> None:
    """Transformers of diffusers have processors, and no way to the plain ones."""

    class Transformer(torch.nn.Module):
        attn_processors: dict[str, object] = {}  # noqa: RUF012 - diffusers has a property here

    class Pipeline:
        def __init__(self) -> None:
            self.components = {"transformer": Transformer()}

    with pytest.raises(RecipeError) as error:
        parse_recipe("vanilla_attention").apply(Pipeline())

    assert str(error.value) == "vanilla_attention needs set_default_attn_processor(), which transformer lacks"
