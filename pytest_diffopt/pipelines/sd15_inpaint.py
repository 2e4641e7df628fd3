"""Stable Diffusion 1.5 inpainting: the UNet's nine input channels are latents, mask and masked image."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part
from pytest_diffopt.pipelines.conditioning_images import mask, sketch
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sd15 import TOKENIZERS, UNCHECKED, sd15_call
from pytest_diffopt.pipelines.variations import usual_variations

_REPOSITORY = "stable-diffusion-inpainting"
_BLUEPRINT = Blueprint(
    class_name="StableDiffusionInpaintPipeline",
    parts={
        "unet": Part(full=f"{_REPOSITORY}/unet", tiny="sd15-inpaint-unet"),
        "vae": Part(full=f"{_REPOSITORY}/vae", tiny="sd-vae"),
        "text_encoder": Part(full=f"{_REPOSITORY}/text_encoder", tiny="sd-text-encoder"),
        "scheduler": Part(full=f"{_REPOSITORY}/scheduler"),
    },
    tokenizers=TOKENIZERS,
    options=UNCHECKED,
)


def _inputs(scale: Scale) -> PipelineInputs:
    return sd15_call(scale).varied("", image=sketch(scale), mask_image=mask(scale))


SD15_INPAINT = PipelineFamily(
    name="sd15-inpaint",
    # A copy of runwayml/stable-diffusion-inpainting, which diffusers' benchmark used and which was taken down.
    hub_id="stable-diffusion-v1-5/stable-diffusion-inpainting",
    class_name=_BLUEPRINT.class_name,
    load_options=lambda: {"safety_checker": None, "requires_safety_checker": False},
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    ships_weights=True,
)
