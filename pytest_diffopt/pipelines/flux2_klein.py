"""FLUX.2-klein 4B, distilled: four steps without guidance, a Qwen3 text encoder, a prompt padded to 512 tokens."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Tokenizer, published_parts
from pytest_diffopt.pipelines.blueprint_family import blueprint_family

FLUX2_KLEIN = blueprint_family(
    "flux2-klein",
    blueprint=Blueprint(
        class_name="Flux2KleinPipeline",
        parts=published_parts("FLUX.2-klein-4B", "flux2-klein", "transformer", "vae", "text_encoder"),
        tokenizers={"tokenizer": Tokenizer.QWEN},
        options={"is_distilled": True},
    ),
    hub_id="black-forest-labs/FLUX.2-klein-4B",
    # The tiny text encoder has two layers, the published one 36, of which three give the embeddings of the prompt.
    tiny_call={"guidance_scale": 1.0, "max_sequence_length": 64, "text_encoder_out_layers": (1,)},
    full_call={
        "prompt": "A cat holding a sign with the words hello world",
        "height": 1024,
        "width": 1024,
        "num_inference_steps": 4,
        "guidance_scale": 1.0,
        "max_sequence_length": 512,
        "text_encoder_out_layers": (9, 18, 27),
    },
)
