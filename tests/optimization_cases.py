"""Each optimization on the tiny SDXL: how it is asked for, what is found of it, and what is missed without it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


def _as_it_is(_pipeline: Any) -> None:
    """Begin with the pipeline as it is built."""


def _in_bfloat16(pipeline: Any) -> None:
    pipeline.to(torch.bfloat16)


def _with_vanilla_attention(pipeline: Any) -> None:
    pipeline.unet.set_default_attn_processor()
    pipeline.vae.set_default_attn_processor()


def _upcasting(pipeline: Any) -> None:
    pipeline.vae.register_to_config(force_upcast=True)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One optimization, with what it makes sense with.

    Attributes:
        name: its name.
        recipe: the recipe that names it.
        found: what `verify` finds once the pipeline was called.
        found_of_nothing: what `verify` finds when the optimization was asked for and did nothing.
        missing: what is missed then.
        before: what the pipeline is like before; an optimization that is there by default would be found undone.
    """

    name: str
    recipe: str
    found: str
    found_of_nothing: str
    missing: tuple[str, ...]
    before: Callable[[Any], None] = _as_it_is


_TRACED = " (only traced: no GPU)"
_DECODER = 'compile(target=["vae.decode"], backend="eager")'

CASES = [
    Case(
        name="distilled",
        recipe="distilled",
        found="unet has 9 transformer blocks and 654276 parameters",
        found_of_nothing="unet has 11 transformer blocks and 797796 parameters",
        missing=("unet has its middle block",),
    ),
    Case(
        name="tiny_autoencoder",
        recipe="tiny_autoencoder",
        found="vae is AutoencoderTiny with 27863 parameters",
        found_of_nothing="vae is AutoencoderKL with 212391 parameters",
        missing=("vae is AutoencoderKL",),
    ),
    Case(
        name="fp16_safe_vae",
        recipe="fp16_safe_vae + fp16",
        found="vae decodes in float16, 0 values overflow",
        found_of_nothing="vae decodes in float16, 0 values overflow",
        missing=("vae.config.force_upcast is True: diffusers decodes in float32",),
        before=_upcasting,
    ),
    Case(
        name="scheduler",
        recipe='scheduler(use="DPMSolverMultistepScheduler", options={"use_karras_sigmas": True})',
        found="the scheduler is DPMSolverMultistepScheduler",
        found_of_nothing="the scheduler is EulerDiscreteScheduler",
        missing=("the scheduler is EulerDiscreteScheduler", "use_karras_sigmas is False"),
    ),
    Case(
        name="begin_index",
        recipe="begin_index",
        found="EulerDiscreteScheduler begins at index 0",
        found_of_nothing="EulerDiscreteScheduler begins at index None",
        missing=("EulerDiscreteScheduler begins at index None after set_timesteps()",),
    ),
    Case(
        name="fp32",
        recipe="fp32",
        found="639 of 639 parameters are float32",
        found_of_nothing="0 of 639 parameters are float32",
        missing=(
            "156 of 156 parameters of vae are bfloat16",
            "36 of 36 parameters of text_encoder are bfloat16",
            "37 of 37 parameters of text_encoder_2 are bfloat16",
            "410 of 410 parameters of unet are bfloat16",
        ),
        before=_in_bfloat16,
    ),
    Case(
        name="tf32",
        recipe="tf32",
        found="float32 matmul precision is 'high' while the pipeline runs",
        found_of_nothing="float32 matmul precision is 'highest' while the pipeline runs",
        missing=("float32 matmuls run in full precision while the pipeline runs",),
    ),
    *(
        Case(
            name=name,
            recipe=name,
            found=f"639 of 639 parameters are {dtype}",
            found_of_nothing=f"0 of 639 parameters are {dtype}",
            missing=(
                "156 of 156 parameters of vae are float32",
                "36 of 36 parameters of text_encoder are float32",
                "37 of 37 parameters of text_encoder_2 are float32",
                "410 of 410 parameters of unet are float32",
            ),
        )
        for name, dtype in [("bf16", "bfloat16"), ("fp16", "float16")]
    ),
    Case(
        name="vae_upcast",
        recipe="fp16 + vae_upcast",
        found="vae is float16, force_upcast is True",
        found_of_nothing="vae is float16, force_upcast is False",
        missing=("vae.config.force_upcast is False",),
    ),
    Case(
        name="vanilla_attention",
        recipe="vanilla_attention",
        found="24 of 24 attention layers use vanilla attention",
        found_of_nothing="0 of 24 attention layers use vanilla attention",
        missing=(
            "22 of 22 attention layers of unet use AttnProcessor2_0",
            "2 of 2 attention layers of vae use AttnProcessor2_0",
        ),
    ),
    *(
        Case(
            name=name,
            recipe=name,
            found=f"24 of 24 attention layers use {called}",
            found_of_nothing=f"0 of 24 attention layers use {called}",
            missing=(
                "22 of 22 attention layers of unet use AttnProcessor",
                "2 of 2 attention layers of vae use AttnProcessor",
            ),
            before=_with_vanilla_attention,
        )
        for name, called in [("attn_processor_2_0", "AttnProcessor2_0"), ("sdpa", "SDPA")]
    ),
    *(
        Case(
            name="sdpa",
            recipe=f'sdpa(backend="{backend}")',
            found=f"24 of 24 attention layers use SDPA, backend {backend}",
            found_of_nothing="24 of 24 attention layers use SDPA, backend flash, efficient, cudnn, math",
            missing=("backends allowed: ['flash', 'efficient', 'cudnn', 'math']",),
        )
        for backend in ["flash", "math"]  # CPUs have no other kernel: efficient and cudnn could not answer a call
    ),
    Case(
        name="channels_last",
        recipe="channels_last",
        found="62 convolution weights are channels_last",
        found_of_nothing="0 convolution weights are channels_last",
        missing=("28 of 28 convolution weights of unet are NCHW", "34 of 34 convolution weights of vae are NCHW"),
    ),
    Case(
        name="pointwise_linears",
        recipe="pointwise_linears(channels=16)",
        found="2 1 x 1 convolutions are linears",
        found_of_nothing="0 1 x 1 convolutions are linears",
        missing=("2 1 x 1 convolutions of vae with 16 channels are no linears",),
    ),
    Case(
        name="fuse_qkv",
        recipe="fuse_qkv",
        found="24 attention layers use fused projections",
        found_of_nothing="0 attention layers use fused projections",
        missing=("22 of 22 attention layers of unet are not fused", "2 of 2 attention layers of vae are not fused"),
    ),
    Case(
        name="int8_dynamic",
        recipe="bf16 + int8_dynamic",
        found="147 of 147 linears",
        found_of_nothing="0 of 147 linears",
        missing=(
            "139 of 139 linears of unet do not hold int8 weights with dynamic activations",
            "8 of 8 linears of vae do not hold int8 weights with dynamic activations",
        ),
    ),
    Case(
        name="int8_weight_only",
        recipe="bf16 + int8_weight_only",
        found="139 of 139 linears",
        found_of_nothing="0 of 139 linears",
        missing=("139 of 139 linears of unet do not hold int8 weights",),
    ),
    Case(
        name="int4_weight_only",
        recipe="bf16 + int4_weight_only",
        found="74 of 139 linears, 65 left out by the filter (one value a byte: no GPU)",
        found_of_nothing="0 of 139 linears, 65 left out by the filter (one value a byte: no GPU)",
        missing=("74 of 74 linears of unet do not hold int4 weights",),
    ),
    Case(
        name="inductor",
        recipe=f'inductor(flags={{"conv_1x1_as_mm": True, "epilogue_fusion": False}}) + {_DECODER}',
        found="conv_1x1_as_mm, epilogue_fusion held in 1 of 1 compilations",
        found_of_nothing="conv_1x1_as_mm, epilogue_fusion held in 0 of 1 compilations",
        missing=(
            "conv_1x1_as_mm was False in 1 of 1 compilations",
            "epilogue_fusion was True in 1 of 1 compilations",
        ),
    ),
    Case(
        name="compile",
        recipe=_DECODER,
        found="compiled code ran for vae.decode",
        found_of_nothing="compiled code ran for nothing",
        missing=("vae.decode is not compiled",),
    ),
    Case(
        name="compile",
        recipe='compile(target=["denoiser"], regional=True)',
        found=f"compiled code ran for denoiser{_TRACED}",
        found_of_nothing=f"compiled code ran for nothing{_TRACED}",
        missing=("unet is not compiled",),
    ),
]

#: These have tests of their own: they need another pipeline, another GPU, or Inductor.
ELSEWHERE = frozenset({"attention_backend", "compile_cache", "fp8_dynamic"})
