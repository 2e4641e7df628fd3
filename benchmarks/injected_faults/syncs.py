"""Faults that add a host-device synchronization to the denoise loop and leave the image unchanged."""

from typing import Any

import torch
from diffusers.schedulers import EulerDiscreteScheduler

from benchmarks.injected_faults.declaring import InjectedFault, wrapped


def _checked_for_nan(step: Any, self: Any, model_output: Any, *args: Any, **keywords: Any) -> Any:
    if model_output.isnan().any():
        msg = "the model's output contains NaN"
        raise ValueError(msg)
    return step(self, model_output, *args, **keywords)


def _looked_up(set_begin_index: Any, *args: Any, **keywords: Any) -> None:
    """Do not set the first index, so that the scheduler searches it among the timesteps."""
    del set_begin_index, args, keywords


def _previewed(step: Any, *args: Any, **keywords: Any) -> Any:
    output = step(*args, **keywords)
    output[0][0].float().cpu()
    return output


def _only_finite(forward: Any, sample: Any, *args: Any, **keywords: Any) -> Any:
    is_finite = sample.flatten(1).isfinite().all(dim=1)
    return forward(sample[is_finite], *args, **keywords)


def _copied_again(forward: Any, sample: Any, *args: Any, **keywords: Any) -> Any:
    gain = torch.tensor([1.0] * sample.shape[1]).to(sample.device, sample.dtype)
    return forward(sample * gain.view(1, -1, 1, 1), *args, **keywords)


def _counted(forward: Any, sample: Any, *args: Any, **keywords: Any) -> Any:
    longest = sample.abs().amax().item()
    return forward(sample if longest else sample + longest, *args, **keywords)


FAULTS: tuple[InjectedFault, ...] = (
    InjectedFault(
        name="sync-nan-check",
        imitates="a NaN check left in scheduler.step()",
        inject=lambda _pipeline: wrapped(EulerDiscreteScheduler, "step", _checked_for_nan),
    ),
    InjectedFault(
        name="sync-first-index-searched",
        imitates="the scheduler's first index is not set: nonzero() and .item() in the first step",
        precedent="huggingface/diffusers#11696",
        inject=lambda _pipeline: wrapped(EulerDiscreteScheduler, "set_begin_index", _looked_up),
    ),
    InjectedFault(
        name="sync-preview",
        imitates="each step's latents are copied to the host for a preview",
        inject=lambda _pipeline: wrapped(EulerDiscreteScheduler, "step", _previewed),
    ),
    InjectedFault(
        name="sync-boolean-mask",
        imitates="x[mask] in the model's forward",
        precedent="huggingface/diffusers#13461",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _only_finite),
    ),
    InjectedFault(
        name="sync-table-copied",
        imitates="a small table is created on the CPU and copied to the GPU in every step",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _copied_again),
    ),
    InjectedFault(
        name="sync-item",
        imitates="a statistic for a log line is read with .item() in every step",
        inject=lambda pipeline: wrapped(pipeline.unet, "forward", _counted),
    ),
)
