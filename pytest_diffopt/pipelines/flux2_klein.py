"""FLUX.2-klein 4B, distilled: four steps without guidance, a Qwen3 text encoder, a prompt padded to 512 tokens."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.scale import TINY_CALL, Scale
from pytest_diffopt.pipelines.variations import usual_variations

_BLUEPRINT = Blueprint(
    class_name="Flux2KleinPipeline",
    parts={
        "transformer": Part(full="FLUX.2-klein-4B/transformer", tiny="flux2-klein-transformer", is_trained=False),
        "vae": Part(full="FLUX.2-klein-4B/vae", tiny="flux2-klein-vae", is_trained=False),
        "text_encoder": Part(full="FLUX.2-klein-4B/text_encoder", tiny="flux2-klein-text-encoder", is_trained=False),
        "scheduler": Part(full="FLUX.2-klein-4B/scheduler"),
    },
    tokenizers={"tokenizer": Tokenizer.QWEN},
    options={"is_distilled": True},
)
# The tiny text encoder has two layers, the published one 36, of which three give the embeddings of the prompt.
_TINY = {"guidance_scale": 1.0, "max_sequence_length": 64, "text_encoder_out_layers": (1,), "output_type": "np"}


def _inputs(scale: Scale) -> PipelineInputs:
    if scale is Scale.TINY:
        return PipelineInputs(TINY_CALL | _TINY)
    return PipelineInputs(
        {
            "prompt": "A cat holding a sign with the words hello world",
            "height": 1024,
            "width": 1024,
            "num_inference_steps": 4,
            "guidance_scale": 1.0,
            "max_sequence_length": 512,
            "text_encoder_out_layers": (9, 18, 27),
            "output_type": "np",
        }
    )


FLUX2_KLEIN = PipelineFamily(
    name="flux2-klein",
    hub_id="black-forest-labs/FLUX.2-klein-4B",
    class_name="Flux2KleinPipeline",
    build_tiny=_BLUEPRINT.build_tiny,
    build_random=_BLUEPRINT.build_random,
    inputs=_inputs,
    variations=lambda scale: usual_variations(_inputs(scale)),
    has_random_weights=True,
)
