"""FLUX.1: a transformer over packed latents with guidance as an input (dev) or without guidance (schnell)."""

from typing import Any

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import TINY_CALL, Scale
from pytest_diffopt.pipelines.variations import usual_variations

_CLASS_NAME = "FluxPipeline"


def _blueprint(repository: str) -> Blueprint:
    return Blueprint(
        class_name=_CLASS_NAME,
        parts={
            "transformer": Part(full=f"{repository}/transformer", tiny="flux-transformer"),
            "vae": Part(full=f"{repository}/vae", tiny="sd3-vae"),
            "text_encoder": Part(full=f"{repository}/text_encoder", tiny="sd-text-encoder"),
            "text_encoder_2": Part(full=f"{repository}/text_encoder_2", tiny="t5-text-encoder"),
            "scheduler": Part(full=f"{repository}/scheduler"),
        },
        tokenizers={"tokenizer": Tokenizer.CLIP, "tokenizer_2": Tokenizer.T5},
    )


def _call(scale: Scale, **published: Any) -> PipelineInputs:
    if scale is Scale.TINY:
        return PipelineInputs(TINY_CALL | {"guidance_scale": 3.5, "max_sequence_length": 32, "output_type": "np"})
    prompt = "Astronaut in a jungle, cold color palette, muted colors, detailed, 8k"
    return PipelineInputs({"prompt": prompt, "height": 1024, "width": 1024, **published, "output_type": "np"})


def _dev_inputs(scale: Scale) -> PipelineInputs:
    return _call(scale, num_inference_steps=28, guidance_scale=3.5, max_sequence_length=512)


def _schnell_inputs(scale: Scale) -> PipelineInputs:
    return _call(scale, num_inference_steps=4, guidance_scale=0.0, max_sequence_length=256)


_DEV, _SCHNELL = _blueprint("FLUX.1-dev"), _blueprint("FLUX.1-schnell")
FLUX = PipelineFamily(
    name="flux",
    hub_id="black-forest-labs/FLUX.1-dev",
    class_name=_CLASS_NAME,
    build_tiny=_DEV.build_tiny,
    build_random=_DEV.build_random,
    inputs=_dev_inputs,
    variations=lambda scale: usual_variations(_dev_inputs(scale)),
    ships_weights=True,
)
FLUX_SCHNELL = PipelineFamily(
    name="flux-schnell",
    hub_id="black-forest-labs/FLUX.1-schnell",
    class_name=_CLASS_NAME,
    build_tiny=_SCHNELL.build_tiny,
    build_random=_SCHNELL.build_random,
    inputs=_schnell_inputs,
    variations=lambda scale: usual_variations(_schnell_inputs(scale)),
    ships_weights=True,
)
