"""Faults that give the correct image with more operations, memory or time than accepted."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.attention_processor import FusedAttnProcessor2_0
from diffusers.models.resnet import ResnetBlock2D
from diffusers.schedulers import EulerDiscreteScheduler

from benchmarks.injected_faults.declaring import InjectedFault, attending, wrapped

_DELAY_NS = 40_000_000


def _twice(forward: Any, *args: Any, **keywords: Any) -> Any:
    forward(*args, **keywords)
    return forward(*args, **keywords)


def _prompt_encoded_in_every_step(pipeline: Any) -> Any:
    def around(step: Any, *args: Any, **keywords: Any) -> Any:
        pipeline.encode_prompt("a red circle", do_classifier_free_guidance=True, num_images_per_prompt=1)
        return step(*args, **keywords)

    return wrapped(pipeline.scheduler, "step", around)


def _decoded_in_every_step(pipeline: Any) -> Any:
    def around(step: Any, *args: Any, **keywords: Any) -> Any:
        output = step(*args, **keywords)
        pipeline.vae.decode(output[0].to(pipeline.vae.dtype))
        return output

    return wrapped(pipeline.scheduler, "step", around)


def _cast_and_back(forward: Any, self: Any, hidden_states: Any, *args: Any, **keywords: Any) -> Any:
    return forward(self, hidden_states.to(torch.float32).to(hidden_states.dtype), *args, **keywords)


def _never_freed() -> Any:
    kept: list[Any] = []

    def around(forward: Any, *args: Any, **keywords: Any) -> Any:
        output = forward(*args, **keywords)
        kept.append(output)
        return output

    return around


def _with_empty_mask(attend: Any, query: Any, key: Any, value: Any, **keywords: Any) -> Any:
    mask = torch.zeros(query.shape[-2], key.shape[-2], dtype=query.dtype, device=query.device)
    return attend(query, key, value, **keywords | {"attn_mask": mask})


def _key_and_value_projected_twice(call: Any, self: Any, attention: Any, *args: Any, **keywords: Any) -> Any:
    context = keywords.get("encoder_hidden_states")
    if context is not None:
        attention.to_kv(context)
    return call(self, attention, *args, **keywords)


def _delayed(step: Any, *args: Any, **keywords: Any) -> Any:
    end = time.perf_counter_ns() + _DELAY_NS
    output = step(*args, **keywords)
    while time.perf_counter_ns() < end:
        pass
    return output


def _collecting(step: Any, *args: Any, **keywords: Any) -> Any:
    gc.collect()
    return step(*args, **keywords)


@contextmanager
def _vae_in_float32(pipeline: Any) -> Iterator[None]:
    before = {name: value.detach().clone() for name, value in pipeline.vae.state_dict().items()}
    pipeline.vae.to(torch.float32)

    def around(decode: Any, latents: Any, *args: Any, **keywords: Any) -> Any:
        return decode(latents.to(torch.float32), *args, **keywords)

    try:
        with wrapped(pipeline.vae, "decode", around):
            yield
    finally:
        pipeline.vae.to(torch.bfloat16)
        pipeline.vae.load_state_dict(before)


@contextmanager
def _contiguous_again(pipeline: Any) -> Iterator[None]:
    pipeline.unet.to(memory_format=torch.contiguous_format)
    try:
        yield
    finally:
        pipeline.unet.to(memory_format=torch.channels_last)


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="extra-flops-model-run-twice",
        imitates="the UNet runs twice in each step, and one result is discarded",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _twice),
    ),
    InjectedFault(
        name="extra-flops-prompt-encoded-in-every-step",
        imitates="the prompt is encoded inside the denoise loop",
        inject=_prompt_encoded_in_every_step,
    ),
    InjectedFault(
        name="extra-flops-decoded-in-every-step",
        imitates="every step's latents are decoded for a callback that is not set",
        inject=_decoded_in_every_step,
    ),
    InjectedFault(
        name="extra-flops-keys-projected-twice",
        imitates="K and V of cross-attention are projected twice",
        inject=lambda _pipeline: wrapped(FusedAttnProcessor2_0, "__call__", _key_and_value_projected_twice),
    ),
    InjectedFault(
        name="extra-operations-casts",
        imitates="each residual block casts its input to float32 and back",
        inject=lambda _pipeline: wrapped(ResnetBlock2D, "forward", _cast_and_back),
    ),
    InjectedFault(
        name="extra-memory-outputs-kept",
        imitates="each step's output stays referenced until the end",
        inject=lambda pipeline: wrapped(pipeline.unet.conv_in, "forward", _never_freed()),
    ),
    InjectedFault(
        name="attention-mask-of-zeros",
        imitates="a mask without effect prevents attention's fastest kernel",
        inject=lambda _pipeline: wrapped(FusedAttnProcessor2_0, "__call__", attending(_with_empty_mask)),
    ),
    InjectedFault(
        name="not-applied-vae-in-float32",
        imitates="the VAE stays in float32 although the recipe requests bfloat16",
        inject=_vae_in_float32,
    ),
    InjectedFault(
        name="not-applied-channels-last",
        imitates="a contiguous() of all weights undoes channels_last",
        inject=_contiguous_again,
    ),
    InjectedFault(
        name="slow-step",
        imitates="40 ms of Python work in every step",
        is_timed=True,
        inject=lambda _pipeline: wrapped(EulerDiscreteScheduler, "step", _delayed),
    ),
    InjectedFault(
        name="slow-garbage-collection",
        imitates="gc.collect() in every step, as offloading hooks do",
        is_timed=True,
        inject=lambda _pipeline: wrapped(EulerDiscreteScheduler, "step", _collecting),
    ),
)
