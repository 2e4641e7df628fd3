"""Stable Diffusion 1.5: one text encoder, a UNet for 64 x 64 latents, a VAE with 8 pixels per latent."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import TINY_CALL, Scale, guidance_at
from pytest_diffopt.pipelines.variations import usual_variations

HUB_ID = "stable-diffusion-v1-5/stable-diffusion-v1-5"
PROMPT = "ghibli style, a fantasy landscape with castles"

#: The parts that all pipelines of Stable Diffusion 1.5 share: all but the denoiser.
SHARED_PARTS = {
    "vae": Part(full="stable-diffusion-v1-5/vae", tiny="sd-vae"),
    "text_encoder": Part(full="stable-diffusion-v1-5/text_encoder", tiny="sd-text-encoder"),
    "scheduler": Part(full="stable-diffusion-v1-5/scheduler"),
}
UNET = Part(full="stable-diffusion-v1-5/unet", tiny="sd15-unet")
TOKENIZERS = {"tokenizer": Tokenizer.CLIP}
#: No safety checker: the images are not published, and the checker is one more model in memory.
UNCHECKED = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


def sd15_call(scale: Scale, *, steps: int = 50) -> PipelineInputs:
    """Return the call of diffusers' "PyTorch 2.0" page: 512 x 512 pixels with guidance 7.5.

    Args:
        scale: the pipeline's scale; at tiny scale the call draws 64 x 64 pixels in four steps.
        steps: denoise steps at full scale.
    """
    common = {"guidance_scale": guidance_at(scale, 7.5), "output_type": "np"}
    if scale is Scale.TINY:
        return PipelineInputs(TINY_CALL | common)
    return PipelineInputs({"prompt": PROMPT, "num_inference_steps": steps, "height": 512, "width": 512} | common)


_BLUEPRINT = Blueprint(
    class_name="StableDiffusionPipeline",
    parts={"unet": UNET, **SHARED_PARTS},
    tokenizers=TOKENIZERS,
    options=UNCHECKED,
)
SD15 = PipelineFamily(
    name="sd15",
    hub_id=HUB_ID,
    class_name=_BLUEPRINT.class_name,
    load_options=lambda: {"safety_checker": None, "requires_safety_checker": False},
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=sd15_call,
    variations=lambda scale: usual_variations(sd15_call(scale)),
    ships_weights=True,
)
