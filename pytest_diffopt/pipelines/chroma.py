"""Chroma1-HD: a FLUX-like transformer without guidance embedding, two forwards a step, and a masked prompt."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Tokenizer, published_parts
from pytest_diffopt.pipelines.blueprint_family import blueprint_family

CHROMA = blueprint_family(
    "chroma",
    blueprint=Blueprint(
        class_name="ChromaPipeline",
        parts=published_parts("Chroma1-HD", "chroma", "transformer", "vae", "text_encoder"),
        tokenizers={"tokenizer": Tokenizer.T5},
    ),
    hub_id="lodestones/Chroma1-HD",
    tiny_call={"negative_prompt": "blurry", "guidance_scale": 3.0, "max_sequence_length": 64},
    full_call={
        "prompt": "A high-fashion close-up portrait of a blonde woman in clear sunglasses",
        "negative_prompt": "low quality, ugly, unfinished, out of focus",
        "height": 1024,
        "width": 1024,
        "num_inference_steps": 35,
        "guidance_scale": 5.0,
        "max_sequence_length": 512,
    },
)
