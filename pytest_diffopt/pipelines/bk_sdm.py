"""BK-SDM small: Stable Diffusion with a distilled UNet of half the size, without a middle block.

Also with the tiny autoencoder.
"""

from typing import Any

import diffusers

from pytest_diffopt.pipelines.blueprint import Blueprint, Part
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sd15 import SHARED_PARTS, TOKENIZERS, UNCHECKED, sd15_call
from pytest_diffopt.pipelines.variations import usual_variations

_HUB_ID = "nota-ai/bk-sdm-small"
_TINY_AUTOENCODER_ID = "sayakpaul/taesd-diffusers"
_PROMPT = "a golden vase with different flowers"
_PARTS = {"unet": Part(full="bk-sdm-small/unet", tiny="bk-sdm-unet"), **SHARED_PARTS}
_BLUEPRINT = Blueprint(class_name="StableDiffusionPipeline", parts=_PARTS, tokenizers=TOKENIZERS, options=UNCHECKED)
_BLUEPRINT_TAESD = Blueprint(
    class_name="StableDiffusionPipeline",
    parts={**_PARTS, "vae": Part(full="taesd/vae", tiny="taesd")},
    tokenizers=TOKENIZERS,
    options=UNCHECKED,
)


def _inputs(scale: Scale) -> PipelineInputs:
    """Return the call of diffusers' "Accelerate inference" page: 25 steps, 4 images."""
    call = sd15_call(scale, steps=25).varied("", num_images_per_prompt=4)
    return call if scale is Scale.TINY else call.varied("", prompt=_PROMPT)


def _load_options() -> dict[str, Any]:
    return {"safety_checker": None, "requires_safety_checker": False}


def _load_options_taesd() -> dict[str, Any]:
    return _load_options() | {"vae": diffusers.AutoencoderTiny.from_pretrained(_TINY_AUTOENCODER_ID)}


BK_SDM = PipelineFamily(
    name="bk-sdm",
    hub_id=_HUB_ID,
    class_name=_BLUEPRINT.class_name,
    load_options=_load_options,
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    ships_weights=True,
)
BK_SDM_TAESD = PipelineFamily(
    name="bk-sdm-taesd",
    hub_id=_HUB_ID,
    more_hub_ids=(_TINY_AUTOENCODER_ID,),
    class_name=_BLUEPRINT_TAESD.class_name,
    load_options=_load_options_taesd,
    build_tiny=_BLUEPRINT_TAESD.build_tiny,
    build_random=_BLUEPRINT_TAESD.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    ships_weights=True,
)
