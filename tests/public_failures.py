"""Public failures of optimizations that were requested and did nothing: each injected, each with a fixed state."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from accelerate.hooks import UserCpuOffloadHook
from diffusers import QwenImageTransformer2DModel, UNet2DConditionModel
from diffusers.hooks.first_block_cache import FBCHeadBlockHook
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry

_TWO_PROMPTS = {"prompt": ["a", "a red circle beside a blue square"], "true_cfg_scale": 1.0}


def _no_change(_patch: pytest.MonkeyPatch) -> None:
    """Inject nothing before the recipe is applied."""


def _nothing(_pipeline: Any) -> None:
    """Inject nothing after the recipe is applied."""


@dataclass(frozen=True, kw_only=True)
class PublicFailure:
    """One failure.

    Attributes:
        name: the project and the number of its issue.
        recipe: what was requested.
        pipeline: the tiny pipeline that shows it.
        inputs: keywords of the call beside those of the pipeline.
        steps: denoise steps of the call.
        before: injects the fault before the recipe is applied.
        after: injects the fault after the recipe is applied.
        lines: the lines about the optimization in the failure.
    """

    name: str
    recipe: str
    pipeline: str = "sdxl"
    inputs: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 2
    before: Callable[[pytest.MonkeyPatch], None] = _no_change
    after: Callable[[Any], None] = _nothing
    lines: tuple[str, ...]


def _change_is_nan(patch: pytest.MonkeyPatch) -> None:
    def decide(self: Any, residual: torch.Tensor) -> bool:
        return not bool((residual * torch.nan).mean() <= self.threshold)

    patch.setattr(FBCHeadBlockHook, "_should_compute_remaining_blocks", decide)


def _offload_only_records(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(UserCpuOffloadHook, "offload", lambda _hook: None)


def _disable_cache(pipeline: Any) -> None:
    pipeline.transformer.disable_cache()


def _run_eager(pipeline: Any) -> None:
    unet = pipeline.unet
    disable: Any = torch.compiler.disable
    unet._compiled_call_impl = disable(unet._call_impl)


def _compile_no_block(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(UNet2DConditionModel, "compile_repeated_blocks", lambda _unet, **_options: None)


def _decode_with_another_vae(pipeline: Any) -> None:
    other = copy.deepcopy(pipeline.vae)
    other.disable_tiling()
    pipeline.vae = other


def _ignore_masks(patch: pytest.MonkeyPatch) -> None:
    backends = _AttentionBackendRegistry._backends
    native = backends[AttentionBackendName.NATIVE]

    def without_mask(query: Any, key: Any, value: Any, attn_mask: Any = None, **options: Any) -> Any:  # noqa: ARG001
        return native(query, key, value, **options)

    patch.setitem(backends, AttentionBackendName.NATIVE, without_mask)


def _fall_back(patch: pytest.MonkeyPatch) -> None:
    backends = _AttentionBackendRegistry._backends
    patch.setitem(backends, AttentionBackendName.SAGE, backends[AttentionBackendName.NATIVE])
    supported = _AttentionBackendRegistry._supported_arg_names
    patch.setitem(supported, AttentionBackendName.SAGE, supported[AttentionBackendName.NATIVE])
    patch.setattr(QwenImageTransformer2DModel, "set_attention_backend", _set_unchecked)


def _set_unchecked(model: Any, backend: str) -> None:
    for part in model.modules():
        if hasattr(getattr(part, "processor", None), "_attention_backend"):
            part.processor._attention_backend = AttentionBackendName(backend)


def _fuse_projections(pipeline: Any) -> None:
    pipeline.unet.fuse_qkv_projections()


def _cast_again(pipeline: Any) -> None:
    pipeline.unet.to(torch.bfloat16)


PUBLIC_FAILURES = [
    PublicFailure(
        name="sgl-project/sglang#33827",
        recipe="first_block_cache(threshold=0.5)",
        pipeline="flux",
        steps=4,
        before=_change_is_nan,
        lines=("0 calls of blocks or layers that were taken from the cache",),
    ),
    PublicFailure(
        name="sgl-project/sglang#34177",
        recipe="taylorseer_cache(interval=2, first_steps=1)",
        pipeline="flux",
        steps=4,
        after=_disable_cache,
        lines=("0 calls of blocks or layers that were taken from the cache",),
    ),
    PublicFailure(
        name="huggingface/diffusers#14358",
        recipe="bf16 + model_offload",
        before=_offload_only_records,
        lines=("0 B of weights were off the GPU at each moment",),
    ),
    PublicFailure(
        name="sgl-project/sglang#33885",
        recipe='compile(target=["denoiser"], backend="eager")',
        after=_run_eager,
        lines=("0 calls of compiled graphs", "2 of 2 calls of unet ran no compiled graph"),
    ),
    PublicFailure(
        name="sgl-project/sglang#33989",
        recipe='compile(target=["denoiser"], regional=True, backend="eager")',
        before=_compile_no_block,
        lines=("0 calls of compiled graphs", "no compiled code of unet was called"),
    ),
    PublicFailure(
        name="vllm-project/vllm-omni#7774",
        recipe="vae_tiling(pixels=32)",
        after=_decode_with_another_vae,
        lines=("0 tiles of images that were decoded or encoded", "vae.decode ran in one piece of 16 x 16"),
    ),
    PublicFailure(
        name="huggingface/diffusers#12605",
        recipe='attention_backend(backend="native")',
        pipeline="qwen-image",
        inputs=_TWO_PROMPTS,
        before=_ignore_masks,
        lines=("masks were ignored by native",),
    ),
    PublicFailure(
        name="thu-ml/SageAttention (attention_dispatch.py: head dimensions from 256)",
        recipe='attention_backend(backend="sage")',
        pipeline="qwen-image",
        before=_fall_back,
        lines=("attention calls ran aten::_scaled_dot_product",),
    ),
    PublicFailure(
        name="huggingface/diffusers#14047",
        recipe="lora",
        after=_fuse_projections,
        lines=("55 of 88 layers with an adapter were never called",),
    ),
    PublicFailure(
        name="a cast after the recipe (no issue)",
        recipe="bf16 + layerwise_casting",
        after=_cast_again,
        lines=("per step: 0, 175", "nothing in steps 0 of 2"),
    ),
]
#: No fixed state runs without the library itself.
WITHOUT_FIXED_STATE = frozenset({'attention_backend(backend="sage")'})
