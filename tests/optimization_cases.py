"""Test cases for every optimization on the tiny SDXL: the recipe and the results of `verify` with and without it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


def _unchanged(_pipeline: Any) -> None:
    """Start from the pipeline as it is built."""


def _in_bfloat16(pipeline: Any) -> None:
    pipeline.to(torch.bfloat16)


def _with_vanilla_attention(pipeline: Any) -> None:
    pipeline.unet.set_default_attn_processor()
    pipeline.vae.set_default_attn_processor()


def _upcasting(pipeline: Any) -> None:
    pipeline.vae.register_to_config(force_upcast=True)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One optimization, in a recipe with its partners.

    Attributes:
        name: the optimization's name.
        recipe: a recipe that contains it.
        found: `found` of `verify` after a call.
        found_without: `found` of `verify` if the optimization's `apply` does nothing.
        missing: `missing` of `verify` if the optimization's `apply` does nothing.
        before: prepares the pipeline, so that an optimization that is on by default is off at first.
    """

    name: str
    recipe: str
    found: str
    found_without: str
    missing: tuple[str, ...]
    before: Callable[[Any], None] = _unchanged


_COMPONENTS = ("vae", "text_encoder", "text_encoder_2", "unet")
_TRACED = " (only traced: no GPU)"
_DECODER = 'compile(target=["vae.decode"], backend="eager")'

CASES = [
    Case(
        name="distilled",
        recipe="distilled",
        found="unet has 9 transformer blocks and 654276 parameters",
        found_without="unet has 11 transformer blocks and 797796 parameters",
        missing=("unet has its middle block",),
    ),
    Case(
        name="tiny_autoencoder",
        recipe="tiny_autoencoder",
        found="vae is AutoencoderTiny with 27863 parameters",
        found_without="vae is AutoencoderKL with 212391 parameters",
        missing=("vae is AutoencoderKL",),
    ),
    Case(
        name="fp16_safe_vae",
        recipe="fp16_safe_vae + fp16",
        found="vae decodes in float16, 0 values overflow",
        found_without="vae decodes in float16, 0 values overflow",
        missing=("vae.config.force_upcast is True: diffusers decodes in float32",),
        before=_upcasting,
    ),
    Case(
        name="scheduler",
        recipe='scheduler(use="DPMSolverMultistepScheduler", options={"use_karras_sigmas": True})',
        found="the scheduler is DPMSolverMultistepScheduler",
        found_without="the scheduler is EulerDiscreteScheduler",
        missing=("the scheduler is EulerDiscreteScheduler", "use_karras_sigmas is False"),
    ),
    Case(
        name="begin_index",
        recipe="begin_index",
        found="EulerDiscreteScheduler begins at index 0",
        found_without="EulerDiscreteScheduler begins at index None",
        missing=("EulerDiscreteScheduler begins at index None after set_timesteps()",),
    ),
    Case(
        name="fp32",
        recipe="fp32",
        found="639 of 639 parameters are float32",
        found_without="0 of 639 parameters are float32",
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
        found_without="float32 matmul precision is 'highest' while the pipeline runs",
        missing=("float32 matmuls run in full precision while the pipeline runs",),
    ),
    *(
        Case(
            name=name,
            recipe=name,
            found=f"639 of 639 parameters are {dtype}",
            found_without=f"0 of 639 parameters are {dtype}",
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
        found_without="vae is float16, force_upcast is False",
        missing=("vae.config.force_upcast is False",),
    ),
    Case(
        name="vanilla_attention",
        recipe="vanilla_attention",
        found="24 of 24 attention layers use vanilla attention",
        found_without="0 of 24 attention layers use vanilla attention",
        missing=(
            "22 of 22 attention layers of unet use AttnProcessor2_0",
            "2 of 2 attention layers of vae use AttnProcessor2_0",
        ),
    ),
    *(
        Case(
            name=name,
            recipe=name,
            found=f"24 of 24 attention layers use {processor}",
            found_without=f"0 of 24 attention layers use {processor}",
            missing=(
                "22 of 22 attention layers of unet use AttnProcessor",
                "2 of 2 attention layers of vae use AttnProcessor",
            ),
            before=_with_vanilla_attention,
        )
        for name, processor in [("attn_processor_2_0", "AttnProcessor2_0"), ("sdpa", "SDPA")]
    ),
    *(
        Case(
            name="sdpa",
            recipe=f'sdpa(backend="{backend}")',
            found=f"24 of 24 attention layers use SDPA, backend {backend}",
            found_without="24 of 24 attention layers use SDPA, backend flash, efficient, cudnn, math",
            missing=("enabled backends: ['flash', 'efficient', 'cudnn', 'math']",),
        )
        for backend in ["flash", "math"]  # the CPU has no kernel for efficient and cudnn
    ),
    Case(
        name="channels_last",
        recipe="channels_last",
        found="62 convolution weights are channels_last",
        found_without="0 convolution weights are channels_last",
        missing=("28 of 28 convolution weights of unet are NCHW", "34 of 34 convolution weights of vae are NCHW"),
    ),
    Case(
        name="pointwise_linears",
        recipe="pointwise_linears(channels=16)",
        found="2 1 x 1 convolutions are linears",
        found_without="0 1 x 1 convolutions are linears",
        missing=("2 1 x 1 convolutions of vae with 16 channels are not linears",),
    ),
    Case(
        name="fuse_qkv",
        recipe="fuse_qkv",
        found="24 attention layers use fused projections",
        found_without="0 attention layers use fused projections",
        missing=("22 of 22 attention layers of unet are not fused", "2 of 2 attention layers of vae are not fused"),
    ),
    Case(
        name="int8_dynamic",
        recipe="bf16 + int8_dynamic",
        found="147 of 147 linears",
        found_without="0 of 147 linears",
        missing=(
            "139 of 139 linears of unet do not have int8 weights with dynamic activations",
            "8 of 8 linears of vae do not have int8 weights with dynamic activations",
        ),
    ),
    Case(
        name="int8_weight_only",
        recipe="bf16 + int8_weight_only",
        found="139 of 139 linears",
        found_without="0 of 139 linears",
        missing=("139 of 139 linears of unet do not have int8 weights",),
    ),
    Case(
        name="int4_weight_only",
        recipe="bf16 + int4_weight_only",
        found="74 of 139 linears, 65 left out by the filter (one value per byte: no GPU)",
        found_without="0 of 139 linears, 65 left out by the filter (one value per byte: no GPU)",
        missing=("74 of 74 linears of unet do not have int4 weights",),
    ),
    Case(
        name="vae_tiling",
        recipe="vae_tiling(pixels=32)",
        found="tiles of vae: 32 pixels",
        found_without="tiles of vae: 64 pixels",
        missing=("vae does not decode in tiles",),
    ),
    Case(
        name="vae_slicing",
        recipe="vae_slicing",
        found="1 of 1 VAEs decode one image at a time",
        found_without="0 of 1 VAEs decode one image at a time",
        missing=("vae decodes whole batches",),
    ),
    Case(
        name="layerwise_casting",
        recipe="bf16 + layerwise_casting",
        found="284 parameters are stored in float8_e4m3fn",
        found_without="0 parameters are stored in float8_e4m3fn",
        missing=("no parameter of unet is stored in float8_e4m3fn",),
    ),
    *(
        Case(
            name="lora",
            recipe=recipe,
            found="88 layers have an adapter",
            found_without="0 layers have an adapter",
            missing=("no layer of unet has an adapter",),
        )
        for recipe in ["lora", "lora(fused=True)"]
    ),
    *(
        Case(
            name=recipe.partition("(")[0],
            recipe=recipe,
            found="4 of 4 components have hooks that move them",
            found_without="0 of 4 components have hooks that move them",
            missing=tuple(f"{name} has no hook that moves it" for name in _COMPONENTS),
        )
        for recipe in ["model_offload", "group_offload", 'group_offload(type="leaf")']
    ),
    Case(
        name="inductor",
        recipe=f'inductor(flags={{"conv_1x1_as_mm": True, "epilogue_fusion": False}}) + {_DECODER}',
        found="conv_1x1_as_mm, epilogue_fusion set in 1 of 1 compilations",
        found_without="conv_1x1_as_mm, epilogue_fusion set in 0 of 1 compilations",
        missing=(
            "conv_1x1_as_mm was False in 1 of 1 compilations",
            "epilogue_fusion was True in 1 of 1 compilations",
        ),
    ),
    Case(
        name="compile",
        recipe=_DECODER,
        found="compiled code ran for vae.decode",
        found_without="compiled code ran for nothing",
        missing=("vae.decode is not compiled",),
    ),
    Case(
        name="compile",
        recipe='compile(target=["denoiser"], regional=True)',
        found=f"compiled code ran for denoiser{_TRACED}",
        found_without=f"compiled code ran for nothing{_TRACED}",
        missing=("unet is not compiled",),
    ),
]

#: Optimizations with separate tests: they need another pipeline, a GPU, or Inductor.
ELSEWHERE = frozenset(
    {
        "attention_backend",
        "cache_dit",
        "compile_artifacts",
        "compile_cache",
        "context_parallel",
        "faster_cache",
        "first_block_cache",
        "fp8_dynamic",
        "mag_cache",
        "pyramid_attention_broadcast",
        "quantized_on_load",
        "sea_cache",
        "sequential_offload",
        "taylorseer_cache",
        "tensor_parallel",
        "text_kv_cache",
    }
)
