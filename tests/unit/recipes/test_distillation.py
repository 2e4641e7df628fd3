"""Smaller models have the published shapes and replace only models that they fit."""

from typing import Any

import pytest

from pytest_diffopt.errors import RecipeError
from pytest_diffopt.pipelines.loading import build_pipeline
from pytest_diffopt.pipelines.published import published_config
from pytest_diffopt.pipelines.registry import find_pipeline
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.recipes.distillation import _distilled_config, _tiny_config
from pytest_diffopt.recipes.grammar import parse_recipe


def shape_of(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration without the class name."""
    return {name: value for name, value in config.items() if not name.startswith("_")}


def refusal(text: str, pipeline: Any) -> str:
    """Apply a recipe that does not fit and return the message."""
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text).apply(pipeline)
    return str(caught.value)


def test_stable_diffusion_distilled_is_bk_sdm() -> None:
    """One layer per block and no middle block turn the published UNet into the published small one."""
    own = shape_of(published_config("stable-diffusion-v1-5", "unet"))
    small = shape_of(published_config("bk-sdm-small", "unet"))
    made = _distilled_config(own)

    assert {name: made.get(name) for name in small if name in own} == {
        name: small[name] for name in small if name in own
    }
    assert (made["layers_per_block"], made["mid_block_type"]) == (1, None)


def test_sdxl_distilled_is_ssd_1b() -> None:
    """The configuration is the published one."""
    own = shape_of(published_config("stable-diffusion-xl-base-1.0", "unet"))

    assert _distilled_config(own) == shape_of(published_config("SSD-1B", "unet"))


def test_the_tiny_autoencoder_has_the_published_shape() -> None:
    """Its levels and width follow from those of the VAE."""
    own = published_config("stable-diffusion-v1-5", "vae")
    published = published_config("taesd", "vae")
    made = _tiny_config(own)

    assert {name: list(value) if isinstance(value, tuple) else value for name, value in made.items()} == {
        name: published[name] for name in made
    }


def test_fitting_weights_are_kept(pipeline: Any) -> None:
    """A distilled UNet starts with the weights of the UNet that it replaces."""
    own = pipeline.unet.conv_in.weight.clone()
    parse_recipe("distilled").apply(pipeline)

    assert (pipeline.unet.conv_in.weight == own).all()


@pytest.mark.parametrize("text", ["distilled", "tiny_autoencoder", "fp16_safe_vae + fp16"])
def test_missing_weights_are_reported(pipeline: Any, text: str) -> None:
    """The message shows the given name and the reason."""
    name, _, rest = text.partition(" ")

    assert refusal(f"{name}(weights='/nowhere') {rest}", pipeline).startswith(
        f"{name}(weights='/nowhere') could not be loaded: OSError: "
    )


def test_a_transformer_is_refused() -> None:
    """No smaller transformer is published."""
    flux = build_pipeline(find_pipeline("flux"), Scale.TINY).pipeline

    assert refusal("distilled", flux) == (
        "distilled needs a pipeline with a unet, and FluxPipeline has: vae, text_encoder, text_encoder_2, transformer"
    )


def test_a_pipeline_that_reads_its_vae_is_refused() -> None:
    """AutoencoderTiny lacks a layer that the upscaler reads."""
    upscaler = build_pipeline(find_pipeline("deepfloyd-if-3"), Scale.TINY).pipeline

    assert refusal("tiny_autoencoder", upscaler) == (
        "tiny_autoencoder does not work with StableDiffusionUpscalePipeline, "
        "which reads vae.post_quant_conv in each call"
    )
