"""HunyuanVideo 1.5, text to video: guidance by a guider, two forwards a step, and a second text encoder for glyphs."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer, published_parts
from pytest_diffopt.pipelines.blueprint_family import TINY_VIDEO, blueprint_family

_REPOSITORY = "HunyuanVideo-1.5-480p_t2v"
_MODELS = ("transformer", "vae", "text_encoder", "text_encoder_2")

HUNYUAN_VIDEO_1_5 = blueprint_family(
    "hunyuan-video-1.5",
    blueprint=Blueprint(
        class_name="HunyuanVideo15Pipeline",
        parts=published_parts(_REPOSITORY, "hunyuan-video-1.5", *_MODELS)
        | {"guider": Part(full=f"{_REPOSITORY}/guider")},
        tokenizers={"tokenizer": Tokenizer.QWEN_VIDEO, "tokenizer_2": Tokenizer.BYT5},
    ),
    hub_id="hunyuanvideo-community/HunyuanVideo-1.5-Diffusers-480p_t2v",
    tiny_call=TINY_VIDEO | {"negative_prompt": "blurry"},
    full_call={
        "prompt": 'A paper boat with the words "Sea Breeze" on its sail crosses a pond',
        "negative_prompt": "",
        "height": 480,
        "width": 848,
        "num_frames": 121,
        "num_inference_steps": 50,
    },
    largest_batch=1,
)
