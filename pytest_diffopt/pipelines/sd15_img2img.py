"""Stable Diffusion 1.5 image-to-image: the VAE's encoder runs too, and 80 % of the steps run."""

from pytest_diffopt.pipelines.blueprint import Blueprint
from pytest_diffopt.pipelines.conditioning_images import sketch
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.sd15 import HUB_ID, SHARED_PARTS, TOKENIZERS, UNCHECKED, UNET, sd15_call
from pytest_diffopt.pipelines.variations import usual_variations

_BLUEPRINT = Blueprint(
    class_name="StableDiffusionImg2ImgPipeline",
    parts={"unet": UNET, **SHARED_PARTS},
    tokenizers=TOKENIZERS,
    options=UNCHECKED,
)


def _inputs(scale: Scale) -> PipelineInputs:
    """Return the call; the sketch sets the image size."""
    return sd15_call(scale).without("height", "width").varied("", image=sketch(scale), strength=0.8)


SD15_IMG2IMG = PipelineFamily(
    name="sd15-img2img",
    hub_id=HUB_ID,
    class_name=_BLUEPRINT.class_name,
    load_options=lambda: {"safety_checker": None, "requires_safety_checker": False},
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    one_per_image=("image",),  # diffusers warns where it has to repeat the image itself
    ships_weights=True,
)
