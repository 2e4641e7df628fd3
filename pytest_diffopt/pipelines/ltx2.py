"""LTX-2: video and audio in one transformer, with a scheduler for each, and a vocoder."""

from typing import Any

from pytest_diffopt.pipelines.blueprint import Blueprint, Tokenizer, published_parts
from pytest_diffopt.pipelines.blueprint_family import TINY_VIDEO, blueprint_family

# Guidance alone, as in the published model; diffusers' defaults are those of later versions, with more forwards a step.
_GUIDED: dict[str, Any] = {
    "guidance_scale": 4.0,
    "audio_guidance_scale": 4.0,
    "stg_scale": 0.0,
    "audio_stg_scale": 0.0,
    "modality_scale": 1.0,
    "audio_modality_scale": 1.0,
    "guidance_rescale": 0.0,
    "audio_guidance_rescale": 0.0,
    "spatio_temporal_guidance_blocks": None,
    "use_cross_timestep": False,
}
_MODELS = ("transformer", "connectors", "vae", "audio_vae", "vocoder", "text_encoder")

LTX2 = blueprint_family(
    "ltx2",
    blueprint=Blueprint(
        class_name="LTX2Pipeline",
        parts=published_parts("LTX-2", "ltx2", *_MODELS),
        tokenizers={"tokenizer": Tokenizer.GEMMA},
        options={"processor": None},
    ),
    hub_id="Lightricks/LTX-2",
    tiny_call=_GUIDED
    | TINY_VIDEO
    | {"num_frames": 5, "frame_rate": 25.0, "negative_prompt": "blurry", "max_sequence_length": 64},
    full_call=_GUIDED
    | {
        "prompt": "A woman with long brown hair sings in front of a microphone",
        "negative_prompt": "shaky, glitchy, low quality",
        "height": 512,
        "width": 768,
        "num_frames": 121,
        "frame_rate": 24.0,
        "num_inference_steps": 40,
        "max_sequence_length": 1024,
    },
    largest_batch=1,
)
