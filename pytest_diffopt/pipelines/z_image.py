"""Z-Image-Turbo: one stream of text and image tokens, whose denoiser takes and returns lists of tensors."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Tokenizer, published_parts
from pytest_diffopt.pipelines.blueprint_family import blueprint_family

Z_IMAGE = blueprint_family(
    "z-image",
    blueprint=Blueprint(
        class_name="ZImagePipeline",
        parts=published_parts("Z-Image-Turbo", "z-image", "transformer", "vae", "text_encoder", is_trained=True),
        tokenizers={"tokenizer": Tokenizer.QWEN},
    ),
    hub_id="Tongyi-MAI/Z-Image-Turbo",
    tiny_call={"guidance_scale": 0.0, "max_sequence_length": 64},
    full_call={
        "prompt": "A young woman in Hanfu, intricate embroidery",
        "height": 1024,
        "width": 1024,
        "num_inference_steps": 8,
        "guidance_scale": 0.0,
        "max_sequence_length": 512,
    },
)
