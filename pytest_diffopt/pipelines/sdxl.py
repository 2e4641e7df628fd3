"""Stable Diffusion XL: two text encoders, a UNet conditioned on picture sizes, and a VAE that is safe in float16."""

from collections.abc import Sequence
from typing import Any

from pytest_diffopt.pipelines.family import PipelineFamily
from pytest_diffopt.pipelines.inputs import PipelineInputs
from pytest_diffopt.pipelines.published import build_published
from pytest_diffopt.pipelines.scale import Scale
from pytest_diffopt.pipelines.tokenizers import byte_level_clip_tokenizer

_REPOSITORY = "stable-diffusion-xl-base-1.0"
_VAE_REPOSITORY = "sdxl-vae-fp16-fix"
_TINY_VOCABULARY = 514
_PUBLISHED_VOCABULARY = 49408

# The published UNet at a fortieth of its width: three levels, attention in the lower two, no attention in the upper.
_TINY_UNET: dict[str, Any] = {
    "sample_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (16, 24, 32),
    "layers_per_block": 1,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": (2, 3, 4),
    "transformer_layers_per_block": (1, 1, 2),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 32 + 6 * 8,
    "cross_attention_dim": 64,
    "norm_num_groups": 8,
}
_TINY_VAE: dict[str, Any] = {
    "sample_size": 64,
    "block_out_channels": (16, 32),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 8,
    "scaling_factor": 0.13025,
    "force_upcast": False,
}
_TINY_TEXT: dict[str, Any] = {
    "vocab_size": _TINY_VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "projection_dim": 32,
    "bos_token_id": _TINY_VOCABULARY - 2,
    "eos_token_id": _TINY_VOCABULARY - 1,
    "pad_token_id": 1,
}


def _build_tiny() -> Any:
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel  # noqa: PLC0415 - slow to import
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection  # noqa: PLC0415 - as above

    from pytest_diffopt.pipelines.published import published_config  # noqa: PLC0415

    scheduler_config = published_config(_REPOSITORY, "scheduler")
    return _assemble(
        unet=UNet2DConditionModel(**_TINY_UNET),
        vae=AutoencoderKL(**_TINY_VAE),
        text_encoder=CLIPTextModel(CLIPTextConfig(hidden_act="quick_gelu", **_TINY_TEXT)),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(hidden_act="gelu", **_TINY_TEXT)),
        scheduler=EulerDiscreteScheduler.from_config(scheduler_config),
        vocab_size=_TINY_VOCABULARY,
    )


def _build_random() -> Any:
    return _assemble(
        unet=build_published(_REPOSITORY, "unet"),
        vae=build_published(_VAE_REPOSITORY, "vae"),
        text_encoder=build_published(_REPOSITORY, "text_encoder"),
        text_encoder_2=build_published(_REPOSITORY, "text_encoder_2"),
        scheduler=build_published(_REPOSITORY, "scheduler"),
        vocab_size=_PUBLISHED_VOCABULARY,
    )


def _assemble(*, vocab_size: int, **components: Any) -> Any:
    from diffusers import StableDiffusionXLPipeline  # noqa: PLC0415 - slow to import

    return StableDiffusionXLPipeline(
        tokenizer=byte_level_clip_tokenizer(vocab_size=vocab_size),
        tokenizer_2=byte_level_clip_tokenizer(vocab_size=vocab_size, pad_with_end=False),
        add_watermarker=False,
        **components,
    )


def _load_options() -> dict[str, Any]:
    """Take the VAE that the article takes: the published one overflows in float16."""
    from diffusers import AutoencoderKL  # noqa: PLC0415 - slow to import

    return {"vae": AutoencoderKL.from_pretrained("madebyollin/sdxl-vae-fp16-fix"), "add_watermarker": False}


def _inputs(scale: Scale) -> PipelineInputs:
    common = {"output_type": "np", "guidance_scale": 5.0}
    if scale is Scale.TINY:
        return PipelineInputs({"prompt": "a red circle", "num_inference_steps": 4, "height": 64, "width": 64} | common)
    prompt = "Astronaut in a jungle, cold color palette, muted colors, detailed, 8k"
    return PipelineInputs({"prompt": prompt, "num_inference_steps": 30, "height": 1024, "width": 1024} | common)


def _variations(scale: Scale) -> Sequence[PipelineInputs]:
    plain = _inputs(scale)
    steps = plain["num_inference_steps"]
    return (
        plain.varied("the same call again"),
        plain.varied("a longer prompt", prompt="a small blue square beside a large green triangle, on a white table"),
        plain.varied("guidance_scale=7.5", guidance_scale=7.5),
        plain.varied(f"num_inference_steps={steps + 1}", num_inference_steps=steps + 1),
        plain.varied("another seed", seed=1),
    )


SDXL = PipelineFamily(
    name="sdxl",
    hub_id="stabilityai/stable-diffusion-xl-base-1.0",
    class_name="StableDiffusionXLPipeline",
    build_tiny=_build_tiny,
    build_random=_build_random,
    inputs=_inputs,
    variations=_variations,
    load_options=_load_options,
)
