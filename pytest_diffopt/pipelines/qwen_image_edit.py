"""Qwen-Image-Edit 2511: tokens of the edit images beside those of the image, and a text encoder that sees them."""

from typing import Any

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer
from pytest_diffopt.pipelines.blueprint_family import blueprint_family
from pytest_diffopt.pipelines.conditioning_images import sketch
from pytest_diffopt.pipelines.scale import Scale


def _images(scale: Scale) -> dict[str, Any]:
    """Return the images to edit: a list, because the pipeline takes one or more."""
    return {"image": [sketch(scale)]}


QWEN_IMAGE_EDIT = blueprint_family(
    "qwen-image-edit",
    blueprint=Blueprint(
        class_name="QwenImageEditPlusPipeline",
        # All but the transformer are those of Qwen-Image. The tiny VAE has 32 pixels per latent instead of 8, because
        # the pipeline enlarges each edit image to about a million pixels.
        parts={
            "transformer": Part(
                full="Qwen-Image-Edit-2511/transformer", tiny="qwen-image-edit-transformer", is_trained=False
            ),
            "vae": Part(full="Qwen-Image/vae", tiny="qwen-image-edit-vae", is_trained=False),
            "text_encoder": Part(full="Qwen-Image/text_encoder", tiny="qwen-image-edit-text-encoder", is_trained=False),
            "scheduler": Part(full="Qwen-Image/scheduler"),
        },
        tokenizers={"tokenizer": Tokenizer.QWEN_EDIT},
        processors={"processor": "text_encoder"},
    ),
    hub_id="Qwen/Qwen-Image-Edit-2511",
    tiny_call={"height": 128, "width": 128, "negative_prompt": " ", "true_cfg_scale": 4.0},
    full_call={
        "prompt": "Paint the mountains in autumn colors and put a boat on the lake",
        "height": 1024,
        "width": 1024,
        "num_inference_steps": 50,
        "negative_prompt": " ",
        "true_cfg_scale": 4.0,
    },
    images=_images,
)
