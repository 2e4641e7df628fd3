"""Stable Diffusion XL: two text encoders, a UNet conditioned on image sizes, and a VAE that is safe in float16.

Also with the tiny autoencoder in place of that VAE.
"""

from typing import Any

import diffusers

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import TINY_CALL, Scale, guidance_at
from pytest_diffopt.pipelines.variations import usual_variations

_HUB_ID = "stabilityai/stable-diffusion-xl-base-1.0"
_REPOSITORY = "stable-diffusion-xl-base-1.0"
# The VAE that the *Diffusion, Fast* article uses; the published one overflows in float16.
_VAE_ID = "madebyollin/sdxl-vae-fp16-fix"
_TINY_AUTOENCODER_ID = "sayakpaul/taesdxl-diffusers"

CLASS_NAME = "StableDiffusionXLPipeline"
#: The parts that all SDXL pipelines share: all but the UNet.
SHARED_PARTS = {
    "vae": Part(full="sdxl-vae-fp16-fix/vae", tiny="sd-vae"),
    "text_encoder": Part(full=f"{_REPOSITORY}/text_encoder", tiny="sd-text-encoder"),
    "text_encoder_2": Part(full=f"{_REPOSITORY}/text_encoder_2", tiny="sdxl-text-encoder-2"),
    "scheduler": Part(full=f"{_REPOSITORY}/scheduler"),
}
TOKENIZERS = {"tokenizer": Tokenizer.CLIP, "tokenizer_2": Tokenizer.OPEN_CLIP}
OPTIONS = {"add_watermarker": False}

_UNET = Part(full=f"{_REPOSITORY}/unet", tiny="sdxl-unet")
_BLUEPRINT = Blueprint(
    class_name=CLASS_NAME, parts={"unet": _UNET, **SHARED_PARTS}, tokenizers=TOKENIZERS, options=OPTIONS
)
_BLUEPRINT_TAESD = Blueprint(
    class_name=CLASS_NAME,
    parts={"unet": _UNET, **SHARED_PARTS, "vae": Part(full="taesdxl/vae", tiny="taesd")},
    tokenizers=TOKENIZERS,
    options=OPTIONS,
)


def sdxl_call(scale: Scale) -> PipelineInputs:
    """Return the call of the *Diffusion, Fast* article: 1024 x 1024 pixels in 30 steps."""
    common = {"output_type": "np", "guidance_scale": guidance_at(scale, 5.0)}
    if scale is Scale.TINY:
        return PipelineInputs(TINY_CALL | common)
    prompt = "Astronaut in a jungle, cold color palette, muted colors, detailed, 8k"
    return PipelineInputs({"prompt": prompt, "num_inference_steps": 30, "height": 1024, "width": 1024} | common)


def _load_options() -> dict[str, Any]:
    return {"vae": diffusers.AutoencoderKL.from_pretrained(_VAE_ID), **OPTIONS}


def _load_options_taesd() -> dict[str, Any]:
    return {"vae": diffusers.AutoencoderTiny.from_pretrained(_TINY_AUTOENCODER_ID), **OPTIONS}


SDXL = PipelineFamily(
    name="sdxl",
    hub_id=_HUB_ID,
    more_hub_ids=(_VAE_ID,),
    class_name=CLASS_NAME,
    load_options=_load_options,
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=sdxl_call,
    variations=lambda scale: usual_variations(sdxl_call(scale)),
    ships_weights=True,
)
SDXL_TAESD = PipelineFamily(
    name="sdxl-taesd",
    hub_id=_HUB_ID,
    more_hub_ids=(_TINY_AUTOENCODER_ID,),
    class_name=CLASS_NAME,
    load_options=_load_options_taesd,
    build_tiny=_BLUEPRINT_TAESD.build_tiny,
    build_random=_BLUEPRINT_TAESD.build_random,
    inputs=sdxl_call,
    variations=lambda scale: usual_variations(sdxl_call(scale)),
    ships_weights=True,
)
