"""Result of one call for the image guard: images or latents, and the latents of each step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from pytest_diffopt.errors import ProbeError
from pytest_diffopt.probes.image_arrays import Pixels, images_of
from pytest_diffopt.probes.images import compare_images
from pytest_diffopt.probes.latents import compare_latents, drift, latents_of, watch_latents
from pytest_diffopt.records import ImageRecord, Subject


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageResult:
    """Result of one call.

    Attributes:
        images: float in [0, 1], shape (number, height, width, channels); None when the call returned latents.
        latents: latents returned instead of images; None when the call returned images.
        steps: latents after each denoise step; empty without a scheduler.
    """

    images: Pixels | None
    latents: torch.Tensor | None = None
    steps: tuple[torch.Tensor, ...] = ()


def generate(target: Any, call: Callable[[], Any], inputs: Mapping[str, Any] | None = None) -> ImageResult:
    """Make a call, and return its images or latents.

    Args:
        target: the called pipeline.
        call: makes the call.
        inputs: keywords of the call; `output_type` decides whether it returns latents.

    Raises:
        ProbeError: the call returned neither images nor latents.
    """
    __tracebackhide__ = True
    with watch_latents(target) as steps:
        output = call()
    return result_of(output, inputs, steps=tuple(step.cpu() for step in steps))


def result_of(
    output: Any, inputs: Mapping[str, Any] | None = None, *, steps: tuple[torch.Tensor, ...] = ()
) -> ImageResult:
    """Convert the output of a call that was made elsewhere.

    Args:
        output: a pipeline's output, in any form that `images_of` accepts, or latents.
        inputs: keywords of the call, if known.
        steps: latents after each denoise step, if known.

    Raises:
        ProbeError: the output contains neither images nor latents.
    """
    latents = latents_of(output, inputs)
    # copied: the next call may write to the same memory
    images = images_of(output).copy() if latents is None else None
    return ImageResult(images=images, latents=None if latents is None else latents.clone(), steps=steps)


def compare_results(
    result: ImageResult, reference: ImageResult, subject: Subject, *, with_lpips: bool = False
) -> ImageRecord:
    """Compare the results of two calls: their images or latents, and the latents of each step.

    Args:
        result: result of the optimized pipeline.
        reference: result of the reference pipeline.
        subject: the optimized pipeline.
        with_lpips: also measure LPIPS of the images.

    Raises:
        ProbeError: one result has images and the other latents, their number or size differs, or LPIPS cannot be
            measured.
    """
    steps = drift(result.steps, reference.steps)
    if result.latents is not None and reference.latents is not None:
        if with_lpips:
            msg = "LPIPS needs images, got: latents; remove max_lpips, or let the pipeline return images"
            raise ProbeError(msg)
        latents = compare_latents(result.latents, reference.latents)
        return ImageRecord(subject=subject, differences=(), latents=latents, drift=steps)
    if result.images is None or reference.images is None:
        ours, theirs = ("latents" if one.images is None else "images" for one in (result, reference))
        msg = f"both results must be images, or both latents, got: {ours} and {theirs}"
        raise ProbeError(msg)
    images = compare_images(result.images, reference.images, subject, with_lpips=with_lpips)
    return replace(images, drift=steps)
