"""Z-Image-Turbo: one stream of text and image tokens, whose denoiser takes and returns lists of tensors."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import TINY_CALL, Scale
from pytest_diffopt.pipelines.variations import usual_variations

_BLUEPRINT = Blueprint(
    class_name="ZImagePipeline",
    parts={
        "transformer": Part(full="Z-Image-Turbo/transformer", tiny="z-image-transformer", is_trained=False),
        "vae": Part(full="Z-Image-Turbo/vae", tiny="z-image-vae", is_trained=False),
        "text_encoder": Part(full="Z-Image-Turbo/text_encoder", tiny="z-image-text-encoder", is_trained=False),
        "scheduler": Part(full="Z-Image-Turbo/scheduler"),
    },
    tokenizers={"tokenizer": Tokenizer.QWEN},
)


def _inputs(scale: Scale) -> PipelineInputs:
    if scale is Scale.TINY:
        return PipelineInputs(TINY_CALL | {"guidance_scale": 0.0, "max_sequence_length": 64, "output_type": "np"})
    return PipelineInputs(
        {
            "prompt": "A young woman in Hanfu, intricate embroidery",
            "height": 1024,
            "width": 1024,
            "num_inference_steps": 8,
            "guidance_scale": 0.0,
            "max_sequence_length": 512,
            "output_type": "np",
        }
    )


Z_IMAGE = PipelineFamily(
    name="z-image",
    hub_id="Tongyi-MAI/Z-Image-Turbo",
    class_name="ZImagePipeline",
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    has_random_weights=True,
)
