"""FLUX.1-dev's published architecture on the meta device, an example for `profile module:function`."""

from typing import Any

import diffusers
import torch

from pytest_diffopt.pipelines.published import build_published
from pytest_diffopt.pipelines.tokenizers import byte_level_clip_tokenizer, character_level_t5_tokenizer

_REPOSITORY = "FLUX.1-dev"
_CLIP_VOCABULARY = 49408


def build() -> tuple[Any, dict[str, Any]]:
    """Return the pipeline in bfloat16 and a call of 1024 x 1024 pixels in 28 steps."""
    with torch.device("meta"):
        parts = {
            name: build_published(_REPOSITORY, name)
            for name in ("transformer", "vae", "text_encoder", "text_encoder_2", "scheduler")
        }
    pipeline = diffusers.FluxPipeline(
        tokenizer=byte_level_clip_tokenizer(vocab_size=_CLIP_VOCABULARY),
        tokenizer_2=character_level_t5_tokenizer(),
        **parts,
    )
    call = {"prompt": "a cat that holds a sign", "num_inference_steps": 28, "guidance_scale": 3.5, "output_type": "np"}
    return pipeline.to(torch.bfloat16), call | {"height": 1024, "width": 1024}
