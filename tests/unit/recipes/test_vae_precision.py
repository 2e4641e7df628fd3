"""A VAE in a float16 pipeline is upcast or safe from overflow; otherwise the reason is reported."""

from typing import Any

import pytest
import torch

from pytest_diffopt.errors import RecipeError, RecipeWarning
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.grammar import parse_recipe


def test_a_pipeline_that_never_upcasts_is_refused() -> None:
    """The flag alone would have no effect."""
    with pytest.raises(RecipeError) as error:
        parse_recipe("fp16 + vae_upcast").apply(build_pipeline(find_pipeline("sd15"), Scale.TINY).pipeline)

    assert str(error.value) == (
        "vae_upcast needs a pipeline that reads vae.config.force_upcast, and StableDiffusionPipeline does not"
    )


def test_only_float16_is_upcast(pipeline: Any) -> None:
    """In bfloat16 the flag has no effect: `apply` warns, and `verify` reports it."""
    recipe = parse_recipe("bf16 + vae_upcast")
    with pytest.warns(RecipeWarning, match="vae_upcast has no benefit without fp16"):
        recipe.apply(pipeline)

    assert recipe.verify(pipeline)[1].missing == ("vae is bfloat16, and diffusers upcasts from float16 only",)


def test_a_vae_that_overflows_is_not_safe(pipeline: Any) -> None:
    """`verify` decodes latents to check."""
    recipe = parse_recipe("fp16_safe_vae + fp16")
    recipe.apply(pipeline)
    with torch.no_grad():
        pipeline.vae.decoder.conv_out.bias.fill_(torch.inf)
    state = recipe.verify(pipeline)[0]

    assert state.missing == ("3072 values of a decoded image are not finite",)


def test_upcast_and_safe_contradict_each_other() -> None:
    """A VAE is either upcast or needs no upcasting."""
    with pytest.raises(RecipeError, match="vae_upcast and fp16_safe_vae contradict each other"):
        parse_recipe("fp16_safe_vae + fp16 + vae_upcast")
