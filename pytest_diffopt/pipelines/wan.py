"""Wan 2.1 and 2.2, text to video: two forwards a step for guidance, and in 2.2 another transformer for later steps."""

from pytest_diffopt.pipelines.blueprint import Blueprint, Part, Tokenizer, published_parts
from pytest_diffopt.pipelines.blueprint_family import TINY_VIDEO, blueprint_family
from pytest_diffopt.pipelines.scale import TINY_PROMPT

_MODELS = ("transformer", "vae", "text_encoder")
_CALL = {
    "prompt": "Two anthropomorphic cats in comfy boxing gear fight intensely on a spotlighted stage",
    "negative_prompt": "blurry, static, low quality",
    "num_frames": 81,
    "num_inference_steps": 50,
    "guidance_scale": 5.0,
    "max_sequence_length": 512,
}
#: Two forwards a step; with more guidance the tiny transformers overshoot the plain colors.
_TINY_GUIDANCE, _TINY_GUIDANCE_2 = 1.5, 1.25
_TINY = {
    **TINY_VIDEO,
    "prompt": f"{TINY_PROMPT}, moving right",
    "negative_prompt": "",
    "guidance_scale": _TINY_GUIDANCE,
    "max_sequence_length": 32,
}

WAN_T2V_1_3B = blueprint_family(
    "wan-t2v-1.3b",
    blueprint=Blueprint(
        class_name="WanPipeline",
        parts=published_parts("Wan2.1-T2V-1.3B", "wan", *_MODELS, is_trained=True),
        tokenizers={"tokenizer": Tokenizer.T5},
    ),
    hub_id="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    tiny_call=_TINY,
    full_call=_CALL | {"height": 480, "width": 832},
    largest_batch=1,
)

_REPOSITORY = "Wan2.2-T2V-A14B"
WAN_T2V_A14B = blueprint_family(
    "wan-t2v-a14b",
    blueprint=Blueprint(
        class_name="WanPipeline",
        parts=published_parts(_REPOSITORY, "wan", *_MODELS, is_trained=True)
        | {"transformer_2": Part(full=f"{_REPOSITORY}/transformer_2", tiny="wan-transformer-2")},
        tokenizers={"tokenizer": Tokenizer.T5},
        options={"boundary_ratio": 0.875},
    ),
    hub_id="Wan-AI/Wan2.2-T2V-A14B-Diffusers",
    tiny_call=_TINY | {"guidance_scale_2": _TINY_GUIDANCE_2},
    full_call=_CALL | {"height": 720, "width": 1280, "guidance_scale": 4.0, "guidance_scale_2": 3.0},
    largest_batch=1,
)
