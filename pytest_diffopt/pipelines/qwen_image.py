"""Qwen-Image: true classifier-free guidance, two forwards of the denoiser a step, whose prompt lengths differ."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Tokenizer, published_parts
from pytest_diffopt.pipelines.blueprint_family import blueprint_family

_GUIDED = {"negative_prompt": " ", "true_cfg_scale": 4.0}

QWEN_IMAGE = blueprint_family(
    "qwen-image",
    blueprint=Blueprint(
        class_name="QwenImagePipeline",
        parts=published_parts("Qwen-Image", "qwen-image", "transformer", "vae", "text_encoder"),
        tokenizers={"tokenizer": Tokenizer.QWEN},
    ),
    hub_id="Qwen/Qwen-Image",
    tiny_call=_GUIDED | {"max_sequence_length": 64},
    full_call={
        "prompt": "A coffee shop entrance features a chalkboard sign reading Qwen Coffee",
        "height": 1024,
        "width": 1024,
        "num_inference_steps": 50,
        **_GUIDED,
        "max_sequence_length": 512,
    },
)
