"""Stable Diffusion 1.5 with a ControlNet for edges: two networks run in every step."""

from typing import Any

import diffusers

from pytest_diffopt.pipelines.blueprint import Blueprint, Part
from pytest_diffopt.pipelines.conditioning_images import outline
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sd15 import HUB_ID, SHARED_PARTS, TOKENIZERS, UNCHECKED, UNET, sd15_call
from pytest_diffopt.pipelines.variations import usual_variations

_CONTROLNET_ID = "lllyasviel/sd-controlnet-canny"
_BLUEPRINT = Blueprint(
    class_name="StableDiffusionControlNetPipeline",
    parts={
        "unet": UNET,
        "controlnet": Part(full="sd-controlnet-canny/controlnet", tiny="sd15-controlnet"),
        **SHARED_PARTS,
    },
    tokenizers=TOKENIZERS,
    options=UNCHECKED,
)


def _inputs(scale: Scale) -> PipelineInputs:
    return sd15_call(scale).varied("", image=outline(scale))


def _load_options() -> dict[str, Any]:
    controlnet = diffusers.ControlNetModel.from_pretrained(_CONTROLNET_ID)
    return {"controlnet": controlnet, "safety_checker": None, "requires_safety_checker": False}


SD15_CONTROLNET = PipelineFamily(
    name="sd15-controlnet",
    hub_id=HUB_ID,
    more_hub_ids=(_CONTROLNET_ID,),
    class_name=_BLUEPRINT.class_name,
    load_options=_load_options,
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    ships_weights=True,
)
