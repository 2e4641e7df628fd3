"""CogVideoX 5B: video with rotary embeddings and guidance in one batch."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Tokenizer, published_parts
from pytest_diffopt.pipelines.blueprint_family import TINY_VIDEO, blueprint_family

COGVIDEOX = blueprint_family(
    "cogvideox",
    blueprint=Blueprint(
        class_name="CogVideoXPipeline",
        parts=published_parts("CogVideoX-5b", "cogvideox", "transformer", "vae", "text_encoder"),
        tokenizers={"tokenizer": Tokenizer.T5},
    ),
    hub_id="zai-org/CogVideoX-5b",
    tiny_call=TINY_VIDEO | {"negative_prompt": "blurry", "guidance_scale": 6.0, "max_sequence_length": 32},
    full_call={
        "prompt": "A panda, dressed in a small red jacket and a tiny hat, sits on a wooden stool in a bamboo forest",
        "negative_prompt": "blurry, static, low quality",
        "height": 480,
        "width": 720,
        "num_frames": 49,
        "num_inference_steps": 50,
        "guidance_scale": 6.0,
        "max_sequence_length": 226,
    },
    largest_batch=1,
)
