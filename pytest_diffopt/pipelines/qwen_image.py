"""Qwen-Image: true classifier-free guidance, two forwards of the denoiser a step, whose prompt lengths differ."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import TINY_CALL, Scale
from pytest_diffopt.pipelines.variations import usual_variations

_BLUEPRINT = Blueprint(
    class_name="QwenImagePipeline",
    parts={
        "transformer": Part(full="Qwen-Image/transformer", tiny="qwen-image-transformer", is_trained=False),
        "vae": Part(full="Qwen-Image/vae", tiny="qwen-image-vae", is_trained=False),
        "text_encoder": Part(full="Qwen-Image/text_encoder", tiny="qwen-image-text-encoder", is_trained=False),
        "scheduler": Part(full="Qwen-Image/scheduler"),
    },
    tokenizers={"tokenizer": Tokenizer.QWEN},
)
_GUIDED = {"negative_prompt": " ", "true_cfg_scale": 4.0}


def _inputs(scale: Scale) -> PipelineInputs:
    if scale is Scale.TINY:
        return PipelineInputs(TINY_CALL | _GUIDED | {"max_sequence_length": 64, "output_type": "np"})
    return PipelineInputs(
        {
            "prompt": "A coffee shop entrance features a chalkboard sign reading Qwen Coffee",
            "height": 1024,
            "width": 1024,
            "num_inference_steps": 50,
            **_GUIDED,
            "max_sequence_length": 512,
            "output_type": "np",
        }
    )


QWEN_IMAGE = PipelineFamily(
    name="qwen-image",
    hub_id="Qwen/Qwen-Image",
    class_name="QwenImagePipeline",
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    has_random_weights=True,
)
