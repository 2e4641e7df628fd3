"""Faults that leak state from one step or call to the next: buffers, caches, tables changed in place."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.schedulers import EulerDiscreteScheduler

from benchmarks.injected_faults.declaring import InjectedFault, altered, wrapped

_DRIFT = 1.02


def _one_buffer() -> Any:
    """Return every output in one buffer, as a CUDA graph does if the caller does not copy its output."""
    buffers: dict[tuple[int, ...], Any] = {}

    def around(forward: Any, *args: Any, **keywords: Any) -> Any:
        output = forward(*args, **keywords)[0]
        buffer = buffers.setdefault(tuple(output.shape), torch.empty_like(output))
        return (buffer.copy_(output),)

    return around


def _one_call_late() -> Any:
    """Return the output of the previous call, as when a graph's output is read before the graph has run."""
    last: list[Any] = []

    def around(forward: Any, *args: Any, **keywords: Any) -> Any:
        last.append(forward(*args, **keywords))
        return last[max(0, len(last) - 2)]

    return around


@contextmanager
def _table_scaled_in_place(pipeline: Any) -> Iterator[None]:
    """Scale the scheduler's table by a further factor in each call."""
    table = pipeline.scheduler.alphas_cumprod

    def around(set_timesteps: Any, *args: Any, **keywords: Any) -> None:
        table.mul_(1 / _DRIFT)
        set_timesteps(*args, **keywords)

    with altered({table: table.clone()}), wrapped(pipeline.scheduler, "set_timesteps", around):
        yield


@contextmanager
def _fused_again_at_each_call(pipeline: Any) -> Iterator[None]:
    """Add a LoRA's weights to the layer's weights in every call, and never remove them."""
    weight = pipeline.unet.mid_block.attentions[0].proj_in.weight
    update = weight.detach().clone() * (_DRIFT - 1) * 5

    def around(encode_prompt: Any, *args: Any, **keywords: Any) -> Any:
        weight.data.add_(update)
        return encode_prompt(*args, **keywords)

    with altered({weight: weight.detach().clone()}), wrapped(pipeline, "encode_prompt", around):
        yield


@contextmanager
def _upcast_vae_left(pipeline: Any) -> Iterator[None]:
    before = {name: value.detach().clone() for name, value in pipeline.vae.state_dict().items()}

    def around(decode: Any, *args: Any, **keywords: Any) -> Any:
        output = decode(*args, **keywords)
        pipeline.vae.to(torch.float32)
        return output

    try:
        with wrapped(pipeline.vae, "decode", around):
            yield
    finally:
        pipeline.vae.to(torch.bfloat16)
        pipeline.vae.load_state_dict(before)


def _generator_kept() -> Any:
    first: list[Any] = []

    def around(prepare_latents: Any, *args: Any, **keywords: Any) -> Any:
        kept = [_first_generator(first, value) for value in args]
        return prepare_latents(*kept, **keywords)

    return around


def _first_generator(first: list[Any], value: Any) -> Any:
    """Return the generator of the first call instead of a later one."""
    if not isinstance(value, torch.Generator):
        return value
    if not first:
        first.append(value.clone_state())
    return first[0]


def _added_in_place(step: Any, self: Any, model_output: Any, timestep: Any, sample: Any, *args: Any, **kw: Any) -> Any:
    stepped = step(self, model_output, timestep, sample, *args, **kw)
    self.sigmas.mul_(_DRIFT)
    return stepped


def _embedding_kept() -> Any:
    """Return the prompt embedding of the first call in every call."""
    first: list[Any] = []

    def around(encode_prompt: Any, *args: Any, **keywords: Any) -> Any:
        if not first:
            first.append(encode_prompt(*args, **keywords))
        return first[0]

    return around


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="stale-output-buffer",
        imitates="the UNet returns one buffer, as CUDA graphs do, to a scheduler that keeps outputs",
        precedent="pytorch/pytorch#148439 (an output overwritten by the next run)",
        pipeline="sd15",  # PNDM keeps the output itself; DPM-Solver++ keeps values computed from it
        inputs={"guidance_scale": 1.0},  # guidance would create a new tensor from the buffer
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _one_buffer()),
    ),
    InjectedFault(
        name="output-one-step-late",
        imitates="each step reads the previous step's output",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _one_call_late()),
    ),
    InjectedFault(
        name="scheduler-table-changed-in-place",
        imitates="set_timesteps() scales its table in place, so each call differs from the previous one",
        inject=_table_scaled_in_place,
    ),
    InjectedFault(
        name="sigmas-changed-in-place",
        imitates="step() scales the sigmas that the next step reads",
        inject=lambda _pipeline: wrapped(EulerDiscreteScheduler, "step", _added_in_place),
    ),
    InjectedFault(
        name="lora-fused-again",
        imitates="a LoRA is fused in each call and never unfused",
        inject=_fused_again_at_each_call,
    ),
    InjectedFault(
        name="upcast-vae-left-behind",
        imitates="the first call leaves the VAE in float32, so the second call fails",
        precedent="huggingface/diffusers#14184",
        inject=_upcast_vae_left,
    ),
    InjectedFault(
        name="generator-kept",
        imitates="the first call's generator is cached, and the next call continues its state",
        inject=lambda pipeline: wrapped(pipeline, "prepare_latents", _generator_kept()),
    ),
    InjectedFault(
        name="prompt-embedding-kept",
        imitates="the embedding of the first prompt is cached and used for every prompt",
        inject=lambda pipeline: wrapped(pipeline, "encode_prompt", _embedding_kept()),
    ),
)
