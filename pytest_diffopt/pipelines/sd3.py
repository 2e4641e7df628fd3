"""Stable Diffusion 3 and 3.5: three text encoders, a transformer over joint image and text tokens, flow matching."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.blueprint_family import blueprint_family
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import TINY_CALL, Scale, guidance_at
from pytest_diffopt.pipelines.variations import usual_variations

_REPOSITORY = "stable-diffusion-3-medium"
_BLUEPRINT = Blueprint(
    class_name="StableDiffusion3Pipeline",
    parts={
        "transformer": Part(full=f"{_REPOSITORY}/transformer", tiny="sd3-transformer"),
        "vae": Part(full=f"{_REPOSITORY}/vae", tiny="sd3-vae"),
        "text_encoder": Part(full=f"{_REPOSITORY}/text_encoder", tiny="sdxl-text-encoder-2"),
        "text_encoder_2": Part(full=f"{_REPOSITORY}/text_encoder_2", tiny="sdxl-text-encoder-2"),
        "text_encoder_3": Part(full=f"{_REPOSITORY}/text_encoder_3", tiny="t5-text-encoder"),
        "scheduler": Part(full=f"{_REPOSITORY}/scheduler"),
    },
    tokenizers={"tokenizer": Tokenizer.CLIP, "tokenizer_2": Tokenizer.OPEN_CLIP, "tokenizer_3": Tokenizer.T5},
)


def _inputs(scale: Scale) -> PipelineInputs:
    common = {"output_type": "np", "guidance_scale": guidance_at(scale, 7.0)}
    if scale is Scale.TINY:
        return PipelineInputs(TINY_CALL | common | {"max_sequence_length": 32})
    prompt = "Astronaut in a jungle, cold color palette, muted colors, detailed, 8k"
    call = {"prompt": prompt, "num_inference_steps": 28, "height": 1024, "width": 1024}
    return PipelineInputs(call | common | {"max_sequence_length": 256})


SD3 = PipelineFamily(
    name="sd3",
    hub_id="stabilityai/stable-diffusion-3-medium-diffusers",
    class_name=_BLUEPRINT.class_name,
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    ships_weights=True,
)


def _later(name: str, *, steps: int, guidance_scale: float) -> PipelineFamily:
    """Return a model of Stable Diffusion 3.5, which has another transformer, random at tiny scale."""
    repository = f"stable-diffusion-3.5-{name}"
    parts = {
        "transformer": Part(full=f"{repository}/transformer", tiny=f"sd35-{name}-transformer", is_trained=False),
        "scheduler": Part(full=f"{repository}/scheduler"),
    }
    call = {
        "prompt": "A capybara holding a sign that reads Hello World",
        "num_inference_steps": steps,
        "guidance_scale": guidance_scale,
        "height": 1024,
        "width": 1024,
        "max_sequence_length": 512,
    }
    return blueprint_family(
        f"sd35-{name}",
        blueprint=Blueprint(
            class_name=_BLUEPRINT.class_name, parts=dict(_BLUEPRINT.parts) | parts, tokenizers=_BLUEPRINT.tokenizers
        ),
        hub_id=f"stabilityai/{repository}",
        tiny_call={"guidance_scale": guidance_scale, "max_sequence_length": 32},
        full_call=call,
    )


SD35_MEDIUM = _later("medium", steps=40, guidance_scale=4.5)
SD35_LARGE = _later("large", steps=28, guidance_scale=3.5)
