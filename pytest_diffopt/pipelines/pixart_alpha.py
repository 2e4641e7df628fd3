"""PixArt-Alpha: a transformer denoiser with T5 as its only text encoder."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import TINY_CALL, Scale, guidance_at
from pytest_diffopt.pipelines.variations import usual_variations

_REPOSITORY = "PixArt-XL-2-1024-MS"
_BLUEPRINT = Blueprint(
    class_name="PixArtAlphaPipeline",
    parts={
        "transformer": Part(full=f"{_REPOSITORY}/transformer", tiny="pixart-transformer"),
        "vae": Part(full=f"{_REPOSITORY}/vae", tiny="sd-vae"),
        "text_encoder": Part(full=f"{_REPOSITORY}/text_encoder", tiny="t5-text-encoder"),
        "scheduler": Part(full=f"{_REPOSITORY}/scheduler"),
    },
    tokenizers={"tokenizer": Tokenizer.T5},
)


def _inputs(scale: Scale) -> PipelineInputs:
    """Return the call, without caption cleaning, which needs packages that are not dependencies."""
    common = {"output_type": "np", "guidance_scale": guidance_at(scale, 4.5), "clean_caption": False}
    if scale is Scale.TINY:
        # Binning would resize the tiny image to one of the published sizes.
        return PipelineInputs(TINY_CALL | common | {"max_sequence_length": 32, "use_resolution_binning": False})
    prompt = "Astronaut in a jungle, cold color palette, muted colors, detailed, 8k"
    call = {"prompt": prompt, "num_inference_steps": 30, "height": 1024, "width": 1024}
    return PipelineInputs(call | common | {"max_sequence_length": 120, "use_resolution_binning": True})


PIXART_ALPHA = PipelineFamily(
    name="pixart-alpha",
    hub_id="PixArt-alpha/PixArt-XL-2-1024-MS",
    class_name=_BLUEPRINT.class_name,
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    ships_weights=True,
)
