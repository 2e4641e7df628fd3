"""Latents after each denoise step, and their differences from those of another pipeline."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.pipelines.components import schedulers_of
from pytest_diffopt.probes.noted_calls import results_noted
from pytest_diffopt.records import LatentDifference, StepDrift

_IMAGE_CHANNELS = frozenset({1, 3})
_RANK_OF_BATCH = 4
_RANK_OF_VIDEOS = 5
_SLACK = 0.01


@contextmanager
def watch_latents(target: Any) -> Iterator[list[torch.Tensor]]:
    """Record the latents after each denoise step while the block runs.

    The latents are the results of `scheduler.step`, which every diffusers pipeline calls; each stage of a chain calls
    its own scheduler.

    Args:
        target: a pipeline; nothing is recorded for a target without a scheduler.

    Yields:
        A list with one copy per step: a pipeline may write the next step to the same memory.
    """
    seen: list[torch.Tensor] = []
    with ExitStack() as stack:
        for scheduler in schedulers_of(target).values():
            stack.enter_context(results_noted(scheduler, "step", partial(_keep_latents, seen)))
        yield seen


def _keep_latents(seen: list[torch.Tensor], result: Any) -> None:
    latents = result[0] if isinstance(result, tuple) else getattr(result, "prev_sample", None)
    if isinstance(latents, torch.Tensor):
        seen.append(latents.detach().clone())


def drift(ours: Sequence[torch.Tensor], theirs: Sequence[torch.Tensor]) -> tuple[StepDrift, ...]:
    """Compare latents step by step, up to the first step that only one has or whose shapes differ."""
    found = []
    for step, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one.shape != other.shape:
            break
        differences = [_distance(*pair) for pair in _pairs(one, other)]
        cosines, errors = zip(*differences, strict=True)
        found.append(StepDrift(step=step, cosine=_worst(min, cosines), relative_error=_worst(max, errors)))
    return tuple(found)


def latents_of(output: Any, inputs: Mapping[str, Any] | None = None) -> torch.Tensor | None:
    """Return the latents of an output; None when the output contains images.

    Args:
        output: a pipeline's output, or its `images` or `frames`.
        inputs: keywords of the call; with `output_type="latent"` the output is latents. Otherwise a tensor counts as
            latents when its channels or values cannot be those of an image.
    """
    value = getattr(output, "images", output)
    value = getattr(value, "frames", value)
    value = value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
    if not isinstance(value, torch.Tensor) or not value.dtype.is_floating_point:
        return None
    is_requested = inputs is not None and inputs.get("output_type") == "latent"
    return value.detach().cpu() if is_requested or _cannot_be_images(value) else None


def compare_latents(latents: torch.Tensor, reference: torch.Tensor) -> tuple[LatentDifference, ...]:
    """Compare the latents of each image with their reference.

    Raises:
        ProbeError: their shapes differ.
    """
    if latents.shape != reference.shape:
        shapes = f"{tuple(latents.shape)} and {tuple(reference.shape)}"
        msg = f"latents and references must have the same shape, got: {shapes}"
        raise ProbeError(msg)
    return tuple(_difference(one, other) for one, other in _pairs(latents, reference))


def _difference(one: torch.Tensor, other: torch.Tensor) -> LatentDifference:
    cosine, relative_error = _distance(one, other)
    return LatentDifference(
        cosine=cosine,
        relative_error=relative_error,
        max_error=float((one - other).abs().max()),
        defects=_defects(one, "the latents") + _defects(other, "the reference latents"),
    )


def _distance(one: torch.Tensor, other: torch.Tensor) -> tuple[float, float]:
    """Return the cosine similarity of two vectors, and the norm of their difference relative to the reference."""
    length, difference = float(other.norm()), float((one - other).norm())
    if difference == 0.0:
        return 1.0, 0.0
    cosine = float(torch.nn.functional.cosine_similarity(one, other, dim=0))
    return cosine, difference / length if length else float("inf")


def _defects(latents: torch.Tensor, name: str) -> tuple[str, ...]:
    """Return defects of latents by themselves, independent of any comparison."""
    not_finite = int((~latents.isfinite()).sum())
    if not_finite:
        return (f"{name} hold {not_finite} values that are NaN or infinite",)
    return (f"{name} are constant: every value is {latents[0]:.3f}",) if bool((latents == latents[0]).all()) else ()


def _pairs(one: torch.Tensor, other: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the latents of each image with their reference, as vectors of double precision."""
    flat = (value.detach().cpu().double().reshape(len(value), -1) for value in (one, other))
    return zip(*flat, strict=True)


def _worst(choose: Callable[..., float], figures: Sequence[float]) -> float:
    return float("nan") if any(map(math.isnan, figures)) else choose(figures)


def _cannot_be_images(value: torch.Tensor) -> bool:
    if value.ndim == _RANK_OF_VIDEOS:  # frames are (videos, frames, channels, ...), latents (videos, channels, ...)
        return not {value.shape[-3], value.shape[-1]} & (_IMAGE_CHANNELS | {_RANK_OF_BATCH})
    if value.ndim != _RANK_OF_BATCH or not value.numel() or value.shape[-3] in _IMAGE_CHANNELS:
        return False
    if value.shape[-1] in _IMAGE_CHANNELS | {_RANK_OF_BATCH}:
        return False
    outside = (value < -_SLACK) | (value > 1 + _SLACK)
    return value.shape[-3] > _RANK_OF_BATCH or bool(outside.any())
